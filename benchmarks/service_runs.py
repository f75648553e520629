"""A day of traffic through the service's book of runs, compressed: rate, memory, the spool's size, and every outcome.

    python -m benchmarks.service_runs [--runs 100000] [--threads 16] [--folder DIR]
    python -m benchmarks.service_runs --waits [--fsync]     how long a run's start waits while outcomes are flushed

Each run is begun, advised, has three steps and an outcome. Of the runs 5 % each: get none; get one that a less trusted
source contradicts before; one that it contradicts after; one that its own source takes back; the same one twice; their
outcome late, after they were settled without one; are begun twice, as by a client whose first answer was lost. The
clock is one that is set, so that a day passes; disk and fsync are real. At the end every line of evidence is compared
with what was reported, every row of the inbox with the run that it is of, and every outcome that the book still keeps
with those that were sent.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

from parammem.checkout.places import LIVE_INBOX, SPOOL
from parammem.config import load_params
from parammem.core import GivenAdvice, Outcome, Step, ToolCall
from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl
from parammem.core.live_run import LiveRun
from parammem.service.run_book import RunBook
from parammem.service.run_records import ArmsNow

DAY = 86_400.0
SWEEP = 60.0
"""Seconds of the day between two sweeps."""
MEBIBYTE = 1 << 20
NEWEST = 10_000
"""Runs whose outcomes are all compared: the book keeps those of the runs that it handed over last."""


NONE, BEFORE, LATE, AFTER, TAKEN_BACK, TWICE, BEGUN_TWICE = range(7)
"""Of twenty runs, those that are not like the others, by the rest of their number."""


def told(number: int) -> bool | None:
    """What counts of the outcomes that are reported in time of the run that comes so many-th; None: none is."""
    return None if number % 20 in (NONE, LATE) else number % 3 > 0


def reports(number: int) -> list[Outcome]:
    """The outcomes that are reported of it in time, in their order."""
    passed, kind = told(number), number % 20
    if passed is None:
        return []
    counts, guess = Outcome(passed=passed, source="test"), Outcome(passed=not passed, source="model")
    taken_back = Outcome(passed=not passed, source="test")
    before = {BEFORE: [guess], TAKEN_BACK: [taken_back], TWICE: [counts]}.get(kind, [])
    return [*before, counts, *([guess] if kind == AFTER else [])]


class Day:
    """Traffic of a day, and a clock that each run moves on."""

    def __init__(self, root: Path, runs: int) -> None:
        plain = load_params("params.yaml").model_dump(by_alias=True)
        plain["service"] |= {"run_minutes": 5, "outcome_minutes": 30}
        params = type(load_params("params.yaml")).model_validate(plain)
        self.now, self.each = 1_800_000_000.0, DAY / runs
        self.root, self.lock = root, Lock()
        self.late: list[tuple[float, str]] = []
        self.seconds = {"calls": 0.0, "outcomes": 0.0}
        self.book = RunBook(root, params, self.arms, clock=lambda: self.now)

    def arms(self, _: str) -> ArmsNow:
        return ArmsNow({"holdout": 0.1, "champion": 0.9}, {"champion": "c" * 64})

    def one(self, number: int) -> None:
        """A run from start to outcome, as its number says."""
        begin = time.perf_counter()
        asked = f"Case {number % 20_000}: which invoice of order {number % 20_000} is open?"
        run = self.book.start("qa", asked, run_id=f"run-{number}")
        if number % 20 == BEGUN_TWICE:
            assert self.book.start("qa", asked, run_id=f"run-{number}").number == run.number
        given = GivenAdvice(text="look at the credit notes, too", digest="d", draw=run.retry, adapter=run.adapter)
        self.book.advised(run.run_id, given if run.adapter else None)
        call = ToolCall(name="run_sql", arguments={"sql": f"SELECT {number}"}, id="c")
        for step in (Step(role="assistant", call=call), Step(role="tool", text=f"row {number} " * 60, result_of="c"),
                     Step(role="assistant", text=f"Invoice {number} is open.")):  # fmt: skip
            self.book.add_steps(run.run_id, [step], tokens=50)
        between = time.perf_counter()
        for outcome in reports(number):
            self.book.report(run.run_id, outcome)
        with self.lock:
            self.now += self.each
            if number % 20 == LATE:
                self.late.append((self.now + 3600, run.run_id))
            self.seconds["calls"] += between - begin
            self.seconds["outcomes"] += time.perf_counter() - between

    def report_late(self) -> int:
        """Report the outcomes that are late now. Returns how many that were."""
        with self.lock:
            due = [name for at, name in self.late if at <= self.now]
            self.late = [one for one in self.late if one[0] > self.now]
        for name in due:
            assert self.book.report(name, Outcome(passed=True, source="person")).late
        return len(due)


def rss() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


def on_disk(root: Path) -> float:
    """What the spool takes, its write-ahead log included, in MiB."""
    return sum(file.stat().st_size for file in (root / SPOOL).iterdir()) / MEBIBYTE


def account(day: Day, runs: int) -> dict[str, int]:
    """Compare what was handed over with what was reported."""
    lines = [line for file in (day.root / LIVE_INBOX).glob("*.jsonl") for line in iter_jsonl(file, LiveRun)]
    inbox = (day.root / "data/inbox").glob("*.jsonl")
    rows = [(row.run_id, row.outcome.passed) for file in inbox for row in iter_jsonl(file, Experience)]
    expected = {f"run-{number}": told(number) for number in range(runs)}
    assert sorted(line.number for line in lines) == list(range(1, runs + 1)), "each run once, no gap"
    assert {line.run_id: line.outcome and line.outcome.passed for line in lines} == expected
    assert len(rows) == runs, "each run once"
    assert dict(rows) == expected
    kept = 0
    for number in range(max(0, runs - NEWEST), runs):
        if (view := day.book.get(f"run-{number}")) is not None:
            sent = [one.passed for one in reports(number)] or [True] * (number % 20 == LATE)
            assert [one.outcome.passed for one in view.outcomes] == sent, "every outcome, in its order"
            kept += len(sent)
    with_one = sum(line.outcome is not None for line in lines)
    return {"evidence": len(lines), "with an outcome": with_one, "rows of experience": len(rows), "outcomes kept": kept}


def show(day: Day, done: int, spent: float) -> None:
    """Print how far it is."""
    stats = day.book.stats()
    used = stats.spool_bytes / MEBIBYTE
    print(f"{done:7} runs {done / spent:5.0f}/s, memory {rss():4.0f} MiB, spool {on_disk(day.root):4.0f} MiB, in use "
          f"{used:4.0f}, open {stats.open:5}, waiting {stats.settled:5}", flush=True)  # fmt: skip


def waits(day: Day, starts: int = 600) -> None:
    """Print how long the start of a run waits, alone and beside four threads that report outcomes."""
    names = [day.book.start("qa", f"Case {number}").run_id for number in range(2000)]
    end, reported = Event(), []

    def report(first: int) -> None:
        for number in range(first, 10**9, 4):
            if end.is_set():
                return
            day.book.report(names[number % len(names)], Outcome(passed=True, source="test"))
            reported.append(number)
            time.sleep(0.005)

    for threads in (0, 4):
        with ThreadPoolExecutor(4) as pool:
            for first in range(threads):
                pool.submit(report, first)
            begun, spent = time.perf_counter(), []
            for number in range(starts):
                before = time.perf_counter()
                day.book.start("qa", f"Another case {number}")
                spent.append(1000 * (time.perf_counter() - before))
                time.sleep(0.002)
            rate = len(reported) / (time.perf_counter() - begun)
            end.set()
        spent.sort()
        share = {name: spent[int(len(spent) * at)] for name, at in (("median", 0.5), ("p90", 0.9), ("p99", 0.99))}
        said = ", ".join(f"{name} {value:.2f} ms" for name, value in share.items())
        print(f"beside {rate:4.0f} outcomes a second a start takes {said}")
        end.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description="A day of traffic through the service's book of runs.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--folder", help="where the spool lies; default: a temporary folder")
    parser.add_argument("--waits", action="store_true", help="measure starts beside outcomes instead")
    parser.add_argument("--fsync", action="store_true", help="flush by fsync, to compare")
    given = parser.parse_args()
    if given.fsync:
        os.fdatasync = os.fsync
    if given.waits:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            waits(Day(Path(folder), given.runs))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        day = Day(Path(folder), given.runs)
        start, cpu, swept, late = time.perf_counter(), time.process_time(), day.now, 0
        part = max(1, given.runs // 10)
        with ThreadPoolExecutor(given.threads) as pool:
            for begun in range(0, given.runs, part):
                chunk = max(1, int(SWEEP / day.each))
                for first in range(begun, min(begun + part, given.runs), chunk):
                    list(pool.map(day.one, range(first, min(first + chunk, begun + part, given.runs))))
                    late += day.report_late()
                    if day.now - swept >= SWEEP:
                        day.book.sweep()
                        swept = day.now
                show(day, begun + part, time.perf_counter() - start)
        day.now += 2 * DAY
        late += day.report_late() if day.book.sweep(all=True) else 0
        spent, used = time.perf_counter() - start, time.process_time() - cpu
        calls, outcomes = day.seconds["calls"] / given.runs, day.seconds["outcomes"] / given.runs
        print(
            f"{given.runs / spent:.0f} runs a second, {given.runs / used:.0f} per CPU second, {given.threads} threads"
        )
        print(f"a run waits {1000 * calls:.2f} ms for five records, and {1000 * outcomes:.2f} ms for its outcomes")
        print(f"late outcomes kept: {late}, lost: {day.book.stats().lost}, {account(day, given.runs)}")
        day.book.close()


if __name__ == "__main__":
    main()
