"""Near-duplicates and overlap by Jaccard similarity of word 3-shingles: exact, and far below quadratic.

Two sets that are similar to degree t must share one of their rarest shingles (prefix filter: Chaudhuri et al. 2006,
Bayardo et al. 2007). So an index over those few finds every candidate pair, and each candidate is then verified
exactly. Unlike MinHash nothing is missed, which matters where a miss would put evaluation data into training.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from parammem.validation.similarity_index import SimilarityIndex
from parammem.validation.text import words

Shingles = frozenset[tuple[str, ...]]

SIZE = 3
CONTAINED_FROM = 8
"""A text with fewer shingles is too common to be recognised inside a longer one."""


def shingles(*texts: str) -> Shingles:
    """Return word 3-shingles of texts that belong together. No shingle spans two texts; a short text is one shingle."""
    found: set[tuple[str, ...]] = set()
    for number, text in enumerate(texts):
        parts = words(text)
        mark = (str(number),) if len(texts) > 1 else ()
        if len(parts) < SIZE:
            found.add((*mark, *parts))
            continue
        found.update((*mark, *parts[start : start + SIZE]) for start in range(len(parts) - SIZE + 1))
    return frozenset(found)


def jaccard(left: Shingles, right: Shingles) -> float:
    """Return shared shingles over all shingles; 1 for two empty sets."""
    shared = len(left & right)
    together = len(left) + len(right) - shared
    return shared / together if together else 1.0


def near_duplicates(items: Sequence[Shingles], threshold: float) -> dict[int, int]:
    """Return for each item that is similar to an earlier one that was kept: that earlier place.

    Args:
        items: one shingle set per row, in row order.
        threshold: Jaccard similarity from which on two items are the same, in (0, 1].
    """
    order = _rarity(items)
    index = SimilarityIndex(threshold)
    first: dict[Shingles, int] = {}
    """Of each set that came before, the kept place that it is similar to: its own, if it was kept itself."""
    found: dict[int, int] = {}
    for place, item in enumerate(items):
        near = first.get(item)
        if near is None:
            ranks = sorted(order[shingle] for shingle in item)
            near = _first_similar(item, items, index.candidates(ranks), threshold)
            if near is None:
                index.add(place, ranks)
            first[item] = place if near is None else near
        if near is not None:
            found[place] = near
    return found


def _first_similar(
    item: Shingles, items: Sequence[Shingles], candidates: Iterable[int], threshold: float
) -> int | None:
    return next((old for old in sorted(candidates) if jaccard(item, items[old]) >= threshold), None)


def overlaps(items: Sequence[Shingles], references: Sequence[Shingles], threshold: float) -> set[int]:
    """Return places of the items that hold a reference: nearly equal to it, or holding that share of its shingles.

    The second catches a reference that was wrapped in other text. It also takes a task that extends an evaluation
    task by one more clause; that is meant: a few rows lost cost less than one leak.
    """
    order = _rarity(references)
    index: dict[int, set[int]] = defaultdict(set)
    for place, reference in enumerate(references):
        for key in _prefix(reference, order, threshold):
            index[key].add(place)
    found = set()
    for place, item in enumerate(items):
        known = (order[shingle] for shingle in item if shingle in order)
        candidates = {old for key in known for old in index.get(key, ())}
        if any(_holds(item, references[old], threshold) for old in candidates):
            found.add(place)
    return found


def _holds(item: Shingles, reference: Shingles, threshold: float) -> bool:
    if jaccard(item, reference) >= threshold:
        return True
    return len(reference) >= CONTAINED_FROM and len(item & reference) >= threshold * len(reference)


def _rarity(items: Sequence[Shingles]) -> dict[tuple[str, ...], int]:
    """Return the rank of every shingle, rarest first; ties by text, so that the result depends on the items alone."""
    counts = Counter(shingle for item in items for shingle in item)
    return {shingle: rank for rank, shingle in enumerate(sorted(counts, key=lambda s: (counts[s], s)))}


def _prefix(item: Shingles, order: dict[tuple[str, ...], int], threshold: float) -> list[int]:
    """Return the rarest shingles, so many that a set sharing none of them cannot reach the threshold."""
    ranks = sorted(order[shingle] for shingle in item)
    needed = math.ceil(threshold * len(ranks) - 1e-9)  # the small slack keeps 0.9 * 10 from rounding up to 10
    return ranks[: len(ranks) - needed + 1]
