"""What withdrawing a row means: who saw it and what follows, and the proof that a state no longer has it.

Changes nothing; improve/recall.py does it.
"""

from __future__ import annotations

from pathlib import Path

from parammem.checkout.places import RECALLED, places_of
from parammem.checkout.snapshot import Snapshot
from parammem.core.record import Record, digest_of
from parammem.core.words import count
from parammem.errors import LineageError, LineageMissingError
from parammem.lineage.past.events import Life, read_life
from parammem.lineage.past.history import REFLECTORS, card_in
from parammem.lineage.rows.datasets import matching, row_hash
from parammem.lineage.rows.trace import RowTrace, trace_rows

WITHDRAWN = RECALLED.as_posix()


class Fallback(Record):
    """Who becomes champion of a domain while the row's adapters are out."""

    domain: str
    champion: int
    """The champion's version, if it was trained on the row."""
    version: int
    """The newest champion that never saw it; 0: there is none, and the domain has no champion."""


class RecallPlan(Record):
    """What a recall would do."""

    row_hash: str
    trace: RowTrace
    domains: tuple[str, ...]
    """Domains of which an adapter saw it."""
    fallbacks: tuple[Fallback, ...]
    retrain: tuple[str, ...]
    """Stages to run again."""
    known: bool
    """It was withdrawn before."""


def plan_recall(repo: Path, row: str) -> RecallPlan:
    """Return what is affected by one row. Changes nothing.

    Raises:
        LineageError: no such row, or several rows are meant.
    """
    traces = trace_rows(repo, row)
    if len(traces) > 1:
        listed = ", ".join(one.row_hash[:16] for one in traces[:5])
        raise LineageMissingError(f"{row!r} means {count(len(traces), 'row')} ({listed} …); recall one by its hash")
    [trace] = traces
    life = read_life(repo)
    saw = {one.digest for one in trace.adapters}
    domains = tuple(sorted({one.domain for one in trace.adapters} or {trace.domain or "code"}))
    fallbacks = []
    for domain in domains:
        champion = life.champion(domain)
        if champion and champion.adapter in saw:
            fallbacks.append(Fallback(domain=domain, champion=champion.version, version=_newest(life, domain, saw)))
    return RecallPlan(
        row_hash=trace.row_hash,
        trace=trace,
        domains=domains,
        fallbacks=tuple(fallbacks),
        retrain=tuple(f"{stage}@{domain}" for domain in domains for stage in ("validate", "train", "evaluate")),
        known=trace.recalled is not None,
    )


def _newest(life: Life, domain: str, saw: set[str]) -> int:
    """Return the version of the newest champion that is none of these adapters; 0: there is none."""
    clean = [
        championship.version
        for championship in life.championships(domain)
        if championship.adapter and championship.adapter not in saw
    ]
    return clean[-1] if clean else 0


def prove_absence(state: Snapshot, domain: str, row: str) -> list[str]:
    """Return what shows that the row is in no dataset, manifest or adapter of this state. Raises LineageError if it
    is."""
    validated, manifest = places_of(domain).validated.as_posix(), f"{REFLECTORS}{domain}/rows.txt"
    quarantine = places_of(domain).quarantine.as_posix()
    still = matching(state, validated, lambda found: row_hash(found) == row)
    rows = (state.read(manifest) or b"").decode().split()
    if still or row in rows or not rows:
        where = validated if still else manifest
        raise LineageError(f"row {row[:16]} is still in {where} after the rebuild; nothing was committed")
    card = card_in(state, f"{REFLECTORS}{domain}")
    if digest_of(rows) != card.data_digest:
        raise LineageError(f"{manifest} is not the manifest of the rebuilt adapter; nothing was committed")
    many, digest = count(len(rows), "row"), card.digest[:16]
    lines = [f"{manifest}: {many}, it is none of them, and their digest is the adapter's {digest}"]
    lines.append(f"{validated}: it is not there")
    if matching(state, quarantine, lambda found: row_hash(found) == row):
        lines.append(f"{quarantine}: it is there")
    return lines


def render_plan(plan: RecallPlan) -> str:
    """Return what would happen, for people."""
    lines = [f"Row {plan.row_hash}" + (" was recalled before" if plan.known else "")]
    lines += [f"  came with batch {one.batch[:16]} {one.source or ''}".rstrip() for one in plan.trace.batches]
    lines.append(f"  {count(len(plan.trace.adapters), 'adapter')} trained on it:")
    for one in plan.trace.adapters:
        named = f"v{one.version}" if one.version else one.folder
        lines.append(f"    {named} {one.digest[:16]}, {one.folder}/rows.txt:{','.join(map(str, one.lines))}")
    for back in plan.fallbacks:
        to = (
            f"v{back.version}, the newest champion that was not trained on it"
            if back.version
            else "no reflector: all were trained on it"
        )
        lines.append(f"  champion of {back.domain}: from v{back.champion} to {to}")
    if not plan.fallbacks:
        lines.append("  no champion was trained on it, so none changes")
    lines.append(f"  then again: {', '.join(plan.retrain)}")
    return "\n".join(lines)
