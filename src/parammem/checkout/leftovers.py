"""What a killed run of ours leaves lying: lock files of git, a register of DVC that is no JSON. Found and taken away.

Whoever lets git take a lock in the repository notes it first, in a file that is locked by the operating system and that
git inherits. If that lock can be had, the run and its git are dead, and the lock files that it named have no owner.
Anything else, and whatever a process may still be using, is left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from parammem.checkout.git import git_folder, worktrees
from parammem.checkout.held_files import lend
from parammem.checkout.places import LOCKS

NOTES = LOCKS / "at-work"
REGISTER, GUARD_OF_REGISTER = Path(".dvc") / "tmp" / "rwlock", Path(".dvc") / "tmp" / "rwlock.lock"
PROCESSES = Path("/proc")
PATIENCE_SECONDS = 2.0
"""How long a git that outlived its run may need to come to its end by itself."""


def ref_lock(folder: Path, ref: str) -> Path:
    """Return the file by which git locks a branch or tag."""
    return folder / f"{ref}.lock"


@contextlib.contextmanager
def at_work(root: Path, files: Sequence[Path]) -> Iterator[None]:
    """Say that git is about to take these locks, so that a next run may take them away if this one is killed."""
    place = root / NOTES / f"{uuid.uuid4().hex}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, json.dumps({"files": [str(file) for file in files], "began": time.time()}).encode())
        with lend(handle):
            yield
        place.unlink(missing_ok=True)
    finally:
        os.close(handle)


def clear_leftovers(root: Path) -> list[str]:
    """Take away the lock files of dead runs of ours. Returns their names.

    Call it before a run begins. A lock that a living process may hold stays.
    """
    found = []
    for note in sorted((root / NOTES).glob("*.json")):
        handle = os.open(note, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it is at work
            os.close(handle)
            continue
        try:
            left = _named(note)
            stale = [file for file, began in left if _is_older(file, began)]
            gone = [file for file in stale if take_away(root, file)]
            found += [str(file) for file in gone]
            if len(gone) == len(stale):
                note.unlink(missing_ok=True)
        finally:
            os.close(handle)
    return found


def take_away(root: Path, file: Path) -> bool:
    """Remove a lock file of git unless some process may hold it. Returns whether it is gone."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while file.exists():
        if not in_use(root, file):
            file.unlink(missing_ok=True)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def in_use(root: Path, file: Path) -> bool:
    """Return whether a living process has the file open, or is a git at work in this repository. Where that cannot be
    told it counts as in use."""
    if not PROCESSES.is_dir():
        return True
    places = _places(root)
    for process in PROCESSES.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if (process / "comm").read_text().strip() == "git":
                here = Path(os.readlink(process / "cwd"))
                if any(here == place or place in here.parents for place in places):
                    return True
            if any(os.path.realpath(handle) == str(file) for handle in _handles(process)):
                return True
        except PermissionError:
            if (process / "comm").read_text().strip() == "git":
                return True
        except OSError:  # it has ended
            continue
    return False


def mend_register(root: Path) -> bool:
    """Take away DVC's register of who reads and writes what, if a killed DVC left it empty or half written.

    DVC can do nothing any more with such a file. Whoever changes it holds a lock of the operating system; while
    another process does, nothing is touched.

    Returns:
        Whether it was taken away.
    """
    register, guard = root / REGISTER, root / GUARD_OF_REGISTER
    if not register.is_file() or _is_json(register):
        return False
    handle = os.open(guard, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if register.is_file() and not _is_json(register):
            register.unlink()
            return True
    except OSError:  # another process is just writing it
        pass
    finally:
        os.close(handle)
    return False


def _is_json(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_bytes()), dict)
    except (OSError, ValueError):
        return False


def _named(note: Path) -> list[tuple[Path, float]]:
    """Return what a note names; nothing where the run was killed before it had written it."""
    try:
        said = json.loads(note.read_bytes())
        return [(Path(file), float(said["began"])) for file in said["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _is_older(file: Path, began: float) -> bool:
    """Return whether a lock is there and may be the dead run's: it was not there before that one began."""
    try:
        return file.stat().st_mtime >= began - 1
    except OSError:
        return False


def _places(root: Path) -> list[Path]:
    folder = git_folder(root)
    trees = [one.path for one in worktrees(root)]
    return [Path(os.path.realpath(place)) for place in [root, *([folder] if folder else []), *trees]]


def _handles(process: Path) -> Iterable[Path]:
    return (process / "fd").iterdir()
