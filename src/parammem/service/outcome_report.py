"""An outcome that is reported for a run: completed, kept, and weighed against those before it."""

from __future__ import annotations

import sqlite3

from parammem.core.escape import clean
from parammem.core.outcome import Outcome
from parammem.errors import DataError
from parammem.service.run_records import ReportResult
from parammem.service.run_rows import count_runs, counting, instant, outcomes_of, verdict_of

MOST_OUTCOMES = 100
"""Of one run."""


def completed(outcome: Outcome, passes_at: float, now: float) -> Outcome:
    """Return the outcome with its time, and with a verdict where its value says one."""
    timed = outcome if outcome.at else outcome.model_copy(update={"at": instant(now)})
    return timed.decided(passes_at)


def keep_outcome(
    base: sqlite3.Connection, row: sqlite3.Row, outcome: Outcome, by: str, answer: str, now: float
) -> ReportResult:
    """Write an outcome to its run, and return which one counts. Raises DataError: the run has too many already."""
    before = outcomes_of(base, row)
    late = row["settled"] is not None
    if len(before) >= MOST_OUTCOMES:
        raise DataError(f"the run has {MOST_OUTCOMES} outcomes already; no more are kept")
    base.execute(
        "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)",
        (row["id"], len(before), outcome.line(), clean(by)[:200], now, late),
    )
    in_time = [one.outcome for one in before if not one.late]
    best = counting(in_time if late else [*in_time, outcome])
    if late or best is None:
        return ReportResult(False, best or Outcome(passed=None), late=True)
    base.execute(
        "UPDATE runs SET outcome = ?, verdict = ?, reported = ?, heard = max(heard, ?),"
        " answer = CASE WHEN ? = '' THEN answer ELSE ? END WHERE id = ?",
        (best.line(), verdict_of(best), now, now, answer, clean(answer), row["id"]),
    )
    count_runs(base, row["domain"], row["arm"], row["verdict"], -1)
    count_runs(base, row["domain"], row["arm"], verdict_of(best), 1)
    return ReportResult(best is outcome, best)
