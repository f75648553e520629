"""The spool: what the service remembers of runs until `improve` has it, in one SQLite file below data/live/spool.

Why SQLite and no log files of our own: its write-ahead log is append-only, each frame has a check sum, and a torn tail
is dropped at the next start. So what a killed process had committed is there, and what it had not is not, whole.

A commit is written to the operating system at once, which `kill -9` cannot undo; `flush` waits until it is on the disk,
which a power cut cannot undo either. Callers that wait at the same time share one flush.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Condition, RLock

from parammem.checkout.lock import holder
from parammem.errors import DataError, NotRecorded

FILE, LOCK, DAMAGED = "runs.sqlite", "lock", "damaged"
VERSION = 1
"""Of the tables; another one is not opened."""
PAGE = 4096
STARTS, STEPS, OUTCOMES, ALWAYS = 0.8, 0.85, 0.95, 1.0
"""Share of the spool up to which runs are begun, steps are added, outcomes are taken, and everything is written. So
there is room for outcomes when there is none for more runs, and for handing over when there is none for outcomes."""
LOG_PAGES = 4096
"""Of the write-ahead log, after which a commit itself moves it into the file; `tidy` usually does it before."""
BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

log = logging.getLogger(__name__)


class Spool:
    """One SQLite file, one writer process, any number of threads."""

    def __init__(self, folder: Path, limit: int, schema: Sequence[str], read_only: bool = False) -> None:
        """
        Args:
            limit: bytes that it may take.
            read_only: look into it while a service writes to it.

        Raises:
            DataError: another service has it, or there is none to read; says what to do.
        """
        self.path, self.limit, self.read_only = folder / FILE, limit, read_only
        self._lock, self._flushed = RLock(), Condition()
        self._commits = self._on_disk = 0
        self._flushing = False
        if read_only:
            if not self.path.is_file():
                raise DataError(f"no spool of runs in {str(folder)!r}: no service has run here; start `parammem up`")
            self._base = _connected(self.path, limit)
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = _acquired(folder / LOCK)
        try:
            self._base = self._opened(folder, schema)
            self._log = os.open(f"{self.path}-wal", os.O_RDONLY)
        except BaseException:
            os.close(self._held)
            raise

    def _opened(self, folder: Path, schema: Sequence[str]) -> sqlite3.Connection:
        """Open the file and return the connection; move a damaged one aside and begin another."""
        if (folder / DAMAGED).exists():
            _move_aside(folder)
        try:
            return _begun(self.path, self.limit, schema)
        except sqlite3.DatabaseError as error:
            if _code(error) not in BROKEN:
                raise DataError(
                    f"{self.path} cannot be used: {error}; see that the disk has room and is yours"
                ) from error
            _move_aside(folder)
            return _begun(self.path, self.limit, schema)

    @contextmanager
    def writing(self, most: float = ALWAYS) -> Iterator[sqlite3.Connection]:
        """Run a transaction and yield its connection: all of it is in the spool when this ends, or nothing.

        Args:
            most: share of the spool that may be in use.

        Raises:
            NotRecorded: the spool is full, or cannot be written.
        """
        with self._lock:
            try:
                if self.read_only or (most < ALWAYS and self.used() > most * self.limit):
                    raise NotRecorded(f"{self.path} is full; {_MORE_ROOM}")
                self._base.execute("BEGIN IMMEDIATE")
                try:
                    yield self._base
                    self._base.execute("COMMIT")
                except BaseException:
                    if self._base.in_transaction:
                        self._base.execute("ROLLBACK")
                    raise
                self._commits += 1
            except sqlite3.Error as error:
                raise self._refused(error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, for queries. Raises NotRecorded: it cannot be read."""
        with self._lock:
            try:
                yield self._base
            except sqlite3.Error as error:
                raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> NotRecorded:
        if _code(error) in BROKEN and not self.read_only:
            (self.path.parent / DAMAGED).touch()  # the next start moves it aside
            return NotRecorded(f"{self.path} is damaged ({error}); start the service again: it begins another one")
        return NotRecorded(f"{self.path} cannot be used: {error}; {_MORE_ROOM}")

    def flush(self) -> None:
        """Wait until everything that was committed before this call is on the disk. Raises NotRecorded: it is not."""
        wanted = self._commits
        with self._flushed:
            while self._on_disk < wanted:
                if self._flushing:
                    self._flushed.wait()
                    continue
                self._flushing = True
                reached = self._commits
                self._flushed.release()
                try:
                    os.fdatasync(self._log)
                    error = None
                except OSError as failed:
                    error = failed
                finally:
                    self._flushed.acquire()
                    self._flushing = False
                    self._flushed.notify_all()
                if error:
                    raise NotRecorded(f"{self.path}: {error}; see that its disk is sound")
                self._on_disk = max(self._on_disk, reached)

    def used(self) -> int:
        """Return bytes of the file that hold something."""
        with self._lock:
            pages = self._base.execute("PRAGMA page_count").fetchone()[0]
            free = self._base.execute("PRAGMA freelist_count").fetchone()[0]
        return (pages - free) * PAGE

    def tidy(self) -> None:
        """Move the write-ahead log into the file, while other threads go on writing."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as beside:
            beside.execute("PRAGMA synchronous=NORMAL")
            beside.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Give the spool back."""
        with self._lock:
            self._base.close()
        if not self.read_only:
            os.close(self._log)
            os.close(self._held)


_MORE_ROOM = "make room on its disk or raise service.spool_mb; runs go on and are not recorded"


def _begun(path: Path, limit: int, schema: Sequence[str]) -> sqlite3.Connection:
    base = _connected(path, limit)
    try:
        base.execute("PRAGMA journal_mode=WAL")
        found = base.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, VERSION):
            raise DataError(
                f"{path} is of version {found}, and this program writes {VERSION}; run the other version once more, so "
                "that it hands its runs over, then move the file away"
            )
        for statement in schema:
            base.execute(statement)
        base.execute(f"PRAGMA user_version={VERSION}")
        path.chmod(0o600)
    except BaseException:
        base.close()
        raise
    return base


def _connected(path: Path, limit: int) -> sqlite3.Connection:
    base = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    base.row_factory = sqlite3.Row
    for setting in (f"page_size={PAGE}", "synchronous=NORMAL", f"max_page_count={limit // PAGE}", "cache_size=-8192",
                    f"wal_autocheckpoint={LOG_PAGES}", f"journal_size_limit={LOG_PAGES * PAGE}"):  # fmt: skip
        base.execute(f"PRAGMA {setting}")
    return base


def _acquired(path: Path) -> int:
    """Lock the spool and return the lock, an open file. Raises DataError: another service has it; says which."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise DataError(f"{holder(path)} serves this repository already; use it, or stop it first") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"who": "parammem up", "pid": os.getpid(), "since": time.time()}).encode(), 0)
    return handle


def _move_aside(folder: Path) -> None:
    place = folder / f"damaged-{time.time_ns()}"
    place.mkdir(mode=0o700)
    for file in [*folder.glob(f"{FILE}*"), folder / DAMAGED]:
        if file.exists():
            file.rename(place / file.name)
    log.error("the spool was damaged and lies in %s now; another one is begun", place)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
