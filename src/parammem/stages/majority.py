"""The control that needs no training: one piece of advice for every task."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core import ReflectionExample
from parammem.domains.conventions import conventions_of, parse_claims, worded


def majority_advice(kind: str, rows: Sequence[ReflectionExample]) -> str:
    """Return one piece of advice for every task: of each convention of a kind of domain the value that most rows
    claim."""
    counts = {name: dict.fromkeys(values, 0) for name, values in conventions_of(kind).items()}
    for row in rows:
        for claim in parse_claims(kind, row.reflection):
            name, value = claim.split("=")
            counts[name][value] += 1
    return worded(kind, {name: max(said, key=lambda v: said[v]) for name, said in counts.items()})
