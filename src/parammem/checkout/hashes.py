"""Hashes of files, remembered: a file whose size, times and inode are as they were is not read again.

The memory is stored below `.cache/audit/` and may be deleted at any time; `fresh` reads everything anew and mends it.
The change time (ctime) is part of the key, which a program cannot set back as it can the modification time.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parammem.checkout.places import AUDIT

PLACE = AUDIT / "hashes.sqlite"
SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was read is not remembered: a clock tick may hide a second change."""


class Hashes:
    """File hashes and facts that follow from contents alone, kept in SQLite."""

    def __init__(self, repo: Path | None = None, fresh: bool = False) -> None:
        """
        Args:
            repo: where `.cache/audit/` is; None, or a place that cannot be written: memory only.
            fresh: read every file again; the memory is still written.
        """
        self._fresh = fresh
        self._seen: set[tuple[str, str]] = set()
        self.read_files = 0
        self.read_bytes = 0
        self._db = _open(repo)

    def file(self, path: Path, kind: str = "md5") -> str:
        """Return hex digest of a file. Raises FileNotFoundError."""
        stat = path.stat()
        key, mark = str(path), f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"
        if not self._fresh or (key, kind) in self._seen:
            row = self._db.execute("SELECT mark, digest FROM files WHERE path=? AND kind=?", (key, kind)).fetchone()
            if row and row[0] == mark:
                return row[1]
        digest = file_hash(path, kind)
        self.read_files += 1
        self.read_bytes += stat.st_size
        self._seen.add((key, kind))
        if time.time_ns() - max(stat.st_ctime_ns, stat.st_mtime_ns) > SETTLED_NS:
            self._db.execute("INSERT OR REPLACE INTO files VALUES (?,?,?,?)", (key, kind, mark, digest))
        return digest

    def fact(self, kind: str, key: str, make: Callable[[], Any]) -> Any:
        """Return a JSON-able value that depends on `key` (a content hash) alone: remembered, or made now.

        None is not remembered.
        """
        row = self._db.execute("SELECT value FROM facts WHERE kind=? AND key=?", (kind, key)).fetchone()
        if row and not self._fresh:
            return json.loads(row[0])
        value = make()
        if value is not None:
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?,?,?)", (kind, key, json.dumps(value)))
        return value

    def folder(self, path: Path) -> str:
        """Return the hash that DVC 3 records for a folder: the MD5 of the JSON list of its files' paths and MD5s,
        sorted by path, with `.dir` behind it (dvc-data, `Tree.as_bytes`). Files that .dvcignore leaves out are not
        known here."""
        entries = [{"md5": self.file(file), "relpath": name} for name, file in files_below(path)]
        listing = json.dumps(entries, sort_keys=True).encode()
        return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"

    def any(self, path: Path) -> str | None:
        """Return DVC's hash of a file or folder; None if there is nothing."""
        if path.is_file():
            return self.file(path)
        return self.folder(path) if path.is_dir() else None

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Hashes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def file_hash(path: Path, kind: str) -> str:
    """Return hex digest of a file, read in blocks. The kind `git` is a blob's name: SHA-1 with its length before it."""
    with path.open("rb") as data:
        if kind == "git":
            named = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
            for block in iter(lambda: data.read(1 << 20), b""):
                named.update(block)
            return named.hexdigest()
        return hashlib.file_digest(data, kind).hexdigest()


def dvc_hash(path: Path) -> str | None:
    """Return the hash that DVC 3 records for a file or folder; None if there is nothing."""
    with Hashes() as hashes:
        return hashes.any(path)


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """Return (path inside, file) of the files that DVC counts, sorted."""
    files = ((file.relative_to(folder), file) for file in folder.rglob("*") if file.is_file())
    return sorted((name.as_posix(), file) for name, file in files if "__pycache__" not in name.parts)


def _open(repo: Path | None) -> sqlite3.Connection:
    if repo is not None:
        try:
            (repo / PLACE).parent.mkdir(parents=True, exist_ok=True)
            # Each write counts at once: a rebuild has this open for minutes, and others must be able to write then.
            return _prepared(sqlite3.connect(repo / PLACE, timeout=30, isolation_level=None))
        except (OSError, sqlite3.Error):  # a read-only checkout, or a broken memory: do without
            pass
    return _prepared(sqlite3.connect(":memory:"))


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    db.execute(
        "CREATE TABLE IF NOT EXISTS files (path TEXT, kind TEXT, mark TEXT, digest TEXT, PRIMARY KEY(path, kind))"
    )
    db.execute("CREATE TABLE IF NOT EXISTS facts (kind TEXT, key TEXT, value TEXT, PRIMARY KEY(kind, key))")
    return db
