"""`make desk-live`: the SQL desk behind the service, offline, from no reflector to one that runs in use promoted.

    python -m examples.sql_desk.live [--house 1] [--folder DIR] [--week 900] [--batch 300] [--batches 8]

The desk's agent is as it is in `make desk`; only its base URL is the service's. Outcomes are reported to the service,
and nothing else measures any: the domain has no agent and no judge in params.yaml. So fixed tasks cannot decide, and
the live gate does. The steps:

1. A week of runs without a reflector comes in through the proxy.
2. `parammem improve` trains a reflector on them and puts it on trial. The service takes it, without a restart.
3. Batch after batch of runs, and a turn of `improve` after each, until the live gate has decided.
4. One more batch: who advises now?

It prints a table and draws a picture. A challenger that is not promoted is a result, and no failure.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from examples.sql_desk.run import NAME, ROOT, command, environment, git, open_desk, run
from examples.sql_desk.small_model import make_model

from desk import agent, judge, shop  # isort: skip  (the user's own package, found once run.py has said where)

AT_ONCE = 8
WAIT_SECONDS = 120.0
SETTINGS = """\
domains:
  sql-desk: {kind: open, agent: null, judge: null}
experience: {fresh_share: 0.1}
improve: {min_new_rows: 1000000, max_hours: 0, drift_points: 0}
service: {settle_seconds: 0, batch_seconds: 1, follow_seconds: 1, advice_deadline_ms: 5000}
"""
"""Laid over the params of `make desk`: outcomes are only reported, and a turn trains when it is told to."""


_ADVISES = re.compile(r'^parammem_advises_info\{adapter="(\w*)",arm="(\w+)",domain="[^"]*"\} 1\.0$', re.MULTILINE)


class LiveOutcome(NamedTuple):
    """How one run in use went."""

    phase: str
    arm: str
    passed: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it. Returns 0, or the exit code of the step that failed."""
    parser = argparse.ArgumentParser(prog="python -m examples.sql_desk.live", description="The SQL desk in use.")
    parser.add_argument("--house", type=int, default=1, help="number of the house")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "desk", help="where it works")
    parser.add_argument("--week", type=int, default=900, help="runs before there is a reflector")
    parser.add_argument("--batch", type=int, default=300, help="runs between two turns")
    parser.add_argument("--batches", type=int, default=8, help="most batches of a trial")
    given = parser.parse_args(arguments)
    model = make_model(given.folder / "small-model")
    root = given.folder / f"live-{given.house}" / NAME
    shutil.rmtree(root.parent, ignore_errors=True)
    started = time.monotonic()
    try:
        found = play(root, given.house, model.resolve(), given.week, given.batch, given.batches)
    except subprocess.CalledProcessError as error:
        print(f"error: {error.cmd} ended with exit code {error.returncode}", file=sys.stderr)
        return error.returncode
    print(table(found))
    picture = draw(found, root.parent / "live.svg")
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; picture: {picture}")
    return 0


def play(root: Path, number: int, model: Path, week: int, batch: int, batches: int) -> list[LiveOutcome]:
    """Return how all runs went, in order. Raises CalledProcessError: a step failed."""
    root.parent.mkdir(parents=True)
    command(root.parent, "init", NAME, "--domain", NAME, "--model", str(model))
    settings = root.parent / "settings.yaml"
    settings.write_text(SETTINGS, encoding="utf-8")
    open_desk(root, number, ["hindsight"], settings)
    done: list[LiveOutcome] = []
    with upstream(root) as behind, service(root, behind) as address:
        desk = Desk(root, number, address)
        done += desk.work("before", week)
        command(root, "improve", "--force")
        challenger = desk.wait_for("challenger")
        print(f"the service advises with the challenger {challenger[:12]} too", flush=True)
        for place in range(batches):
            done += desk.work(f"trial {place + 1}", batch)
            command(root, "improve")
            if not desk.on_trial():
                break
        desk.wait_for_end_of_trial()
        command(root, "registry", "history", "--domain", NAME)
        command(root, "gate", "--live", "--domain", NAME)
        done += desk.work("after", batch)
    git(root, "merge", "--quiet", "--ff-only", "improve")
    run(root, "dvc", "checkout", "--quiet")
    command(root, "audit", "show")
    return done


class Desk:
    """The desk's agents behind the service, and what the ledger and the metrics say of them."""

    def __init__(self, root: Path, number: int, address: str) -> None:
        self._root, self._address, self._number = root, address, number
        self._house = json.loads((root / shop.HOUSE).read_text(encoding="utf-8"))
        self._done = 0

    def work(self, phase: str, runs: int) -> list[LiveOutcome]:
        """Answer so many new questions, report how each ended, and wait until the service has handed all over."""
        numbers = range(self._done, self._done + runs)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            found = [LiveOutcome(phase, *one) for one in threads.map(self._answer, numbers)]
        self._done += runs
        self._until(lambda: self._handed_over() >= self._done, f"{self._done} runs to be handed over")
        solved = sum(one.passed for one in found)
        print(f"{phase}: {runs} runs, {solved} right", flush=True)
        return found

    def _answer(self, number: int) -> tuple[str, bool]:
        """Play one run and return its arm and outcome: the agent as it is, with the service's address as base URL."""
        question = self._question(number)
        name, database = f"run-{number}", self._root / shop.DATABASE
        ask = agent.served_model(f"{self._address}/as/{name}/v1")
        messages = agent.work(question, "", number, ask, agent.tools_of(database))
        passed = judge.is_right(question, messages[-1].get("content") or "", self._house, database)
        self._post(f"/v1/runs/{name}/outcome", {"passed": passed, "source": "test"})
        return self._get(f"/v1/runs/{name}")["arm"], passed

    def _question(self, number: int) -> str:
        """Return a question that no earlier run had; the same matter comes back with another period."""
        again, place = divmod(number, 600)
        return shop.draw_questions(random.Random(f"live/{self._number}/{again}"), 600)[place].text

    def _handed_over(self) -> int:
        """Return the number of runs whose evidence lies in the inbox or in the ledger."""
        waiting = (self._root / "data/live/in").glob("*.jsonl")
        new = sum(len(file.read_bytes().splitlines()) for file in waiting)
        return new + max((fact["last"] for fact in self._facts() if fact["kind"] == "observe"), default=0)

    def _facts(self) -> list[dict[str, Any]]:
        shown = subprocess.run(
            ["git", "show", "improve:ledger/events.jsonl"], cwd=self._root, capture_output=True, text=True, check=False
        )
        return [json.loads(line)["fact"] for line in shown.stdout.splitlines()]

    def on_trial(self) -> bool:
        """Return whether the ledger's last word on the trial is that it goes on."""
        last = [f for f in self._facts() if f["kind"] == "trial" or (f["kind"] == "decide" and f.get("live"))]
        return bool(last) and (last[-1]["kind"] == "trial" or last[-1]["answer"] == "undecided")

    def wait_for(self, arm: str) -> str:
        """Return the digest of the adapter that advises an arm, once the service has loaded it."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [adapter for name, adapter in self._advising() if name == arm]
            return bool(found)

        self._until(is_there, f"the service to load the {arm}")
        return found[0]

    def wait_for_end_of_trial(self) -> None:
        """Wait until the service assigns no run to a challenger any more, if the trial is over."""
        if not self.on_trial():
            self._until(lambda: all(arm != "challenger" for arm, _ in self._advising()), "the trial to end")

    def _advising(self) -> list[tuple[str, str]]:
        """Return (arm, adapter) of those that are loaded, as the service's metrics say."""
        with urllib.request.urlopen(f"{self._address}/metrics", timeout=30) as answer:
            found = _ADVISES.findall(answer.read().decode())
        return [(arm, adapter) for adapter, arm in found if adapter]

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {WAIT_SECONDS:.0f} s for {what}")
            time.sleep(0.5)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self._address + path, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self._address + path, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def upstream(root: Path) -> Iterator[str]:
    """Serve the scripted model; yield its base URL."""
    with started(root, [sys.executable, "-m", "desk.model", "--port", "0"], r"http://\S+/v1") as address:
        yield address


@contextmanager
def service(root: Path, behind: str) -> Iterator[str]:
    """Run `parammem up` in front of it; yield its address."""
    words = [sys.executable, "-m", "parammem.cli", "up", "--port", "0", "--upstream", behind, "--domain", NAME]
    print(f"$ parammem up --port 0 --upstream {behind} --domain {NAME}", flush=True)
    with started(root, words, r"(?<=listens on )http://\S+") as address:
        yield address


@contextmanager
def started(root: Path, words: list[str], pattern: str) -> Iterator[str]:
    """Run a server while the block runs. Yields the address that it prints."""
    log = root.parent / f"{words[2].rpartition('.')[2]}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(words, cwd=root, env=environment(root), stdout=file, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + WAIT_SECONDS
        while not (found := re.search(pattern, log.read_text(encoding="utf-8"))):
            if process.poll() is not None or time.monotonic() > end:
                raise subprocess.CalledProcessError(process.returncode or 1, words, log.read_text(encoding="utf-8"))
            time.sleep(0.2)
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_SECONDS)


def table(done: Sequence[LiveOutcome]) -> str:
    """Return the share solved in each phase and arm, in Markdown, with 95 % intervals (Wilson)."""
    from parammem.evaluation.statistics import wilson

    lines = ["| runs | arm | solved, % (95 % interval) | of |", "|---|---|---:|---:|"]
    for phase in dict.fromkeys(one.phase for one in done):
        for arm in ("holdout", "champion", "challenger"):
            passed = [one.passed for one in done if (one.phase, one.arm) == (phase, arm)]
            if passed:
                low, high = wilson(sum(passed), len(passed))
                share = 100 * sum(passed) / len(passed)
                lines.append(f"| {phase} | {arm} | {share:.0f} ({100 * low:.0f}–{100 * high:.0f}) | {len(passed)} |")
    return "\n".join(lines)


def draw(done: Sequence[LiveOutcome], to: Path) -> Path:
    """Draw the share solved by the last 100 runs of each arm against the number of runs. Returns the file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4))
    for arm in ("holdout", "champion", "challenger"):
        places = [place for place, one in enumerate(done) if one.arm == arm]
        shares = [
            100 * sum(done[p].passed for p in places[max(0, n - 99) : n + 1]) / min(100, n + 1)
            for n in range(len(places))
        ]
        axes.plot(places[20:], shares[20:], label=arm)
    for place in range(1, len(done)):
        if done[place].phase != done[place - 1].phase:
            axes.axvline(place, color="0.8", linewidth=0.8)
            axes.text(place, 101, done[place].phase, fontsize=7, rotation=30)
    axes.set(xlabel="runs", ylabel="solved, % of the arm's last 100 runs", ylim=(0, 100))
    axes.legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(to)
    pyplot.close(figure)
    return to


if __name__ == "__main__":
    sys.exit(main())
