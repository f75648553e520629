"""Which rows are in the batches already, and which ids a source has used: on disk, so that memory stays flat.

The index of batches is made from the batch files and can be thrown away at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from parammem.core import digest_of
from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl

INDEX = Path(".cache") / "experience" / "index.sqlite"


def row_digest(row: Experience) -> bytes:
    """What makes two rows the same: the task, the course of events and the outcome, whatever the ids, seed and cost."""
    told = row.model_dump(mode="json")
    del told["task"]["task_id"]
    for name in ("task_id", "seed", "usage"):
        del told["trajectory"][name]
    return bytes.fromhex(digest_of(told))


class Known:
    """The rows of all batches that the ledger names."""

    def __init__(self, root: Path) -> None:
        path = root / INDEX
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path)
        self._base.execute("PRAGMA synchronous=OFF")  # a lost index is made again
        self._base.execute("CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY)")
        self._base.execute("CREATE TABLE IF NOT EXISTS rows (digest BLOB, batch TEXT, PRIMARY KEY (digest, batch))")
        self._base.execute("CREATE TEMP TABLE here (digest BLOB PRIMARY KEY)")
        self._base.execute("CREATE TEMP TABLE ids (id TEXT PRIMARY KEY, content TEXT)")

    def follow(self, batches: Iterable[Path]) -> None:
        """Bring the index to exactly these batch files; those that are not here (not pulled yet) are left out."""
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
        """Whether a row is in a batch, or came earlier in this source; from now on it did."""
        digest = row_digest(row)
        if self._base.execute("SELECT 1 FROM rows WHERE digest = ? LIMIT 1", (digest,)).fetchone():
            return True
        return self._base.execute("INSERT OR IGNORE INTO here VALUES (?)", (digest,)).rowcount == 0

    def free(self, name: str, content: str) -> bool:
        """Whether an id means this content in this source: it is new, or it meant the same before."""
        self._base.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (name, content))
        return self._base.execute("SELECT content FROM ids WHERE id = ?", (name,)).fetchone()[0] == content

    def close(self) -> None:
        self._base.close()
