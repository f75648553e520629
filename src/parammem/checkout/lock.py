"""Lock a repository's automation, so that one run at a time works on it, on one machine and with any Prefect server.

It is a lock of the operating system on an open file, so it ends with the process however that ends. Commands that the
run starts inherit the open file: the lock is free only when the last of them is gone, so a next run finds no orphan
process.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parammem.checkout.held_files import lend
from parammem.checkout.leftovers import clear_leftovers
from parammem.checkout.places import AUTOMATION
from parammem.errors import DataError

PLACE = AUTOMATION / "lock"
LOOK_SECONDS = 0.2


@contextmanager
def locked(root: Path, who: str, wait: float, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the lock of the repository at `root`.

    Args:
        who: what holds it, for those who wait.
        wait: seconds to wait for it.

    Raises:
        DataError: another process held it for that long; says who.
    """
    path = root / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(handle, path, wait, say)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"who": who, "pid": os.getpid(), "since": time.time()}).encode(), 0)
        with lend(handle):
            _clear(root, say)
            yield
    finally:
        os.close(handle)


def _clear(root: Path, say: Callable[[str], None]) -> None:
    for name in clear_leftovers(root):
        say(f"an earlier run was cut short: its lock {name} is taken away")


def _acquire(handle: int, path: Path, wait: float, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        if time.monotonic() >= deadline:
            raise DataError(
                f"{holder(path)} is still at work after {wait:.0f} s; wait for it, or stop it, and run again"
            )
        if not told:
            say(f"waiting for {holder(path)}")
            told = True
        time.sleep(LOOK_SECONDS)


def holder(path: Path) -> str:
    """Return who holds the lock, in words."""
    try:
        found = json.loads(path.read_text())
        return f"{found['who']} (process {found['pid']})"
    except (OSError, ValueError, KeyError):
        return "another run"
