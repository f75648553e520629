"""Everything that one training row touched, as records and in words."""

from __future__ import annotations

from parammem.core.escape import shown
from parammem.core.record import Record

LONGEST = 1000
"""Characters of a line."""


class BatchSeen(Record):
    """An experience batch that the row came in with."""

    batch: str
    """Its digest, which names its file; `collect` for rows of the pipeline's own agents."""
    source: str | None
    """The file that was ingested, by name; None: the batch is not in the ledger."""
    time: str | None


class DatasetSeen(Record):
    """A version of a dataset that holds the row."""

    path: str
    md5: str
    commit: str | None
    """The first commit with this version; None: it is only in the working tree."""


class AdapterSeen(Record):
    """An adapter that was trained on the row."""

    folder: str
    domain: str
    digest: str
    generation: int | None
    """Its place in the history of its domain; None: a control, or an adapter outside of it."""
    version: int | None
    """The version under which it was registered."""
    lines: tuple[int, ...]
    """Lines of its rows.txt, from 1."""
    commit: str | None


class EvaluationSeen(Record):
    """A measurement of an adapter that saw the row."""

    adapter: str
    what: str
    """`reports/evaluation/<domain>` with its hash, or the event of the ledger."""


class PromotionSeen(Record):
    """A decision about an adapter that was trained on the row, or a time in which that adapter was champion."""

    adapter: str
    event: int
    what: str


class RowTrace(Record):
    """Everything that one row touched."""

    row_hash: str
    domain: str | None
    task_id: str | None
    task_text: str | None = None
    """None: only its hash is known here."""
    reflection: str | None = None
    batches: tuple[BatchSeen, ...]
    datasets: tuple[DatasetSeen, ...]
    quarantined: tuple[str, ...]
    """Quarantine files that hold it."""
    recalled: int | None
    """Number of the event that withdrew it."""
    adapters: tuple[AdapterSeen, ...]
    evaluations: tuple[EvaluationSeen, ...]
    promotions: tuple[PromotionSeen, ...]


def render_trace(trace: RowTrace) -> str:
    """Return what one row touched, for people."""
    lines = [
        f"Row {trace.row_hash}",
        f"  {shown(trace.domain or 'domain not recorded')}, task {shown(trace.task_id or 'not recorded')}",
    ]
    for name, text in (("task", trace.task_text), ("advice", trace.reflection)):
        if text is not None:
            lines.append(f"  {name}:")
            lines += [f"    {shown(line, LONGEST)}" for line in text.split("\n")]
    if trace.recalled:
        lines.append(f"  RECALLED by event {trace.recalled}")
    parts: dict[str, list[str]] = {
        "batches": [f"{b.batch[:16]} {b.source or ''} {b.time or ''}".rstrip() for b in trace.batches],
        "datasets": [f"{d.path} {d.md5[:12]}, from {d.commit[:12] if d.commit else 'here'}" for d in trace.datasets],
        "quarantined": list(trace.quarantined),
        "adapters": [
            f"{f'v{a.version}' if a.version else a.folder} {a.digest[:16]}, rows.txt:{','.join(map(str, a.lines))}"
            for a in trace.adapters
        ],
        "evaluations": [f"{e.adapter[:16]}: {e.what}" for e in trace.evaluations],
        "promotions": [f"{p.adapter[:16]}: event {p.event}, {p.what}" for p in trace.promotions],
    }
    for name, said in parts.items():
        lines.append(f"  {name}: {'none' if not said else ''}".rstrip())
        lines += [f"    {shown(line, LONGEST)}" for line in said]
    return "\n".join(lines)
