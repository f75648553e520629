"""An index of sets that finds those similar to another one, none missed, in time that hardly grows with their number.

Two sets that are similar to degree t share one of their rarest members (prefix filter, with positions: Xiao et al.
2008). Among rows of one template that is not enough: rare members, such as the shingles around one noun, come together,
and the more rows there are, the more share them. So a list that gives many candidates becomes an index of its own.
There, what its rows have in common is no longer rare, and their rarest members are the ones that tell them apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

MANY = 4
"""A list that gives more candidates than these becomes an index of its own."""


Rows = dict[tuple[int, int], list[int]]
"""Places of sets that have one member among their rarest, by the set's size and the member's place among these."""


class SimilarityIndex:
    """Sets of numbers, found by their rarest members. A number is a member's rank: the rarest of all has the lowest."""

    def __init__(self, threshold: float) -> None:
        """
        Args:
            threshold: Jaccard similarity from which on two sets are similar, in (0, 1].
        """
        self.threshold = threshold
        self.sets: dict[int, Sequence[int]] = {}
        self.lists: dict[int, Rows | SimilarityIndex] = {}
        self.counts: Mapping[int, int] = {}
        """How many of the sets that were here first hold each member; where they are equal, the rank decides."""
        self.common: frozenset[int] = frozenset()
        """Members of every set, so that a list of theirs tells no sets apart."""

    def add(self, place: int, ranks: Sequence[int]) -> None:
        """Put a set in, under a place that names it; its ranks are sorted."""
        self.sets[place] = ranks
        for at, rank in enumerate(self._rarest(ranks)):
            rows = self.lists.get(rank)
            if isinstance(rows, SimilarityIndex):
                rows.add(place, ranks)
            elif rows is None:
                self.lists[rank] = {(len(ranks), at): [place]}
            else:
                rows.setdefault((len(ranks), at), []).append(place)

    def candidates(self, ranks: Sequence[int]) -> set[int]:
        """Return the places of all sets that are similar to this one, and of a few others."""
        found: set[int] = set()
        for at, rank in enumerate(self._rarest(ranks)):
            rows = self.lists.get(rank)
            if isinstance(rows, SimilarityIndex):
                found |= rows.candidates(ranks)
            elif rows is not None:
                near = self._within(rows, len(ranks), at)
                found.update(near)
                if len(near) > MANY and rank not in self.common:
                    self.lists[rank] = self._indexed(rows)
        return found

    def _within(self, rows: Rows, size: int, at: int) -> list[int]:
        """Return the sets that have enough members left, from the shared one on, to be similar to one of this size."""
        return [
            place
            for (other, other_at), places in rows.items()
            if min(size - at, other - other_at) >= shared_needed(size, other, self.threshold)
            for place in places
        ]

    def _indexed(self, rows: Rows) -> SimilarityIndex:
        sets = {place: self.sets[place] for places in rows.values() for place in places}
        index = SimilarityIndex(self.threshold)
        index.counts = Counter(rank for ranks in sets.values() for rank in ranks)
        index.common = frozenset(rank for rank, count in index.counts.items() if count == len(sets))
        for place, ranks in sets.items():
            index.add(place, ranks)
        return index

    def _rarest(self, ranks: Sequence[int]) -> Sequence[int]:
        """Return the rarest members, so many that a set sharing none of them cannot be similar, rarest first."""
        smallest = math.ceil(self.threshold * len(ranks) - 1e-9)
        count = len(ranks) - shared_needed(len(ranks), smallest, self.threshold) + 1
        new = [rank for rank in ranks if rank not in self.counts]
        if len(new) < count and self.counts:
            new += sorted((rank for rank in ranks if rank in self.counts), key=lambda rank: (self.counts[rank], rank))
        return new[:count]


def shared_needed(size: int, other: int, threshold: float) -> int:
    """Return how many members two similar sets of these sizes share at least; no two sets of sizes too different do."""
    return math.ceil(threshold / (1 + threshold) * (size + other) - 1e-9)  # the slack is for rounding of floats
