"""A run that begins: its arm, its number, which draw it is, and its row in the spool."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from parammem.core.live_run import assigned_arm
from parammem.core.task import Task
from parammem.errors import NotRecorded, ParamMemError
from parammem.service.hand_over import last_number
from parammem.service.run_queries import packed, run_row, short, was_used
from parammem.service.run_records import ArmsNow
from parammem.service.run_rows import count_runs
from parammem.service.written import as_json


class SaidOfRun(NamedTuple):
    """What the beginning of a run says of it."""

    task: Task
    visible: str
    """JSON of what visible checks need."""
    stratum: str
    key: str


def begin_run(
    base: sqlite3.Connection, root: Path, secret: bytes, run_id: str, said: SaidOfRun, arms: ArmsNow, now: float
) -> sqlite3.Row:
    """Write a run that there was not, and return its row. Raises NotRecorded: its id was used before, or nobody can say
    its number."""
    if was_used(base, run_id):
        raise NotRecorded("a run of this id was handed over long ago; give each run an id of its own")
    domain, content = said.task.domain, said.task.content
    arm = assigned_arm(domain, run_id, arms.shares, secret)
    number = _next_number(base, root, domain, secret)
    runs = base.execute(
        "INSERT INTO tasks VALUES (?, 1, ?) ON CONFLICT (task) DO UPDATE SET runs = runs + 1, seen = excluded.seen"
        " RETURNING runs",
        (packed(content), now),
    ).fetchone()[0]
    base.execute(
        "INSERT INTO runs (run_id, domain, number, arm, shares, adapter, task, text, visible, retry, stratum, key,"
        " started, heard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (run_id, domain, number, arm, as_json(arms.shares), arms.adapters.get(arm, ""), content, said.task.text,
         said.visible, runs - 1, said.stratum, said.key, now, now),
    )  # fmt: skip
    count_runs(base, domain, arm, "open", 1)
    row = run_row(base, run_id)
    assert row is not None
    return row


def name_run(base: sqlite3.Connection, key: str, run: int, now: float) -> None:
    """Let calls of a run be known by a key; another run that had it loses it."""
    base.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", (short(key), run, now))


def _next_number(base: sqlite3.Connection, root: Path, domain: str, secret: bytes) -> int:
    found = base.execute("UPDATE domains SET last = last + 1 WHERE domain = ? RETURNING last", (domain,)).fetchone()
    if found is not None:
        return found[0]
    try:  # the first run here: go on where the ledger ends
        last = last_number(root, domain, secret)
    except (ParamMemError, OSError, ValueError) as error:
        raise NotRecorded(f"nobody can say which number comes next: {error}") from error
    base.execute("INSERT INTO domains VALUES (?, ?, ?)", (domain, last + 1, last))
    return last + 1
