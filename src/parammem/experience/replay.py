"""Which rows are learned from when experience piles up: caps, reservoir decay, a share for the anchor, and replay.

A pure function over rows. Whether a row stays follows from the row and the dials alone (a hash in place of a random
number), so a pool that grows by one batch changes by little, and equal pools give equal bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

from parammem.config import PoolParams, WarmStartParams
from parammem.core import ReflectionExample, digest_of
from parammem.errors import DataError

ANCHOR = "collect"
"""Origin of the rows that were collected here, on the pipeline's own train tasks."""


def select(rows: Sequence[ReflectionExample], dials: PoolParams) -> list[ReflectionExample]:
    """Return the rows to learn from, in their order. With every dial at 0 these are all rows.

    - `max_rows`: a weighted reservoir (Efraimidis and Spirakis 2006) of this size. A row weighs 0.5^(age/half_life),
      where age counts the batches that came after its own; rows of the anchor do not age.
    - `max_source_share`: no batch gives more than this share of what stays. Where all rows come from a few batches, so
      that the shares could not add up to one, each may give an equal part.
    - `min_anchor_share`: this share of what stays is the anchor's, as far as it has rows.

    Args:
        rows: of one domain, batches in the order in which they came (as `collect` writes them).
    """
    if not (dials.max_rows or dials.max_source_share or dials.min_anchor_share):
        return list(rows)
    ranked = _ranked(rows, dials)
    total = min(len(rows), dials.max_rows or len(rows))
    kept = _fill(rows, ranked, total, dials)
    while len(kept) < total:  # a cap took rows away, so the shares are of fewer rows now
        total = len(kept)
        kept = _fill(rows, ranked, total, dials)
    return [rows[place] for place in sorted(kept)]


def replayed(
    rows: Sequence[ReflectionExample], known: Collection[str], dials: WarmStartParams
) -> list[ReflectionExample]:
    """Return what an adapter is trained on that goes on from another: every row that is new to it, and so many of those
    that it was trained on that they make up the share `replay`, in their order. Which ones follows from a hash.

    Args:
        known: hashes of the rows that it has learned.

    Raises:
        DataError: no row is new to it.
    """
    seen = set(known)
    new = sum(row.row_hash not in seen for row in rows)
    if not new:
        raise DataError("no row is new to the adapter that training goes on from; bring in experience first")
    old = [row.row_hash for row in rows if row.row_hash in seen]
    count = round(new * dials.replay / (1 - dials.replay))
    chosen = set(sorted(old, key=lambda name: digest_of(["replay", dials.seed, name]))[:count])
    return [row for row in rows if row.row_hash not in seen or row.row_hash in chosen]


def ages(rows: Sequence[ReflectionExample]) -> dict[str, int]:
    """Return batch → how many batches came after it; 0 for the newest, and for the anchor."""
    batches = list(dict.fromkeys(row.origin for row in rows if row.origin != ANCHOR))
    return {batch: age for age, batch in enumerate(reversed(batches))} | {ANCHOR: 0}


def _ranked(rows: Sequence[ReflectionExample], dials: PoolParams) -> list[int]:
    """Return places of the rows, those that are likeliest to stay first."""
    old = ages(rows)

    def staying(place: int) -> tuple[float, int]:
        row = rows[place]
        chance = (int(digest_of(["pool", dials.seed, row.row_hash])[:13], 16) + 1) / (16**13 + 1)
        weight = 0.5 ** (old[row.origin] / dials.half_life) if dials.half_life else 1.0
        return math.log(chance) / max(weight, 1e-300), -place  # log of chance^(1/weight)

    return sorted(range(len(rows)), key=staying, reverse=True)


def _fill(rows: Sequence[ReflectionExample], ranked: Sequence[int], total: int, dials: PoolParams) -> set[int]:
    """Choose at most `total` places that keep to the shares."""
    anchors = [place for place in ranked if rows[place].origin == ANCHOR]
    kept = set(anchors[: math.ceil(dials.min_anchor_share * total)])
    sources = {row.origin for row in rows} - {ANCHOR}
    cap = math.floor(dials.max_source_share * total) if dials.max_source_share else total
    if sources and not anchors:
        cap = max(cap, math.ceil(total / len(sources)))
    given: Counter[str] = Counter()
    for place in ranked:
        origin = rows[place].origin
        if len(kept) >= total:
            break
        if place in kept or (origin != ANCHOR and given[origin] >= cap):
            continue
        kept.add(place)
        given[origin] += 1
    return kept
