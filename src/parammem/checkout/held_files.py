"""Open files that the commands of this process inherit: a lock on one of them lives as long as the last command.

Which lock is taken, and what a run that was killed has left, is in lock.py and leftovers.py.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HELD: set[int] = set()


@contextmanager
def lend(handle: int) -> Iterator[None]:
    """Let the commands that are started meanwhile hold an open file too."""
    _HELD.add(handle)
    try:
        yield
    finally:
        _HELD.discard(handle)


def held() -> tuple[int, ...]:
    """Open files that hold a lock of this process; its children get them."""
    return tuple(_HELD)


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold a file of one's own for as long as this process and its commands live: `is_held` says so to others."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with lend(handle):
            yield
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Return whether a living process holds a file; False where there is none."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(handle)
