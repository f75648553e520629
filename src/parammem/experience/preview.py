"""What each row of a source would become if it were ingested now. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parammem.core.event import Ingested
from parammem.core.experience import Experience
from parammem.core.record import Record
from parammem.experience.convert import Format
from parammem.experience.index import RowIndex
from parammem.experience.ingest import ingested, rows_of
from parammem.experience.sorter import Judged, judged, masked, side_of
from parammem.experience.source_files import Source
from parammem.experience.store import ExperienceStore
from parammem.registry.ledger import Ledger


class SeenAttempt(Record):
    """An attempt as it was read."""

    number: int
    text: str
    candidate: str
    passed: bool | None
    feedback: str


class Preview(Record):
    """One row, and what it would become."""

    source: str
    number: int
    """Its line in the source, or its place in an array, from 1."""
    becomes: str
    """batch (it is learned from), fresh (it is kept for judging), duplicate, or refused."""
    reasons: tuple[str, ...] = ()
    """Names of the rules that refuse it."""
    details: tuple[str, ...] = ()
    form: str = ""
    """parammem, reflexion or openai; empty: it could not be read."""
    task_id: str = ""
    domain: str = ""
    task: str = ""
    """Its text. Empty for a refused row, which may hold secrets."""
    attempts: tuple[SeenAttempt, ...] = ()
    submission: int | None = None
    reflections: tuple[str, ...] = ()
    outcome: bool | None = None


def preview(source: Source, store: ExperienceStore, form: Format | None = None) -> Iterator[Preview]:
    """Every row of a source in order. Raises DataError when it cannot be read, LedgerError for a broken ledger."""
    known = RowIndex(store.root, keep=False)
    try:
        known.follow(store.root / place for fact in _facts(store) for place in rows_of(fact))
        for one in judged(source, store, form):
            yield _shown(source, one, store, known)
    finally:
        known.close()


def _facts(store: ExperienceStore) -> Sequence[Ingested]:
    return ingested(Ledger(store.root).read())


def _shown(source: Source, one: Judged, store: ExperienceStore, known: RowIndex) -> Preview:
    if one.row is None or one.broken:
        rules = tuple(dict.fromkeys(rule.rule for rule in one.broken))
        details = tuple(masked(rule.detail) for rule in one.broken)
        where = {"source": source.name, "number": one.line.number, "form": one.form or ""}
        return Preview(**where, becomes="refused", reasons=rules, details=details)
    becomes = "duplicate" if known.seen(one.row) else side_of(one.row, store)
    return _as_read(source.name, one.line.number, one.form or "", becomes, one.row)


def _as_read(source: str, number: int, form: str, becomes: str, row: Experience) -> Preview:
    trajectory = row.trajectory
    attempts = tuple(
        SeenAttempt(
            number=a.number,
            text=a.text,
            candidate=a.candidate,
            passed=a.feedback.passed,
            feedback=a.feedback.text,
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
        outcome=row.outcome,
    )
