"""How fast runs with tool calls are taken in, and in how much memory: a week of an agent's logs.

    python -m benchmarks.ingest_rate [--runs 100000] [--bytes 20000] [--kinds tasks "1000 a task" spread]

`tasks`: chat transcripts, a task each. `1000 a task`: a thousand runs share a task id. `spread`: sessions of Claude
Code, mixed up in one file. Each is ingested, and then the same runs once more in a file of another order of keys, when
all are duplicates. Seconds are those of the process's own CPU time too, since a busy machine stretches the clock's.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("tasks", "1000 a task", "spread")
WORDS = "order late refund table column join total customer invoice day count filter where group paid open".split()


def texts(number: int, size: int) -> tuple[str, str]:
    """The task and what its tool returns, about so many bytes in all."""
    rng = random.Random(number)
    rows = " ".join(rng.choice(WORDS) + str(rng.randrange(999)) for _ in range(size // 9))
    return f"Case {number}: how many rows of {rng.choice(WORDS)} are on day {number * 7 + 3}?", rows


def messages(number: int, task: int, size: int) -> list[dict[str, Any]]:
    """A run that calls a tool three times and answers."""
    asked, _ = texts(task, 9)
    said: list[dict[str, Any]] = [{"role": "user", "content": asked}]
    for turn in range(3):
        name, seen = f"c{turn}", texts(number * 3 + turn, size // 3)[1]
        asks = {"name": "run_sql", "arguments": json.dumps({"sql": f"SELECT {number}, {turn}"})}
        said.append({"role": "assistant", "content": "I look.", "tool_calls": [{"id": name, "function": asks}]})
        said.append({"role": "tool", "tool_call_id": name, "content": seen})
    return [*said, {"role": "assistant", "content": f"Answer: {number}"}]


def chats(count: int, size: int, per_task: int) -> Iterator[str]:
    """Chat transcripts, so many of one task id."""
    for number in range(count):
        task = number // per_task
        row = {"messages": messages(number, task, size), "task_id": f"t-{task}", "run_id": f"r-{number}"}
        yield json.dumps(row | {"outcome": number % 3 > 0}) + "\n"


def sessions(count: int, size: int) -> Iterator[str]:
    """Sessions of Claude Code, a hundred at a time mixed up line by line."""
    for begun in range(0, count, 100):
        told = [list(_session(number, size)) for number in range(begun, min(count, begun + 100))]
        for place in range(max(map(len, told))):
            yield from (lines[place] for lines in told if place < len(lines))


def _session(number: int, size: int) -> Iterator[str]:
    before = None
    for place, one in enumerate(messages(number, number, size)):
        content: Any = one["content"]
        if one["role"] == "tool":
            content = [{"type": "tool_result", "tool_use_id": one["tool_call_id"], "content": content}]
        elif "tool_calls" in one:
            call = one["tool_calls"][0]
            content = [{"type": "tool_use", "id": call["id"], "name": "run_sql",
                        "input": json.loads(call["function"]["arguments"])}]  # fmt: skip
        kind = "assistant" if one["role"] == "assistant" else "user"
        name = f"{number}-{place}"
        row = {"type": kind, "uuid": name, "parentUuid": before, "sessionId": f"r-{number}",
               "message": {"role": kind, "content": content}}  # fmt: skip
        before = name
        yield json.dumps(row) + "\n"


def write(folder: Path, count: int, size: int, kind: str) -> int:
    """Write the log, the same log as another file, and the table of outcomes. Returns the log's bytes."""
    rows = sessions(count, size) if kind == "spread" else chats(count, size, 1000 if kind == "1000 a task" else 1)
    with (folder / "in.jsonl").open("w") as first, (folder / "again.jsonl").open("w") as second:
        for row in rows:
            first.write(row)
            second.write(f" {row}")
    table = "".join(f"r-{number},{number % 3 > 0}\n" for number in range(count))
    (folder / "outcomes.csv").write_text(f"run_id,passed\n{table}")
    return (folder / "in.jsonl").stat().st_size


def take(folder: Path, name: str) -> None:
    """Ingest a log of the folder and print seconds, CPU seconds, peak MB, new rows and duplicates."""
    import resource
    import time

    from parammem.experience.admission import Admission
    from parammem.experience.ingest import ingest
    from parammem.experience.outcomes import read_outcomes
    from parammem.experience.source_files import Source
    from parammem.experience.store import ExperienceStore

    start = time.perf_counter()
    store = ExperienceStore(folder, Admission.against([], 0.9), 0.2, "qa", read_outcomes(folder / "outcomes.csv"))
    event = ingest(Source.of(folder / name), store, "person benchmark").event
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024,
          event.kept + event.held, event.duplicates)  # fmt: skip


def measure(folder: Path, name: str) -> list[float]:
    """What `take` printed, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ingest_rate", "--take", str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(map(float, done.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast runs with tool calls are taken in.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=20_000, help="of a run, about")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--take", nargs=2, help="a folder and a log in it: ingest it, and print what it cost")
    given = parser.parse_args()
    if given.take:
        take(Path(given.take[0]), given.take[1])
        return
    for kind in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            size = write(Path(folder), given.runs, given.bytes, kind)
            for name in ("in.jsonl", "again.jsonl"):
                seconds, cpu, peak, new, old = measure(Path(folder), name)
                print(f"{kind:12} {name:12} {size / 1e6:7.0f} MB  {new:7.0f} new {old:7.0f} duplicates  "
                      f"{given.runs / seconds:6.0f}/s  {given.runs / cpu:6.0f} per CPU second  {peak:5.0f} MB",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
