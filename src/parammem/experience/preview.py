"""What each row of a source would become if it were ingested now, and how it is shown to people. Writes nothing.

`read_only` needs the bare package; what holds a row against the rules and the ledger is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from parammem.core import Step
from parammem.core.escape import shown
from parammem.core.experience import Experience
from parammem.core.record import Record
from parammem.experience.source_files import Source
from parammem.experience.store import ExperienceStore
from parammem.experience.units import Judged, read_source


class SeenAttempt(Record):
    """An attempt as it was read."""

    number: int
    text: str
    candidate: str
    passed: bool | None
    feedback: str
    steps: tuple[Step, ...] = ()


class Preview(Record):
    """One row, and what it would become."""

    source: str
    number: int
    """Its line in the source, or its place in an array, from 1."""
    becomes: str
    """batch (it is learned from), fresh (it is kept for judging), duplicate, or refused; readable, if no more was
    looked at than whether it can be read."""
    reasons: tuple[str, ...] = ()
    """Names of the rules that refuse it."""
    details: tuple[str, ...] = ()
    form: str = ""
    """Name of its format; empty: it could not be told."""
    task_id: str = ""
    domain: str = ""
    task: str = ""
    """Its text. Empty for a refused row, which may hold secrets."""
    attempts: tuple[SeenAttempt, ...] = ()
    submission: int | None = None
    reflections: tuple[str, ...] = ()
    outcome: bool | None = None
    value: float | None = None
    source_of_outcome: str = ""
    """Who said how it ended; empty if the log does not say."""
    advice: tuple[str, ...] = ()
    """What the run was advised."""
    run_id: str = ""


def preview(source: Source, store: ExperienceStore, form: str | None = None) -> Iterator[Preview]:
    """Yield every row of a source in order. Raises DataError when it cannot be read, LedgerError for a broken
    ledger."""
    from parammem.experience.index import RowIndex
    from parammem.experience.ingest import ingested, rows_of
    from parammem.experience.sorter import judged, masked, side_of
    from parammem.registry.ledger import Ledger

    known = RowIndex(store.root, keep=False)

    def becomes(row: Experience) -> str:
        return "duplicate" if known.seen(row) else side_of(row, store)

    try:
        facts = ingested(Ledger(store.root).read())
        known.follow(store.root / place for fact in facts for place in rows_of(fact))
        for one in judged(source, store, form):
            yield _shown(source, one, becomes, masked)
    finally:
        known.close()


def read_only(source: Source, store: ExperienceStore, form: str | None = None) -> Iterator[Preview]:
    """Yield every row of a source as it is read; no rule of admission is asked. Raises DataError when it cannot be
    read."""
    for one in read_source(source, store, form):
        yield _shown(source, one, lambda _: "readable", shown)


def _shown(source: Source, one: Judged, becomes: Callable[[Experience], str], detail: Callable[[str], str]) -> Preview:
    if one.row is None or one.broken:
        rules = tuple(dict.fromkeys(rule.rule for rule in one.broken))
        details = tuple(detail(rule.detail) for rule in one.broken)
        where = {"source": source.name, "number": one.line.number, "form": one.form or ""}
        return Preview(**where, becomes="refused", reasons=rules, details=details)
    return _as_read(source.name, one.line.number, one.form or "", becomes(one.row), one.row)


def row_as_text(row: Preview) -> str:
    """Return what a row would become, for people."""
    where = f"{row.source}:{row.number}:"
    if row.becomes == "refused":
        rules = zip(row.reasons, row.details, strict=False)
        return "\n".join([f"{where} refused", *(f"    {rule}: {shown(detail, 500)}" for rule, detail in rules)])
    outcome = {True: "right", False: "wrong", None: "not known"}[row.outcome]
    task = shown(" ".join(row.task.split()), 100)
    lines = [f"{where} {row.becomes} ({row.form}, {row.domain}, {shown(row.task_id)}), outcome: {outcome}"]
    lines += [f"    task: {task}"]
    for attempt in row.attempts:
        text = shown(" ".join(attempt.candidate.split()), 90)
        mark = " (submitted)" if attempt.number == row.submission else ""
        lines.append(f"    attempt {attempt.number}{mark}: {text}")
    return "\n".join(lines)


def _as_read(source: str, number: int, form: str, becomes: str, row: Experience) -> Preview:
    trajectory = row.trajectory
    attempts = tuple(
        SeenAttempt(
            number=a.number,
            text=a.text,
            candidate=a.candidate,
            passed=a.feedback.passed,
            feedback=a.feedback.text,
            steps=a.steps,
        )
        for a in trajectory.attempts
    )
    return Preview(
        source=source,
        number=number,
        form=form,
        becomes=becomes,
        task_id=row.task.task_id,
        domain=row.task.domain,
        task=row.task.text,
        attempts=attempts,
        submission=trajectory.submission,
        reflections=tuple(said.text for said in trajectory.reflections),
        outcome=row.outcome.passed,
        value=row.outcome.value,
        source_of_outcome=row.outcome.source or "",
        advice=tuple(one.text for one in row.advice),
        run_id=row.run_id,
    )
