"""What the book of runs reads from the spool."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

from parammem.core.escape import clean
from parammem.service.run_records import RunView, Verdict
from parammem.service.run_rows import view_of


def run_row(base: sqlite3.Connection, run_id: str) -> sqlite3.Row | None:
    """Return the row of a run; None: there is none of this id."""
    return base.execute("SELECT * FROM runs WHERE run_id = ?", (clean(run_id),)).fetchone()


def short(key: str) -> str:
    """Return a key of any length as one of bounded length."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def packed(text: str) -> bytes:
    """Return sixteen bytes that stand for a text in tables that grow with the number of runs."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16]


def was_used(base: sqlite3.Connection, run_id: str) -> bool:
    """Return whether a run of this id was handed over and is no longer kept."""
    return base.execute("SELECT 1 FROM used WHERE run_id = ?", (packed(run_id),)).fetchone() is not None


def keyed_row(base: sqlite3.Connection, key: str, heard_since: float) -> sqlite3.Row | None:
    """Return the row of the run that a key names, if it has no outcome and was heard of since then."""
    return base.execute(
        "SELECT runs.* FROM keys JOIN runs ON runs.id = keys.run"
        " WHERE keys.key = ? AND reported IS NULL AND settled IS NULL AND heard >= ?",
        (short(key), heard_since),
    ).fetchone()


def list_runs(
    base: sqlite3.Connection, domain: str, arm: str, outcome: str, reflector: str, limit: int, before: str
) -> list[RunView]:
    """Return runs, newest first, without their steps; as `RunBook.list`."""
    wanted = {"domain = ?": domain, "arm = ?": arm, "verdict = ?": outcome}
    parts = [part for part, value in wanted.items() if value]
    values: list[Any] = [value for value in wanted.values() if value]
    if reflector:
        parts.append("substr(adapter, 1, ?) = ?")
        values += [len(reflector), reflector]
    if before:
        parts.append("id < (SELECT id FROM runs WHERE run_id = ?)")
        values.append(before)
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    statement = f"SELECT * FROM runs{where} ORDER BY id DESC LIMIT ?"
    return [view_of(row) for row in base.execute(statement, (*values, max(0, limit)))]


def counts(base: sqlite3.Connection) -> dict[tuple[str, str, Verdict], int]:
    """Return (domain, arm, verdict) → runs since the spool was begun."""
    found = base.execute("SELECT domain, arm, verdict, runs FROM counts WHERE runs > 0").fetchall()
    return {(row["domain"], row["arm"], row["verdict"]): row["runs"] for row in found}


def waiting(base: sqlite3.Connection) -> tuple[int, int]:
    """Return how many runs are open, and how many are settled and not handed over."""
    # each count comes from an index: rows hold long texts
    parts = ("", " WHERE settled IS NULL", " WHERE evidence_done AND batch_done")
    whole, opened, done = (base.execute(f"SELECT COUNT(*) FROM runs{part}").fetchone()[0] for part in parts)
    return opened, whole - opened - done
