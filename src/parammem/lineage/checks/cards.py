"""Adapters of the history whose card cannot be read: which ones, and what brings it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from parammem.core.adapter import CARD
from parammem.core.event import Published
from parammem.lineage.checks.findings import Finding
from parammem.lineage.past.events import Life
from parammem.lineage.past.history import Generation

LISTED = 3
"""Generations that a finding names."""
ABSENT = "neither here nor in DVC's cache; `dvc fetch --all-commits` gets it from the remote"
BROKEN = "no card that this version reads; `git log -- dvc.lock` says who committed it"


def lacking_cards(generations: Iterable[Generation], life: Life) -> Iterator[Finding]:
    """Yield a finding for each domain whose generations lack their cards, for those that are absent and for those that
    cannot be read; it names generations, versions and commits."""
    versions = {e.fact.dvc: e.fact.version for e in life.events if isinstance(e.fact, Published) and e.fact.dvc}
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in generations:
        if one.adapter is None:
            how = ABSENT if one.read(CARD) is None else BROKEN
            stage = one.snapshot.maker(one.place) or "train"
            found.setdefault((one.place, stage, how), []).append(_title(one, versions.get(one.out, 0)))
    for (place, stage, how), titles in found.items():
        more = f" and {len(titles) - LISTED} more" if len(titles) > LISTED else ""
        which = "generation" if len(titles) == 1 else "generations"
        detail = f"the card of {which} {', '.join(titles[:LISTED])}{more} is {how}"
        yield Finding(kind="adapter", stage=stage, path=f"{place}/{CARD}", holds=None, detail=detail)


def _title(one: Generation, version: int) -> str:
    commit = f"commit {one.commit.sha[:12]}" if one.commit else "not committed"
    return f"{one.number} ({f'v{version}, ' if version else ''}{commit})"
