"""Does a new batch of experience look like what came before it?

What tasks are about, and what is right about them, may drift: that is what a reflector learns. How long questions and
advice are does not drift by half; where it does, the batch comes from elsewhere: another labeller, another prompt, a
collector that loses its lines. So the distribution of lengths is compared, batch by batch, with all earlier rows.

A batch is set aside when for one length the two cumulative distributions are apart by at least the given limit and
that is no accident: by the two-sample bound P(D >= d) <= e exp(-2 d² nm/(n+m)) (Wei and Dudley 2012, proved for n = m),
shared over the lengths, a batch from the same source is set aside once in 1,000 times at most. The answer about a batch
rests on earlier rows only, so it stays the same when more come in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from parammem.core import ReflectionExample
from parammem.validation import text as look

FALSE_ALARMS = 0.001
"""Of batches that differ by chance alone, at most this share is set aside."""
MEASURES: tuple[Callable[[ReflectionExample], int], ...] = (
    lambda row: look.word_count(row.reflection),
    lambda row: look.word_count(row.task_text),
)


def shifted(rows: Sequence[ReflectionExample], limit: float) -> list[bool]:
    """Return for each row whether it came with a batch that is unlike the rows before it.

    Args:
        rows: sound rows, batches in the order in which they came; `origin` names the batch.
        limit: distance of two distributions, 0 to 1, that is too much; 1 lets everything pass.
    """
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.origin, []).append(place)
    found = [False] * len(rows)
    earlier: list[int] = []
    for batch in places.values():
        if limit < 1 and any(_apart(rows, batch, earlier, measure, limit) for measure in MEASURES):
            for place in batch:
                found[place] = True
        else:
            earlier += batch
    return found


def _apart(
    rows: Sequence[ReflectionExample],
    batch: Sequence[int],
    earlier: Sequence[int],
    measure: Callable[[ReflectionExample], int],
    limit: float,
) -> bool:
    if not earlier:
        return False
    far = distance([measure(rows[place]) for place in batch], [measure(rows[place]) for place in earlier])
    return far >= limit and likelihood(far, len(batch), len(earlier)) <= FALSE_ALARMS / len(MEASURES)


def distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Return largest difference of the two cumulative distributions (Kolmogorov and Smirnov), 0 to 1."""
    first, second = Counter(one), Counter(other)
    below, largest = [0, 0], 0.0
    for value in sorted({*first, *second}):
        below = [below[0] + first[value], below[1] + second[value]]
        largest = max(largest, abs(below[0] / len(one) - below[1] / len(other)))
    return largest


def likelihood(far: float, one: int, other: int) -> float:
    """Return a bound on how likely two samples of one source are so far apart or farther."""
    return min(1.0, math.exp(1 - 2 * far * far * one * other / (one + other)))
