"""The completion store: one SQLite file in a folder. Keys and texts only; what a key means is batching.py's affair.

Why SQLite: write-ahead logging gives many readers beside a writer, a transaction is all there or not at all after
`kill -9`, and it needs no server. synchronous=NORMAL: a killed process loses nothing it committed; a power cut may
lose the last transactions but never damages the file. It needs a local disk (WAL does not work over NFS).

A file that SQLite finds damaged is moved aside and a new one is begun; each entry carries a check sum of its own, and
one that does not hold is no entry. So damage costs work and never gives a wrong answer.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import NamedTuple, Protocol, TypeVar

from filelock import FileLock

from parammem.errors import EngineError

FILE = "completions.sqlite"
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""Our statements never change, so even the general SQLITE_ERROR (an unknown column, a file format) means damage."""
BUSY_SECONDS = 60
KEYS_PER_QUERY = 500
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS completions (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum TEXT NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS made (number INTEGER PRIMARY KEY, key TEXT NOT NULL, process TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spent (role TEXT, model TEXT, requests INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL NOT NULL,"
    " PRIMARY KEY (role, model)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS learnt (server TEXT, model TEXT, found TEXT NOT NULL,"
    " PRIMARY KEY (server, model)) WITHOUT ROWID",
)
OURS = frozenset({"completions", "made", "spent", "learnt"})
"""Tables, of which one tells a file of ours."""
SPENT = "SELECT role, model, requests, prompt_tokens, completion_tokens, usd FROM spent ORDER BY role, model"

T = TypeVar("T")
log = logging.getLogger(__name__)


class Spent(NamedTuple):
    """What one role spent on one model."""

    role: str
    model: str
    requests: int
    """Answers that came, usable or not."""
    prompt_tokens: int
    completion_tokens: int
    usd: float

    def plus(self, other: Spent) -> Spent:
        return self._replace(
            requests=self.requests + other.requests,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            usd=self.usd + other.usd,
        )


class Keeper(Protocol):
    """What caches and accounts need of a store; each method as Store's. A store may be on another machine."""

    def get(self, keys: Sequence[str]) -> dict[str, str]: ...

    def put(self, values: Mapping[str, str]) -> None: ...

    def spend(self, one: Spent) -> list[Spent]: ...

    def spent(self) -> list[Spent]: ...

    def learn(self, server: str, model: str, found: str) -> None: ...

    def learnt(self, server: str, model: str) -> str: ...


class Store:
    """Values by key. Safe for many processes and threads at once; a fork opens its own connection."""

    def __init__(self, folder: Path | str) -> None:
        """Open the store of a folder. Raises EngineError: the folder cannot be made or the file cannot be opened."""
        self.path = Path(folder) / FILE
        self._lock = RLock()
        self._pid = 0
        self._inode = 0
        self._connection: sqlite3.Connection | None = None
        self._use(lambda connection: None)

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the values of those keys that are there.

        Raises:
            EngineError: the store cannot be read.
        """
        return self._use(lambda connection: _read(connection, keys))

    def put(self, values: Mapping[str, str]) -> None:
        """Add entries in one transaction; all or none. An entry that is there already stays as it is.

        Raises:
            EngineError: the store cannot be written, for instance because the disk is full. Nothing is lost by it.
        """
        self._use(lambda connection: _write(connection, values, self._process))

    def made(self) -> list[tuple[str, str]]:
        """Return the append-only record of completions made: (key, process), oldest first."""
        return self._use(lambda c: c.execute("SELECT key, process FROM made ORDER BY number").fetchall())

    def spend(self, one: Spent) -> list[Spent]:
        """Add an expense to the sums; the sums after it, those of other processes included.

        Raises:
            EngineError: the store cannot be written.
        """
        return self._use(lambda connection: _spend(connection, one))

    def spent(self) -> list[Spent]:
        """Return sums by role and model over all runs. They go when the cache is deleted."""
        return self._use(_sums)

    def learn(self, server: str, model: str, found: str) -> None:
        """Keep what was found out about a model of a server, in place of what was kept before.

        Raises:
            EngineError: the store cannot be written.
        """
        self._use(lambda c: c.execute("INSERT OR REPLACE INTO learnt VALUES (?, ?, ?)", (server, model, found)))

    def learnt(self, server: str, model: str) -> str:
        """Return what was found out about a model of a server; "" if nothing."""
        query = "SELECT found FROM learnt WHERE server = ? AND model = ?"
        return self._use(lambda c: next((row[0] for row in c.execute(query, (server, model))), ""))

    def close(self) -> None:
        """Let go of the file. The next use opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work on this process's connection; on a damaged file do it once more on a new one."""
        with self._lock, _explained(self.path):
            try:
                return work(self._open())
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if not _means_damage(error, self.path):
                    raise
                log.warning("the completion cache %s is damaged (%s)", self.path, error)
            self._replace()
            return work(self._open())

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._pid == os.getpid():
            return self._connection
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The lock: two processes that switch a new file to WAL at the same time would see it locked.
        with FileLock(f"{self.path}.lock", timeout=BUSY_SECONDS):
            self._connection = _connect(self.path)
        self._pid, self._inode = os.getpid(), self.path.stat().st_ino
        self._process = f"{self._pid}-{secrets.token_hex(4)}"
        return self._connection

    def _replace(self) -> None:
        """Move the damaged file aside, unless another process has done so since we opened it."""
        self.close()
        with FileLock(f"{self.path}.lock", timeout=BUSY_SECONDS):
            if not _is_damaged(self.path, self._inode):
                return
            aside = self.path.with_name(f"{FILE}.damaged-{secrets.token_hex(4)}")
            for tail in ("", "-wal", "-shm"):
                part = Path(f"{self.path}{tail}")
                if part.exists():
                    part.rename(f"{aside}{tail}")
        log.warning("it was moved to %s and a new cache is begun; delete the old one when you have looked", aside)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Raise EngineError, before anything is written, where a file is the database of another program."""
    names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and not names & OURS:
        found = ", ".join(sorted(names)[:5])
        raise EngineError(
            f"{str(path)!r} is a database of something else (its tables: {found[:200]!r}), and was left as it is; set "
            "engine.cache in params.yaml to a folder of its own, or move the file away"
        )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda data: data.decode(errors="replace")  # its check sum then fails
    try:
        _refuse_foreign(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.create_function("check_sum", 2, _check_sum, deterministic=True)
        for table in SCHEMA:
            connection.execute(table)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damaged(path: Path, inode: int) -> bool:
    """Return whether the file lying there now is the one that was found damaged, or cannot be opened either."""
    if not path.exists():
        return False
    if path.stat().st_ino == inode:
        return True
    try:
        _connect(path).close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return _means_damage(error, path)
    return False


def _means_damage(error: Exception, path: Path) -> bool:
    if isinstance(error, UnicodeDecodeError):  # from a message of SQLite's that quotes the damaged part
        return True
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    # SQLite also calls a file read-only when its header says so, or when it was moved away under it.
    return _code(error) in DAMAGED or (_code(error) == sqlite3.SQLITE_READONLY and writable)


def _read(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(keys), KEYS_PER_QUERY):
        some = keys[start : start + KEYS_PER_QUERY]
        marks = ",".join("?" * len(some))
        query = f"SELECT key, value, sum FROM completions WHERE key IN ({marks})"
        for key, value, check in connection.execute(query, some):
            if check == _check_sum(key, value):
                found[key] = value
            else:
                log.warning("an entry of the completion cache is damaged and is made again (key %s)", key)
    return found


def _write(connection: sqlite3.Connection, values: Mapping[str, str], process: str) -> None:
    rows = [(key, value, _check_sum(key, value)) for key, value in values.items()]
    connection.execute("BEGIN IMMEDIATE")
    try:
        # An entry is replaced only if its check sum no longer holds: all readers get the first writer's text.
        connection.executemany(
            "INSERT INTO completions VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET value = excluded.value, sum = excluded.sum WHERE sum IS NOT check_sum(key, value)",
            rows,
        )
        connection.executemany("INSERT INTO made (key, process) VALUES (?, ?)", [(key, process) for key in values])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _spend(connection: sqlite3.Connection, one: Spent) -> list[Spent]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (role, model) DO UPDATE SET "
            "requests = requests + excluded.requests, prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
            "completion_tokens = completion_tokens + excluded.completion_tokens, usd = usd + excluded.usd",
            one,
        )
        sums = _sums(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return sums


def _sums(connection: sqlite3.Connection) -> list[Spent]:
    return [Spent(*row) for row in connection.execute(SPENT)]


def _check_sum(key: str, value: str) -> str:
    return hashlib.sha256(f"{key}\n{value}".encode()).hexdigest()[:32]


def _code(error: Exception) -> int:
    """Return SQLite's primary result code (its extended codes keep it in the low byte)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_BUSY: "another process has held it for a minute: wait for it or end it",
    sqlite3.SQLITE_LOCKED: "another process has held it for a minute: wait for it or end it",
    sqlite3.SQLITE_READONLY: "it cannot be written: check its owner and rights",
    sqlite3.SQLITE_PERM: "it cannot be written: check its owner and rights",
    sqlite3.SQLITE_CANTOPEN: "it is no file, or cannot be opened: check what lies there, and its owner and rights",
    sqlite3.SQLITE_PROTOCOL: "its disk cannot lock files, as some network disks: point engine.cache to a local one",
    sqlite3.SQLITE_NOLFS: "its disk cannot hold large files: point engine.cache elsewhere",
}
"""By SQLite's code: what is wrong, and what to do."""
NEARLY_FULL = 2**20
"""Bytes. With less left, an I/O error is most likely a full disk: SQLite cannot always tell."""


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the disk as EngineError, with the file and the remedy."""
    kept = "and run again: what was recorded before is kept"
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = _code(error)
        if code == sqlite3.SQLITE_IOERR and _free(path) < NEARLY_FULL:
            code = sqlite3.SQLITE_FULL
        advice = ADVICE.get(code, "check the disk and the folder's rights, or point engine.cache elsewhere")
        raise EngineError(f"the completion cache {str(path)!r} cannot be used ({error}); {advice}, {kept}") from error
    except TimeoutError as error:
        advice = ADVICE[sqlite3.SQLITE_BUSY]
        raise EngineError(f"the completion cache {str(path)!r} cannot be used: {advice}, {kept}") from error
    except OSError as error:
        advice = "check engine.cache in params.yaml and the folder's rights and space"
        raise EngineError(f"the completion cache {str(path)!r} cannot be used ({error}); {advice}, {kept}") from error


def _free(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return NEARLY_FULL
