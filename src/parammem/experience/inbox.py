"""The inbox: a folder that agents drop files and single reports into, and that is swept on demand or watched.

Names that begin with a dot are being written. A swept file moves to `done/` in the inbox; until then a sweep that
was broken off is simply done again.
"""

from __future__ import annotations

import filecmp
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from parammem.core import AnswerKey, Task, Trajectory, digest_of
from parammem.core.experience import Experience
from parammem.core.jsonl import write_text
from parammem.errors import DataError
from parammem.experience.sources import Source

INBOX = Path("data") / "inbox"
REPORT = "report-"
VARIABLE = "PARAMMEM_INBOX"
SETTLED = 2.0
"""Seconds that a file must have been left alone, for writers that do not use a dot name."""


def report(
    trajectory: Trajectory | Experience,
    task: Task | None = None,
    outcome: bool | None = None,
    key: AnswerKey | None = None,
    inbox: Path | str | None = None,
) -> Path:
    """Report what an agent did on a task. It lies in the inbox, whole, when this returns; the next sweep takes it in.

        parammem.report(trajectory, task, outcome=True)

    Args:
        trajectory: or a whole Experience, and then neither task nor outcome.
        outcome: whether it turned out right; None if nobody knows.
        key: for tasks that can be judged again; kept only if the task falls into the fresh slice.
        inbox: default: the environment's PARAMMEM_INBOX, else data/inbox below the working directory.

    Returns:
        The file. The same report twice is the same file.

    Raises:
        DataError: no task, or another task's trajectory.
        OSError: the disk is full.
    """
    row = _row(trajectory, task, outcome)
    line = row.model_dump(mode="json") | ({"key": key.model_dump(mode="json")} if key else {})
    folder = Path(inbox or os.environ.get(VARIABLE) or INBOX)
    path = folder / f"{REPORT}{digest_of(line)[:32]}.jsonl"
    write_text(path, _one_line(line))
    return path


def _row(trajectory: Trajectory | Experience, task: Task | None, outcome: bool | None) -> Experience:
    if isinstance(trajectory, Experience):
        return trajectory
    if task is None:
        raise DataError("a trajectory is reported with its task: report(trajectory, task, outcome=…)")
    if (task.task_id, task.domain) != (trajectory.task_id, trajectory.domain):
        raise DataError(f"task {task.task_id!r} is not the trajectory's, which is {trajectory.task_id!r}")
    return Experience(task=task, trajectory=trajectory, outcome=outcome)


def _one_line(value: dict) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n"


def waiting(inbox: Path, settled: float = SETTLED) -> list[Source]:
    """What lies in the inbox: each file a source, and all single reports together one.

    Files written less than `settled` seconds ago wait for the next time.
    """
    if not inbox.is_dir():
        return []
    latest = time.time() - settled
    files = sorted(file for file in inbox.iterdir() if file.is_file() and not file.name.startswith("."))
    reports = tuple(file for file in files if file.name.startswith(REPORT))  # written in one step: whole
    others = [file for file in files if file.suffix == ".jsonl" and file not in reports]
    found = [Source.of(file) for file in others if file.stat().st_size and file.stat().st_mtime <= latest]
    return [*found, Source(f"{len(reports)} reports", reports)] if reports else found


def clear(inbox: Path, source: Source) -> None:
    """Move an ingested source's files to `done/`. Call it when the batch is safe: committed, where a flow commits."""
    done = inbox / "done"
    done.mkdir(parents=True, exist_ok=True)
    for file in source.files:
        if file.is_file():
            place = done / file.name
            if place.exists() and not filecmp.cmp(place, file, shallow=False):
                place = done / f"{time.time_ns()}-{file.name}"
            os.replace(file, place)


def watch(inbox: Path, every: float, stop: Callable[[], bool] = lambda: False) -> Iterator[Source]:
    """Sources as they come in, looking every so many seconds until `stop` says so."""
    while not stop():
        yield from waiting(inbox)
        if stop():
            return
        time.sleep(every)
