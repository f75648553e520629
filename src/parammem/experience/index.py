"""Index the rows of all batches, and the ids that a source has used: on disk, so that memory stays flat.

The index of batches is made from the batch files and can be thrown away at any time.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from parammem.checkout.places import CACHE
from parammem.core import digest_of
from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl

INDEX = CACHE / "experience" / "index.sqlite"


def row_digest(row: Experience) -> bytes:
    """Return what makes two rows the same: the task, the course of events and the outcome, whatever ids, seed, cost and
    time.

    A row without anything of schema 2 has the digest that it always had.
    """
    told = row.model_dump(mode="json")
    for name in ("schema", "run_id"):
        told.pop(name, None)
    if isinstance(told["outcome"], dict):
        told["outcome"].pop("at", None)
    del told["task"]["task_id"]
    for name in ("task_id", "seed", "usage"):
        del told["trajectory"][name]
    return bytes.fromhex(digest_of(told))


class RowIndex:
    """The rows of all batches that the ledger names."""

    def __init__(self, root: Path, keep: bool = True) -> None:
        """keep: the index stays in a file, for the next time; else nothing is written below `root`."""
        self._path = root / INDEX if keep else None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)

    def _open(self) -> None:
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(self._path or "")
        self._base.execute("PRAGMA synchronous=OFF")  # a lost index is made again
        self._base.execute("CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY)")
        self._base.execute("CREATE TABLE IF NOT EXISTS rows (digest BLOB, batch TEXT, PRIMARY KEY (digest, batch))")
        self._base.execute("CREATE TEMP TABLE here (digest BLOB PRIMARY KEY)")
        self._base.execute("CREATE TEMP TABLE ids (id TEXT PRIMARY KEY, content TEXT)")
        self._base.execute("CREATE TEMP TABLE seeds (run TEXT, seed TEXT, next TEXT, PRIMARY KEY (run, seed))")

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """Throw away a damaged index and begin another one. Raises OSError if it cannot be written."""
        if self._path is None or _is_full(error):
            raise as_os_error(error)
        self.close()
        for file in self._path.parent.glob(f"{self._path.name}*"):
            file.unlink(missing_ok=True)
        try:
            self._open()
        except sqlite3.Error as again:
            raise as_os_error(again) from again

    def follow(self, batches: Iterable[Path]) -> None:
        """Bring the index to exactly these batch files; those that are not here (not pulled yet) are left out.

        Raises:
            OSError: the disk is full.
            RecordError: a batch file is damaged.
        """
        files = list(batches)
        try:
            self._follow(files)
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
            try:
                self._follow(files)
            except sqlite3.Error as again:
                raise as_os_error(again) from again

    def _follow(self, batches: Iterable[Path]) -> None:
        files = {file.stem: file for file in batches if file.is_file()}
        had = {name for (name,) in self._base.execute("SELECT name FROM batches")}
        for name in had - files.keys():
            self._base.execute("DELETE FROM rows WHERE batch = ?", (name,))
            self._base.execute("DELETE FROM batches WHERE name = ?", (name,))
        for name in sorted(files.keys() - had):
            rows = ((row_digest(row), name) for row in iter_jsonl(files[name], Experience))
            self._base.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?)", rows)
            self._base.execute("INSERT INTO batches VALUES (?)", (name,))
        self._base.commit()

    def seen(self, row: Experience) -> bool:
        """Return whether a row is in a batch, or came earlier in this source; from now on it did."""
        digest = row_digest(row)
        if self._base.execute("SELECT 1 FROM rows WHERE digest = ? LIMIT 1", (digest,)).fetchone():
            return True
        return self._base.execute("INSERT OR IGNORE INTO here VALUES (?)", (digest,)).rowcount == 0

    def free(self, name: str, content: str) -> bool:
        """Return whether an id means this content in this source: it is new, or it meant the same before."""
        self._base.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (name, content))
        return self._base.execute("SELECT content FROM ids WHERE id = ?", (name,)).fetchone()[0] == content

    def free_seed(self, run: str, seed: int) -> int:
        """Return the first seed from this one on that no row of this source has taken for this run; now it is taken.

        Each taken seed points behind the last one that was found taken after it, so that a thousand runs with one seed
        are looked up a few times each, and not a thousand times.
        """
        passed, here = [], str(seed)  # as text: SQLite's integers end at 64 bits
        while found := self._base.execute("SELECT next FROM seeds WHERE run = ? AND seed = ?", (run, here)).fetchone():
            passed.append(here)
            here = found[0]
        behind = str(int(here) + 1)
        self._base.execute("INSERT INTO seeds VALUES (?, ?, ?)", (run, here, behind))
        moved = [(behind, run, one) for one in passed]
        self._base.executemany("UPDATE seeds SET next = ? WHERE run = ? AND seed = ?", moved)
        return int(here)

    def close(self) -> None:
        self._base.close()


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def as_os_error(error: sqlite3.Error) -> OSError:
    """Return a fault of the index as the fault of the disk that it is."""
    number = errno.ENOSPC if _is_full(error) else errno.EIO
    return OSError(number, f"{os.strerror(number)} (the index of experience: {error})", str(INDEX))
