"""validate: reflection rows through the Great Expectations suite; bad rows are set aside with reasons, never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import ReflectionExample, Task, Trajectory, read_jsonl, write_jsonl
from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl, text_lines, write_text
from parammem.core.record import Record
from parammem.errors import ValidationFailed
from parammem.stages.ingested import iter_experience
from parammem.stages.opening import is_pocket, open_domain

if TYPE_CHECKING:
    from parammem.validation import RunTexts

RECALLED = "recalled"
"""The reason of rows that `parammem audit recall` withdrew."""


class QuarantinedRow(Record):
    """A row that may not be trained on, whole, with the rules it broke."""

    row: ReflectionExample
    reasons: tuple[str, ...]


def read_recalled(path: Path) -> frozenset[str]:
    """Return hashes of rows that were withdrawn for good, one a line; lines with # are for people."""
    lines = text_lines(path.read_text(encoding="utf-8")) if path.is_file() else []
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _of(domain: str, row: Experience) -> bool:
    return row.task.domain == domain


def _runs(places: Places, params: Params) -> Iterator[RunTexts]:
    """Yield what each run handed over and was told, of those that were collected and those that came in."""
    for trajectory in iter_jsonl(places.trajectories, Trajectory):
        yield _texts(trajectory)
    for _, one in iter_experience(places.root / params.collect.experience_dir, places.domain):
        yield _texts(one.trajectory, tuple(piece.text for piece in one.advice))


def _texts(trajectory: Trajectory, given: tuple[str, ...] = ()) -> RunTexts:
    from parammem.validation import RunTexts

    attempt, said = trajectory.submitted, trajectory.reflections
    return RunTexts(
        trajectory_id=trajectory.trajectory_id,
        task_id=trajectory.task_id,
        answer=attempt.candidate if attempt else "",
        notes=tuple(piece.text for piece in said if piece.source == "self"),
        advice=(*given, *(piece.text for piece in said if piece.source != "self")),
    )


def run(params: Params, domain: str, root: Path = Path(".")) -> None:
    """Write data/validated/, data/quarantine/ and reports/validation/; Data Docs beside it.

    Raises:
        ValidationFailed: a rule about the whole failed. Everything is written all the same.
    """
    from parammem.domains.added import unadded
    from parammem.domains.conventions import kinds_of
    from parammem.validation import KnownRuns, explain, validate_rows
    from parammem.validation.repeats import LESSONS

    places = Places(root, domain)
    collected = read_jsonl(places.reflections, ReflectionExample)
    withdrawn = read_recalled(places.recalled)
    rows = [row for row in collected if row.row_hash not in withdrawn]
    evaluation = [t.text for split in ("eval", "unseen") for t in read_jsonl(places.tasks(split), Task)]
    evaluation += [e.task.text for file in places.fresh for e in iter_jsonl(file, Experience) if _of(domain, e)]
    # Pocket advice is parsed into claims and names its kind first; on real benchmarks advice is free prose.
    prose = not is_pocket(params, domain)
    stated = unadded if prose else str
    claims = None if prose else open_domain(params, domain).prompts.hypotheses
    kinds = None if prose else kinds_of(params.kind(domain))
    asked = frozenset(params.collect.parts if params.collect.label == "experience" else ())
    # Pocket rows of hindsight repeat the plan, and so the notes, of their run: that is what they are for.
    known = KnownRuns(_runs(places, params), asked) if prose or asked & LESSONS else None
    verdict = validate_rows(
        rows, evaluation, params.validate_, domain, claims, kinds=kinds, stated=stated, docs=places.data_docs,
        known=known,
    )  # fmt: skip
    write_jsonl(places.validated, [rows[i] for i in verdict.kept])
    recalled = [QuarantinedRow(row=row, reasons=(RECALLED,)) for row in collected if row.row_hash in withdrawn]
    broken = [QuarantinedRow(row=rows[q.row], reasons=q.reasons) for q in verdict.quarantined]
    write_jsonl(places.quarantine, [*recalled, *broken])
    write_text(places.validation, json.dumps(verdict.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
    if not verdict.passed:
        raise ValidationFailed(explain(verdict))
