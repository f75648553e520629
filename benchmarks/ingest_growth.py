"""How ingestion grows with its rows: seconds and memory at 1, 10 and 100 times as many, of three kinds.

    python -m benchmarks.ingest_growth [--rows 400] [--times 1 10 100]

`tasks`: each row is about a task of its own. `one id`: all rows are about one task, with one seed, as strangers send
them. `duplicates`: every row is the same. Each measurement is a process of its own, so that its peak is its own. The
ratio beside a time is how much longer a row takes than at the smallest size: near 1 where the time grows with the rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("tasks", "one id", "duplicates")


def row(number: int, kind: str) -> dict[str, Any]:
    """Return a row as an agent reports it."""
    task = number if kind == "tasks" else 0
    answer = f"def f(xs):\n    return {0 if kind == 'duplicates' else number} + len(xs)"
    text = f"Write f(xs) for case {task}: count the crates on day {task * 7 + 3}, row {task * task}, place {task % 13}."
    feedback = {"passed": True, "text": "all passed"}
    attempt = {"number": 1, "text": answer, "candidate": answer, "temperature": 0.2, "feedback": feedback}
    named = {"task_id": f"t-{task}", "domain": "code"}
    trajectory = {"method": "reflexion", "protocol": "strict", "seed": 0, "stop": "visible-pass", "submission": 1}
    return {
        "task": {**named, "text": text, "visible": {}},
        "trajectory": {**named, **trajectory, "attempts": [attempt]},
        "outcome": True,
    }


def rows(count: int, kind: str) -> Iterator[str]:
    for number in range(count):
        yield json.dumps(row(number, kind)) + "\n"


def measure(count: int, kind: str) -> tuple[float, float]:
    """Return seconds and peak MB of one ingestion, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "in.jsonl").open("w") as out:
            out.writelines(rows(count, kind))
        command = [sys.executable, "-m", "benchmarks.ingest_growth", "--one", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak, came = map(float, done.stdout.split())
    assert came == count, f"{came} of {count} rows"
    return seconds, peak


def one(root: Path) -> None:
    """Ingest in.jsonl of a folder and print seconds, peak MB and rows."""
    import resource
    import time

    from parammem.experience.admission import Admission
    from parammem.experience.ingest import ingest
    from parammem.experience.source_files import Source
    from parammem.experience.store import ExperienceStore

    start = time.perf_counter()
    event = ingest(
        Source.of(root / "in.jsonl"), ExperienceStore(root, Admission.against([], 0.9), 0.2), "person benchmark"
    ).event
    seconds = time.perf_counter() - start
    print(
        seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, event.kept + event.held + event.duplicates
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="How ingestion grows with its rows.")
    parser.add_argument("--rows", type=int, default=400, help="rows of the smallest size")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--one", type=Path, help="a folder with in.jsonl: ingest it, and print what it cost")
    given = parser.parse_args()
    if given.one:
        one(given.one)
        return
    print(f"{'':12}" + "".join(f"{given.rows * times:>24} rows" for times in given.times))
    for kind in KINDS:
        cells, first = [], 0.0
        for times in given.times:
            seconds, peak = measure(given.rows * times, kind)
            first = first or seconds / (given.rows * times)
            ratio = seconds / (given.rows * times) / first
            cells.append(f"{seconds:8.1f} s {ratio:5.2f}x {peak:6.0f} MB")
        print(f"{kind:12}" + "".join(f"{cell:>29}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
