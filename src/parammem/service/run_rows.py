"""Tables of the spool, and their rows as the records that they hold."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from parammem.core.advice import GivenAdvice
from parammem.core.live_run import LiveRun
from parammem.core.outcome import Outcome, OutcomeSource
from parammem.core.step import Step
from parammem.service.run_records import OutcomeWord, RunState, RunView, Verdict

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS domains (domain TEXT PRIMARY KEY, last INTEGER NOT NULL, handed INTEGER NOT NULL)"
    " WITHOUT ROWID",
    # `settled`: when it was decided how the run ended. Until then everything may change, after it nothing that is
    # handed over does: `ended`, `final_steps` and `outcome` are what they were.
    "CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, domain TEXT NOT NULL,"
    " number INTEGER NOT NULL, arm TEXT NOT NULL, shares TEXT NOT NULL, adapter TEXT NOT NULL, task TEXT NOT NULL,"
    " text TEXT NOT NULL, visible TEXT NOT NULL, retry INTEGER NOT NULL, stratum TEXT NOT NULL, key TEXT NOT NULL,"
    " started REAL NOT NULL, heard REAL NOT NULL, advised INTEGER NOT NULL DEFAULT 0, given TEXT NOT NULL DEFAULT '',"
    " why_not TEXT NOT NULL DEFAULT '', tokens INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',"
    " size INTEGER NOT NULL DEFAULT 0, steps INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '',"
    " verdict TEXT NOT NULL DEFAULT 'open', answer TEXT NOT NULL DEFAULT '', reported REAL, settled REAL, ended REAL,"
    " final_steps INTEGER NOT NULL DEFAULT 0, batch INTEGER NOT NULL DEFAULT 0,"
    " evidence_done INTEGER NOT NULL DEFAULT 0, batch_done INTEGER NOT NULL DEFAULT 0)",
    "CREATE UNIQUE INDEX IF NOT EXISTS by_number ON runs (domain, number)",
    "CREATE INDEX IF NOT EXISTS unsettled ON runs (domain, number) WHERE settled IS NULL",
    "CREATE INDEX IF NOT EXISTS silent ON runs (heard) WHERE settled IS NULL AND reported IS NULL",
    "CREATE INDEX IF NOT EXISTS reported ON runs (reported) WHERE settled IS NULL AND reported IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS to_batch ON runs (id) WHERE settled IS NOT NULL AND batch = 0",
    "CREATE INDEX IF NOT EXISTS in_batch ON runs (batch) WHERE batch > 0 AND batch_done = 0",
    "CREATE INDEX IF NOT EXISTS kept ON runs (id) WHERE evidence_done AND batch_done",
    "CREATE TABLE IF NOT EXISTS steps (run INTEGER, place INTEGER, step TEXT NOT NULL, PRIMARY KEY (run, place))"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS outcomes (run INTEGER, place INTEGER, outcome TEXT NOT NULL, said_by TEXT NOT NULL,"
    " at REAL NOT NULL, late INTEGER NOT NULL, PRIMARY KEY (run, place)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, run INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tasks (task BLOB PRIMARY KEY, runs INTEGER NOT NULL, seen REAL NOT NULL) WITHOUT ROWID",
    # Ids of runs that are no longer kept: the gate refuses a run that comes twice.
    "CREATE TABLE IF NOT EXISTS used (run_id BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS counts (domain TEXT, arm TEXT, verdict TEXT, runs INTEGER NOT NULL,"
    " PRIMARY KEY (domain, arm, verdict)) WITHOUT ROWID",
    # A batch is decided in one transaction, then its file is written, then it is marked as done: a kill in between
    # leaves a batch that is not done, and its file is written again, byte for byte the same.
    "CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, domain TEXT NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL)",
)

TRUST: tuple[OutcomeSource | None, ...] = ("test", "judge", "person", "reward", "model", None)
"""Sources of outcomes, the most trusted first. A test ran the result itself. A judge is a program that its user wrote
for this. A person sees more than a rule does, but errs, and is asked when it is late. A reward is a number whose
threshold somebody chose. A model's opinion is cheap, and an agent's of itself the cheapest. Last: nobody said who."""


def instant(seconds: float) -> str:
    """Return a time as UTC in ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def verdict_of(outcome: Outcome) -> Verdict:
    """Return an outcome in a word."""
    return "unknown" if outcome.passed is None else "passed" if outcome.passed else "failed"


def counting(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return the outcome that counts: the last word of the most trusted source. One that says nothing counts only
    where there is no other."""
    best, weight = None, (False, 0)
    for one in outcomes:
        here = (one.passed is not None or one.value is not None, -TRUST.index(one.source))
        if best is None or here >= weight:
            best, weight = one, here
    return best


def count_runs(base: sqlite3.Connection, domain: str, arm: str, verdict: Verdict, change: int) -> None:
    """Change the count of runs of a verdict."""
    base.execute(
        "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET runs = runs + excluded.runs",
        (domain, arm, verdict, change),
    )


def read_outcome(text: str) -> Outcome | None:
    """Return an outcome as it is stored in the spool; None: there is none."""
    return _outcome(text) if text else None


def _outcome(text: str) -> Outcome:
    return Outcome.model_validate(json.loads(text))


def read_given(text: str) -> GivenAdvice | None:
    """Return advice as it is stored in the spool; None: none was given."""
    return GivenAdvice.model_validate_json(text) if text else None


def state_of(row: sqlite3.Row) -> RunState:
    """Return how far a run is."""
    if row["settled"] is None:
        return "open"
    return "handed over" if row["evidence_done"] and row["batch_done"] else "settled"


def assigned(row: sqlite3.Row) -> dict[str, Any]:
    """Return the fields of an AssignedRun."""
    columns = ("run_id", "domain", "number", "arm", "adapter", "task", "retry", "why_not")
    return {
        **{name: row[name] for name in columns},
        "advised": bool(row["advised"]),
        "advice": read_given(row["given"]),
    }


def view_of(row: sqlite3.Row, steps: tuple[Step, ...] = (), outcomes: tuple[OutcomeWord, ...] = ()) -> RunView:
    """Return a run as it may be read."""
    return RunView(
        **assigned(row),
        text=row["text"],
        started=instant(row["started"]),
        heard=instant(row["heard"]),
        key=row["key"],
        tokens=row["tokens"],
        outcome=read_outcome(row["outcome"]),
        state=state_of(row),
        error=row["error"],
        steps=steps,
        outcomes=outcomes,
    )


def steps_of(base: sqlite3.Connection, row: sqlite3.Row, final: bool = False) -> tuple[Step, ...]:
    """Return the steps of a run, in order.

    final: leave out those that came when the run was settled.
    """
    most = row["final_steps"] if final else row["steps"]
    found = base.execute("SELECT step FROM steps WHERE run = ? AND place < ? ORDER BY place", (row["id"], most))
    return tuple(Step.model_validate_json(text) for (text,) in found)


def outcomes_of(base: sqlite3.Connection, row: sqlite3.Row) -> tuple[OutcomeWord, ...]:
    """Return every outcome that was reported for a run, in order."""
    found = base.execute("SELECT * FROM outcomes WHERE run = ? ORDER BY place", (row["id"],)).fetchall()
    return tuple(
        OutcomeWord(
            Outcome.model_validate(json.loads(one["outcome"])), one["said_by"], instant(one["at"]), one["late"] == 1
        )
        for one in found
    )


def live_run(row: sqlite3.Row) -> LiveRun:
    """Return a settled run as a line of evidence."""
    outcome, given = read_outcome(row["outcome"]), read_given(row["given"])
    silent = outcome is not None and outcome.passed is None and outcome.value is None
    return LiveRun(
        run_id=row["run_id"],
        domain=row["domain"],
        number=row["number"],
        arm=row["arm"],
        shares=json.loads(row["shares"]),
        adapter=row["adapter"],
        task=row["task"],
        retry=row["retry"],
        stratum=row["stratum"],
        advice=given.digest if given else "",
        no_advice=row["why_not"],
        started=instant(row["started"]),
        ended=instant(row["ended"]),
        outcome=None if silent else outcome,
        tokens=row["tokens"],
    )
