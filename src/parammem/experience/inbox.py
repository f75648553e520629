"""The inbox: a folder that agents drop files and single reports into, and that is swept on demand or watched.

Names that begin with a dot are being written. A swept file moves to `done/` in the inbox; until then a sweep that
was broken off is simply done again. Only regular files of the inbox's own file system are taken, and no link is
followed: whoever may write here may not be allowed to read what a link points to.
"""

from __future__ import annotations

import errno
import fcntl
import filecmp
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from parammem.checkout.places import INBOX
from parammem.core import AnswerKey, Outcome, Task, Trajectory, digest_of
from parammem.core.experience import Experience
from parammem.core.jsonl import lines_of, write_text
from parammem.core.words import count
from parammem.errors import DataError
from parammem.experience.source_files import (
    LONGEST_LINE,
    SUFFIXES,
    Source,
    fault_of_file,
    name_for_people,
    open_regular,
)
from parammem.experience.zipped import MAGIC

REPORT = "report-"
VARIABLE = "PARAMMEM_INBOX"
DONE, TAKEN = "done", ".taken"
SETTLED = 2.0
"""Seconds that a file must have been left alone, for writers that do not use a dot name."""
UNFINISHED = 60.0
"""The same for a file that does not end as a whole one does."""
LONGEST_NAME = 255
"""Bytes that a file system allows a name."""
F_SETSIG = 10
"""Of fcntl(2); Python has no name for it."""


def report(
    trajectory: Trajectory | Experience,
    task: Task | None = None,
    outcome: bool | Outcome | None = None,
    key: AnswerKey | None = None,
    inbox: Path | str | None = None,
) -> Path:
    """Report what an agent did on a task. It is in the inbox, whole, when this returns; the next sweep takes it in.

        parammem.report(trajectory, task, outcome=True)

    Args:
        trajectory: or a whole Experience, and then neither task nor outcome.
        outcome: whether it turned out right, or an Outcome with value and source; None if that is not known.
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
    write_text(path, _one_line(line), mode=0o640)
    return path


def _row(trajectory: Trajectory | Experience, task: Task | None, outcome: bool | Outcome | None) -> Experience:
    if isinstance(trajectory, Experience):
        return trajectory
    if task is None:
        raise DataError("a trajectory is reported with its task: report(trajectory, task, outcome=…)")
    if (task.task_id, task.domain) != (trajectory.task_id, trajectory.domain):
        raise DataError(f"task {task.task_id!r} is not the trajectory's, which is {trajectory.task_id!r}")
    ended = outcome if isinstance(outcome, Outcome) else Outcome(passed=outcome)
    return Experience(task=task, trajectory=trajectory, outcome=ended)


def _one_line(value: dict) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n"


def waiting(inbox: Path, settled: float = SETTLED) -> list[Source]:
    """Return what is in the inbox and is whole: each file a source, and all single reports together one.

    Files written less than `settled` seconds ago wait for the next time.
    """
    return look(inbox, settled).sources


@dataclass(frozen=True)
class Look:
    """What a look into the inbox found."""

    sources: list[Source]
    left: dict[str, str]
    """File name, as it may be shown → why the file stays where it is."""


def look(inbox: Path, settled: float = SETTLED, restore: bool = True) -> Look:
    """Return what can be taken from the inbox, and what else is in it and why it is left there.

    restore: bring what `clear` had begun to move away when it was killed back into view.
    """
    found, left, reports = [], {}, []
    if not inbox.is_dir():
        return Look([], {})
    if restore:
        _restore(inbox)
    device = inbox.stat().st_dev
    for name in sorted(os.listdir(inbox)):
        if name.startswith(".") or name == DONE:
            continue
        file = inbox / name
        why = _why_left(file, device, settled)
        if why:
            left[name_for_people(name)] = why
        elif why is None:
            continue
        elif name.startswith(REPORT):  # written in one step: whole
            reports.append(file)
        else:
            found.append(Source(name_for_people(name), (file,), device))
    if reports:
        found.append(Source(f"{count(len(reports), 'report')}", tuple(reports), device))
    return Look(found, left)


def _why_left(file: Path, device: int, settled: float) -> str | None:
    """Return why a file cannot be taken; empty: it can; None: it is too new to say."""
    try:
        kind = os.lstat(file)
    except OSError:  # gone since
        return None
    if fault := fault_of_file(kind, device):
        return fault
    if not file.name.endswith(SUFFIXES):
        return f"not one of {', '.join(SUFFIXES)}; rename it if it holds JSON lines"
    age = time.time() - kind.st_mtime
    if age < settled and not file.name.startswith(REPORT):
        return None
    if not kind.st_size:
        return "empty" if age >= UNFINISHED else None
    try:
        with open_regular(file, device) as data:
            if is_being_written(data):
                return "still open for writing; it is taken when its writer has closed it"
            return "" if age >= UNFINISHED or is_whole(data, file) else None
    except DataError as error:
        return str(error)


def is_being_written(data: IO[bytes]) -> bool:
    """Return whether some process has the file open for writing, as far as the system tells (Linux, local disks, own
    files): a lease to read is given only when nobody has."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(data, F_SETSIG, signal.SIGURG)  # the lease may be broken before it is given back: a signal ignored
        fcntl.fcntl(data, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(data, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False


def is_whole(data: IO[bytes], file: Path) -> bool:
    """Return whether a file that nobody writes to at this moment ends as a whole one does: with a line's end, with the
    end of an array, with a line that parses, or as gzip data ends. A copy that pauses seldom does."""
    head = data.read(4)
    if head == MAGIC:
        return zipfile.is_zipfile(data)
    if head[:2] == b"\x1f\x8b":
        try:
            data.seek(0)
            return all(True for _ in lines_of(data, file, LONGEST_LINE))
        except DataError as error:
            return not isinstance(error.__cause__, EOFError)
    size = data.seek(0, os.SEEK_END)
    data.seek(-min(size, LONGEST_LINE), os.SEEK_END)
    tail = data.read().strip(b"\xef\xbb\xbf \t\r")
    listed = file.name.endswith((".json", ".traj")) or tail.startswith(b"[")
    if tail.endswith(b"\n") and not listed:
        return True
    last = tail.rstrip().rpartition(b"\n")[2]
    if size <= LONGEST_LINE:
        return _parses(tail) or (last.startswith(b"{") and _parses(last))
    return last.endswith((b"]", b"}"))


def _parses(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def clear(inbox: Path, source: Source, digest: str) -> bool:
    """Move an ingested source's files to `done/`, readable by their owner alone. Call it when the batch is safe:
    committed, where a flow commits.

    A file may have grown since it was read. So the files first leave the sight of writers, then their digest is taken
    once more, and if it is another one they come back and wait for the next sweep.

    Args:
        digest: SHA-256 of what was ingested.

    Returns:
        Whether they are cleared.
    """
    hidden = inbox / TAKEN
    hidden.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken = Source(source.name, tuple(hidden / file.name for file in source.files), source.device)
    moved = [(file, place) for file, place in zip(source.files, taken.files, strict=True) if _renamed(file, place)]
    whole = len(moved) == len(source.files) and _same(taken, digest)
    done = inbox / DONE
    done.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError):  # what was refused for its secrets is in it whole
        done.chmod(0o700)
    for file, place in moved:
        if whole:
            _put_away(place, done / file.name)
        else:
            _renamed(place, _free(file))
    _remove_empty(hidden)
    return whole


def _restore(inbox: Path) -> None:
    """Bring back what `clear` was killed over: whether it was ingested whole is looked up again."""
    hidden = inbox / TAKEN
    for name in os.listdir(hidden) if hidden.is_dir() else ():
        _renamed(hidden / name, _free(inbox / name))
    _remove_empty(hidden)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not there, or another sweep is at work in it
        folder.rmdir()


def _renamed(file: Path, place: Path) -> bool:
    """Return whether the file could be renamed; False if it is gone."""
    try:
        os.rename(file, place)
    except FileNotFoundError:
        return False
    return True


def _same(source: Source, digest: str) -> bool:
    try:
        for file in source.files:
            with source.opened(file) as data:
                if is_being_written(data):
                    return False
        return source.digest() == digest
    except (DataError, OSError):
        return False


def _put_away(file: Path, place: Path) -> None:
    with suppress(OSError):  # somebody else's file: the folder keeps others out
        file.chmod(0o600)
    if place.exists() and filecmp.cmp(place, file, shallow=False):
        place.unlink()
    _renamed(file, _free(place))


def _free(place: Path) -> Path:
    """Return the place, or one beside it that is free."""
    if not os.path.lexists(place):
        return place
    prefix = f"{time.time_ns()}-"
    return place.with_name(prefix + os.fsdecode(os.fsencode(place.name)[len(prefix) - LONGEST_NAME :]))


def looks(inbox: Path, every: float | None, stop: Callable[[], bool] = lambda: False) -> Iterator[Look]:
    """Yield one look into the inbox, or one every so many seconds until `stop` says so."""
    while not stop():
        yield look(inbox)
        if every is None or stop():
            return
        time.sleep(every)


def watch(inbox: Path, every: float, stop: Callable[[], bool] = lambda: False) -> Iterator[Source]:
    """Yield sources as they come in, looking every so many seconds until `stop` says so."""
    for found in looks(inbox, every, stop):
        yield from found.sources
