"""The exact paired test, its power, and bounds of a difference. The unit is the task.

A task's difference is an integer: runs solved by the challenger minus runs solved by the champion. If neither is
better, each difference is as likely to have the other sign (Fisher's sign-flip test); with one run per task this is the
exact McNemar test. The null distribution is counted out in full, so p is exact however small, which a budget of many
looks needs and random sign patterns cannot give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
"""Of each one-sided bound."""
GOOD_POWER = 0.8


def sign_sums(sizes: Sequence[int], plus: float = 0.5) -> np.ndarray:
    """Return distribution of Σ ±size when every sign is + with chance `plus`.

    Returns:
        Float array of length 2·Σsizes + 1; place i is the chance of the sum i − Σsizes.
    """
    chances = np.array([1.0])
    for size in sizes:
        wider = np.zeros(len(chances) + 2 * size)
        wider[2 * size :] += plus * chances
        wider[: len(chances)] += (1 - plus) * chances
        chances = wider
    return chances


def better_p(differences: Sequence[int]) -> float:
    """Return one-sided p that the challenger is no better. 1 when all differences are 0."""
    sizes = [abs(d) for d in differences if d]
    if not sizes:
        return 1.0
    total = sum(differences)
    if set(sizes) == {1}:
        return _binomial_tail((len(sizes) + total) // 2, len(sizes), 0.5)
    return float(min(1.0, sign_sums(sizes)[sum(sizes) + total :].sum()))


def power(differences: Sequence[int], effect: float, alpha: float) -> float:
    """Return the chance that the test finds, at level alpha, a challenger that wins ½ + effect of the differing tasks.

    It is computed for as many differing tasks, of the same sizes, as were seen. Tasks without a difference are no part
    of it, as they are no part of the test. Which way the others went plays no part either: under the null hypothesis
    the sizes say nothing of the signs, so how a look is paid for may depend on its power without biasing the test.
    (Were it to depend on where champion and holdout differ, it would not be: the champion's luck stands in both.)
    """
    sizes = [abs(d) for d in differences if d]
    if not sizes:
        return 0.0
    plus = min(1.0, 0.5 + effect)
    if set(sizes) == {1}:
        return _binomial_power(len(sizes), plus, alpha)
    null = np.cumsum(sign_sums(sizes)[::-1])[::-1]
    rejected = null <= alpha
    return float(sign_sums(sizes, plus)[rejected].sum())


def best_p(differences: Sequence[int]) -> float:
    """Return the least p that these sizes allow: that of a challenger which wins every task that differs."""
    return better_p([abs(d) for d in differences])


def tasks_needed(differences: Sequence[int], effect: float, alpha: float, wanted: float) -> int | None:
    """Return about how many tasks give a power of `wanted`, at this share and size of differing ones.

    Normal approximation. None where no task differs, or alpha is 0: then no number of such tasks is enough.
    """
    from scipy import stats

    squares, sizes = sum(d * d for d in differences), sum(abs(d) for d in differences)
    if not sizes or alpha <= 0:
        return None
    plus = min(1.0, 0.5 + effect)
    reach = stats.norm.isf(alpha) + stats.norm.ppf(wanted) * 2 * math.sqrt(plus * (1 - plus))
    return math.ceil(len(differences) * squares * (max(0.0, reach) / (2 * effect * sizes)) ** 2)


def bounds(differences: Sequence[int], runs: int) -> tuple[float, float, float]:
    """Return mean difference (share of runs) with its one-sided 95% lower and upper bound, clustered by task.

    Two imagined tasks are added, one won and one lost in full (Bonett and Price 2012 for one run per task): this keeps
    the bounds honest where few or no tasks differ. Without tasks: (0, -1, 1).
    """
    from scipy import stats

    if not differences:
        return 0.0, -1.0, 1.0
    shares = np.array([*differences, runs, -runs], dtype=float) / runs
    reach = float(stats.t.ppf(CONFIDENCE, len(shares) - 1))
    spread = reach * float(shares.std(ddof=1)) / math.sqrt(len(shares))
    centre = float(shares.mean())
    return sum(differences) / (len(differences) * runs), max(-1.0, centre - spread), min(1.0, centre + spread)


def _binomial_tail(successes: int, n: int, chance: float) -> float:
    """Return P(X >= successes)."""
    from scipy import stats

    return float(stats.binom.sf(successes - 1, n, chance))


def _binomial_power(n: int, plus: float, alpha: float) -> float:
    from scipy import stats

    # The least number of wins that is significant; isf gives it up to one, by rounding.
    wins = int(stats.binom.isf(alpha, n, 0.5))
    needed = next(k for k in range(max(0, wins - 1), n + 2) if stats.binom.sf(k - 1, n, 0.5) <= alpha)
    return float(stats.binom.sf(needed - 1, n, plus))
