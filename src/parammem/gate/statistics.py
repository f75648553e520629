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
    """Distribution of Σ ±size when every sign is + with chance `plus`.

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
    """One-sided p that the challenger is no better. 1 when all differences are 0."""
    sizes = [abs(d) for d in differences if d]
    if not sizes:
        return 1.0
    total = sum(differences)
    if set(sizes) == {1}:
        return _binomial_tail((len(sizes) + total) // 2, len(sizes), 0.5)
    return float(min(1.0, sign_sums(sizes)[sum(sizes) + total :].sum()))


def power(differences: Sequence[int], runs: int, effect: float, alpha: float) -> float:
    """Chance that the test finds, at level alpha, a true gain of `effect` (share of runs).

    It is reckoned for as many unequal tasks, of the same sizes, as were seen. Which way they went plays no part: under
    the null hypothesis that number says nothing of the outcome, so a look may be refused because of it for free.
    """
    sizes = [abs(d) for d in differences if d]
    if not sizes:
        return 0.0
    gain = effect * len(differences) * runs
    plus = min(1.0, 0.5 + gain / (2 * sum(sizes)))
    if set(sizes) == {1}:
        return _binomial_power(len(sizes), plus, alpha)
    null = np.cumsum(sign_sums(sizes)[::-1])[::-1]
    rejected = null <= alpha
    return float(sign_sums(sizes, plus)[rejected].sum())


def tasks_needed(differences: Sequence[int], runs: int, effect: float, alpha: float) -> int:
    """About how many tasks give a power of 0.8, at this share and size of unequal ones (normal approximation)."""
    from scipy import stats

    n = len(differences)
    # Under the alternative a share `effect` at least must be unequal, or the gain could not be.
    spread = max(sum(d * d for d in differences) / n / runs**2, effect) if n else 1.0
    reach = stats.norm.isf(alpha) + stats.norm.ppf(GOOD_POWER)
    return math.ceil(spread * (reach / effect) ** 2)


def bounds(differences: Sequence[int], runs: int) -> tuple[float, float, float]:
    """Mean difference (share of runs) with its one-sided 95% lower and upper bound, clustered by task.

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
    """P(X >= successes)."""
    from scipy import stats

    return float(stats.binom.sf(successes - 1, n, chance))


def _binomial_power(n: int, plus: float, alpha: float) -> float:
    from scipy import stats

    # The least number of wins that is significant; isf gives it up to one, by rounding.
    wins = int(stats.binom.isf(alpha, n, 0.5))
    needed = next(k for k in range(max(0, wins - 1), n + 2) if stats.binom.sf(k - 1, n, 0.5) <= alpha)
    return float(stats.binom.sf(needed - 1, n, plus))
