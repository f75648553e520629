"""Test the difference of two arms' mean outcomes by betting, so that one may look after every run, for as long as one
likes.

Runs are assigned to an arm at random with a known chance, in order. Of each run in this order:

    score = (treated - chance) * (outcome - guess),        weight = chance * (1 - chance)

The guess is made from earlier runs alone, so by the randomisation the score's mean is weight * (the run's effect),
whatever the tasks are, however they drift, and however good the guess is. Somebody who bets a constant share of a
capital of 1 on score - null * weight has, as long as the weighted mean effect is at most `null`, a capital that
exceeds 1 / alpha at any time ever with chance alpha at most (Ville's inequality). The capital, averaged over a few
fixed shares, is the e-value (Waudby-Smith and Ramdas 2024). Shares that stay the same, and are no function of the
scores, make it a statement on the mean effect of the runs so far, which may change from run to run.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BETS = np.geomspace(0.05, 0.75, 10)
"""Shares of the capital that are bet. The best is gain / variance of the outcomes: 0.08 / 0.25 = 0.32 for 8 points.
The largest leaves some capital whatever the score is: scores lie in [-1, 1], weights in [0, 1/4], nulls in [-1, 1]."""
BET_WEIGHTS = np.exp(-0.5 * (np.log(BETS / 0.3) / 0.7) ** 2)
BET_WEIGHTS = BET_WEIGHTS / BET_WEIGHTS.sum()
"""How the first capital is spread over them: most on bets that suit gains of 4 to 15 points."""
PRIOR = 10.0
"""Runs that the mean over all groups counts for in the guess for a group of tasks."""
LARGEST = 700.0
"""Of the logarithm of an e-value that is written down as a number."""


class Scores(NamedTuple):
    """What two arms did, run by run, in the order of assignment."""

    score: Floats
    weight: Floats

    @property
    def estimate(self) -> float:
        """Mean outcome of the treated arm minus that of the control; 0 without runs. More than 1, as few runs may give
        it, is cut."""
        total = float(self.weight.sum())
        return max(-1.0, min(1.0, float(self.score.sum()) / total)) if total else 0.0


def scores(treated: NDArray[np.bool_], chance: Floats, outcome: Floats, group: NDArray[np.int64]) -> Scores:
    """Return score and weight of each run; both are 0 where the outcome is NaN, so that the run plays no part.

    Args:
        treated: whether a run was assigned to the arm that is tested; else it was to the control.
        chance: with which it was, of the two.
        outcome: in [0, 1].
        group: number of the group of tasks that the run's task belongs to; the guess is made within the group.
    """
    known = ~np.isnan(outcome)
    value = np.where(known, outcome, 0.0)
    score = (treated - chance) * (value - _guesses(value, known.astype(float), group))
    return Scores(np.where(known, score, 0.0), np.where(known, chance * (1 - chance), 0.0))


def _guesses(value: Floats, known: Floats, group: NDArray[np.int64]) -> Floats:
    """Return each run's outcome as earlier runs let expect it: the mean of its group so far, drawn to that of all.

    In hundredths: a guess need not be good, and few different scores make the interval quick to find.
    """
    overall = (np.cumsum(value) - value + 1.0) / (np.cumsum(known) - known + 2.0)
    if not len(value) or (group == group[0]).all():
        return np.round(overall, 2)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    sizes = np.diff(np.r_[starts, len(group)])
    total, number = np.empty_like(value), np.empty_like(value)
    total[order] = _before(value[order], starts, sizes)
    number[order] = _before(known[order], starts, sizes)
    return np.round((total + PRIOR * overall) / (number + PRIOR), 2)


def _before(values: Floats, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """Return the sum of what stands before each value in its block."""
    sums = np.cumsum(values) - values
    return sums - np.repeat(sums[starts], sizes)


def log_e_values(given: Scores, null: float = 0.0) -> Floats:
    """Return after each run the logarithm of the e-value against "the mean effect so far is at most `null`"."""
    if not len(given.score):
        return np.empty(0)
    gains = given.score - null * given.weight
    logs = np.cumsum(np.log1p(np.outer(BETS, gains)), axis=1) + np.log(BET_WEIGHTS)[:, None]
    top = logs.max(axis=0)
    return top + np.log(np.exp(logs - top).sum(axis=0))


def opposite(given: Scores) -> Scores:
    """Return the same runs with the arms' roles exchanged: an e-value above 1 / alpha then shows that the mean effect
    is below minus `null`."""
    return Scores(-given.score, given.weight)


def last_log_e_value(given: Scores, null: float = 0.0) -> float:
    """Return the logarithm of the e-value after the last run."""
    distinct, times = _distinct(given)
    return _log_capital(distinct.score - null * distinct.weight, times)


def _distinct(given: Scores) -> tuple[Scores, NDArray[np.int64]]:
    """Return each different run once, and how often there is one like it: what stands at the end does not depend on the
    order."""
    pairs, times = np.unique(given.score + 1j * given.weight, return_counts=True)
    return Scores(pairs.real, pairs.imag), times


def _log_capital(gains: Floats, times: NDArray[np.int64]) -> float:
    logs = np.log1p(np.outer(BETS, gains)) @ times + np.log(BET_WEIGHTS)
    return float(logs.max() + np.log(np.exp(logs - logs.max()).sum()))


def interval(given: Scores, confidence: float = 0.95) -> tuple[float, float]:
    """Return a confidence interval of the mean effect of the runs so far; it holds at all times at once.

    It holds every difference that neither of two tests, each at half the error, speaks against.
    """
    if not given.weight.any():
        return -1.0, 1.0
    (score, weight), times = _distinct(given)
    limit = math.log(2 / (1 - confidence))

    def bound(sign: float) -> float:
        from scipy.optimize import brentq

        def excess(null: float) -> float:
            return _log_capital(sign * score - null * weight, times) - limit

        middle = sign * given.estimate
        if excess(-1.0) <= 0:
            return -1.0
        if excess(middle) >= 0:
            return middle
        return float(brentq(excess, -1.0, middle, xtol=1e-4))  # pyright: ignore

    return bound(1.0), -bound(-1.0)


def assignment_log_e_value(treated: NDArray[np.bool_], chance: Floats, group: NDArray[np.int64]) -> float:
    """Return the logarithm of the e-value against "runs were assigned with the recorded chances, in every group".

    Half of the capital is bet on all runs together, half in equal parts on the groups.
    """
    if not len(treated):
        return 0.0
    _, number = np.unique(group, return_inverse=True)
    shares = np.concatenate([BETS, -BETS])
    logs = np.log1p(np.outer(shares, treated - chance))
    prior = np.log(np.concatenate([BET_WEIGHTS, BET_WEIGHTS]) / 2)
    by_group = np.stack([np.bincount(number, weights=line) for line in logs]) + prior[:, None]
    overall = _log_sum(logs.sum(axis=1) + prior)
    groups = _log_sum((by_group - math.log(by_group.shape[1])).ravel())
    return float(np.logaddexp(overall, groups) - math.log(2))


def _log_sum(logs: NDArray[Any]) -> float:
    return float(logs.max() + np.log(np.exp(logs - logs.max()).sum()))


def runs_needed(effect: float, alpha: float, variance: float, weight: float) -> int:
    """Return about how many runs of the two arms a gain of `effect` needs until it is found at level alpha.

    The logarithm of the capital grows by weight · effect² / (2 · variance) a run under the best bet; that the best bet
    is not known costs about 1.5 in all.
    """
    growth = weight * effect**2 / (2 * max(variance, 1e-6))
    return math.ceil((math.log(1 / alpha) + 1.5) / growth) if growth > 0 else 0


def e_value(log_value: float) -> float:
    """Return an e-value as a number that JSON can hold."""
    return math.exp(min(log_value, LARGEST))
