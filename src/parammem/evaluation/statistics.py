"""Intervals and tests. The unit is what was drawn independently: the world where there are several, else the task."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from parammem.core.record import Record
from parammem.core.words import count
from parammem.evaluation.runs import Run

EXACT_FLIPS = 14
"""Up to this many clusters every pattern of signs is tried; beyond, patterns are drawn."""
BLOCK = 1_000_000
"""Numbers that a bootstrap holds at a time."""


class Rate(Record):
    """A share with its 95% interval."""

    value: float
    low: float
    high: float
    n: int
    """Runs that it is a share of."""
    method: str
    """wilson, or bootstrap by world or by task."""


class Comparison(Record):
    """Two arms on the same tasks: left minus right."""

    domain: str
    left: str
    right: str
    difference: float
    """Share solved by left minus share solved by right."""
    low: float
    high: float
    """95% interval: bootstrap over clusters. (-1, 1) where there is one cluster only, and nothing can be said."""
    p: float
    p_holm: float | None = None
    """p after Holm's correction over the comparisons it was reported with."""
    n: int
    """Pairs."""
    unpaired: int = 0
    """Runs of either side that had no partner and were left out."""
    left_only: int
    right_only: int
    """Discordant pairs: solved by one side alone."""
    clusters: int
    unit: str
    """world or task."""
    wins: int
    losses: int
    """Clusters in which left solved more, or fewer."""
    test: str
    """mcnemar or sign-flip."""


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95% score interval for a share (Wilson 1927); (0, 1) when n is 0.

    Raises:
        ValueError: successes do not lie in 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} tries cannot be; count again")
    if n == 0:
        return 0.0, 1.0
    from scipy import stats

    found = stats.binomtest(successes, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def mcnemar(left_only: int, right_only: int) -> float:
    """Return the two-sided p of the exact McNemar test: are discordant pairs a fair coin? 1 when there are none."""
    n = left_only + right_only
    if n == 0:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(left_only, n).pvalue)


def cluster_bootstrap(
    values: Sequence[float], clusters: Sequence[Hashable], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return 95% interval of the mean of `values`, resampling whole clusters.

    The percentiles are Hesterberg's expanded ones (2015, section 3.3): they undo most of the narrowness that plain
    percentiles have with few clusters, and equal them with many. With one cluster nothing can be said: (-inf, inf).

    Raises:
        ValueError: no values, or not one cluster for each value.
    """
    if len(values) == 0 or len(values) != len(clusters):
        raise ValueError(
            f"{count(len(values), 'value')} for {count(len(clusters), 'cluster')}: give each value its cluster"
        )
    sums, counts = _per_cluster(values, clusters)
    if len(sums) == 1:
        return -math.inf, math.inf
    parts = resamples(len(sums), draws, seed)
    means = np.concatenate([sums[picks].sum(axis=1) / counts[picks].sum(axis=1) for picks in parts])
    tail = _expanded_tail(len(sums))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def sign_flip(values: Sequence[float], clusters: Sequence[Hashable], draws: int = 10000, seed: int = 0) -> float:
    """Return two-sided p that the differences `values` are centred on 0, flipping the sign of whole clusters.

    Exact up to 14 clusters; beyond, `draws` random patterns, with the observed one counted among them.
    With clusters of one task each and differences of -1, 0, 1 it tests what McNemar's test does.
    """
    sums, _ = _per_cluster(values, clusters)
    sums = sums[np.abs(sums) > 1e-12]
    if len(sums) == 0:
        return 1.0
    edge = abs(float(sums.sum())) - 1e-9
    if len(sums) <= EXACT_FLIPS:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(sums))))
        return float(np.mean(np.abs(signs @ sums) >= edge))
    dice, beyond = np.random.default_rng(seed), 0
    for rows in blocks(draws, len(sums)):
        signs = dice.choice((-1.0, 1.0), size=(rows, len(sums)))
        beyond += int(np.sum(np.abs(signs @ sums) >= edge))
    return (beyond + 1) / (draws + 1)


def blocks(rows: int, columns: int) -> list[int]:
    """Return sizes of blocks of whole rows, together `rows`, of at most about BLOCK numbers each."""
    size = max(1, BLOCK // max(1, columns))
    return [min(size, rows - start) for start in range(0, rows, size)]


def resamples(n: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield bootstrap resamples of n places, block by block so that memory stays flat; the same as drawn all at
    once."""
    dice = np.random.default_rng(seed)
    for rows in blocks(draws, n):
        yield dice.integers(0, n, size=(rows, n))


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's step-down correction (1979), in the order given."""
    adjusted = [0.0] * len(ps)
    floor = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        floor = max(floor, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = floor
    return adjusted


def rate(runs: Iterable[Run], draws: int = 2000, seed: int = 0) -> Rate:
    """Return share of runs that passed, with Wilson's interval where every run is a task of its own in one world, and a
    bootstrap clustered by world (several worlds) or by task (several runs of a task) otherwise.

    Raises:
        ValueError: there are no runs.
    """
    runs = list(runs)
    if not runs:
        raise ValueError("no runs to take a rate of; evaluate this arm first")
    passed = [float(run.passed) for run in runs]
    clusters, unit = cluster_keys(runs)
    if unit == "task" and len(set(clusters)) == len(runs):
        low, high = wilson(sum(run.passed for run in runs), len(runs))
        return Rate(value=float(np.mean(passed)), low=low, high=high, n=len(runs), method="wilson")
    low, high = cluster_bootstrap(passed, clusters, draws, seed)
    low, high = max(0.0, low), min(1.0, high)
    return Rate(value=float(np.mean(passed)), low=low, high=high, n=len(runs), method=f"bootstrap by {unit}")


def cluster_keys(runs: Sequence[Run]) -> tuple[list[Hashable], str]:
    """Return the cluster of each run, and its name: the world where there are several, else the task."""
    if len({run.world for run in runs}) > 1:
        return [run.world for run in runs], "world"
    return [run.task_id for run in runs], "task"


def compare(left: Iterable[Run], right: Iterable[Run], draws: int = 2000, seed: int = 0) -> Comparison | None:
    """Return left minus right on the tasks that both did; None when they share no task.

    Runs of the same world, ρ, slice and task are pairs; several runs of one task are averaged first.
    p: exact McNemar in one world with one run per task, else a sign-flip test over clusters.
    """
    left, right = list(left), list(right)
    ours, theirs = _by_task(left), _by_task(right)
    keys = sorted(set(ours) & set(theirs))
    if not keys:
        return None
    differences = [float(np.mean([r.passed for r in ours[k]]) - np.mean([r.passed for r in theirs[k]])) for k in keys]
    firsts = [ours[key][0] for key in keys]
    clusters, unit = cluster_keys(firsts)
    single = all(len(ours[k]) == len(theirs[k]) == 1 for k in keys)
    left_only, right_only = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    exact = unit == "task" and single
    low, high = cluster_bootstrap(differences, clusters, draws, seed)
    sums, _ = _per_cluster(differences, clusters)
    return Comparison(
        domain=firsts[0].domain,
        left=left[0].arm,
        right=right[0].arm,
        difference=float(np.mean(differences)),
        low=max(-1.0, low),
        high=min(1.0, high),
        p=mcnemar(left_only, right_only) if exact else sign_flip(differences, clusters, seed=seed),
        n=len(keys),
        unpaired=len(left) + len(right) - sum(len(ours[k]) + len(theirs[k]) for k in keys),
        left_only=left_only,
        right_only=right_only,
        clusters=len(sums),
        unit=unit,
        wins=int(np.sum(sums > 1e-12)),
        losses=int(np.sum(sums < -1e-12)),
        test="mcnemar" if exact else "sign-flip",
    )


def with_holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the same comparisons, each with its p corrected for all of them."""
    adjusted = holm([comparison.p for comparison in comparisons])
    return [c.model_copy(update={"p_holm": p}) for c, p in zip(comparisons, adjusted, strict=True)]


def _by_task(runs: Iterable[Run]) -> dict[tuple[int, float, str, str], list[Run]]:
    groups: dict[tuple[int, float, str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.world, run.rho, run.slice, run.task_id), []).append(run)
    return groups


def _per_cluster(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Return sum and count of each cluster, in order of first appearance."""
    place = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters))}
    where = [place[cluster] for cluster in clusters]
    sums = np.bincount(where, weights=np.asarray(values, dtype=float), minlength=len(place))
    return sums, np.bincount(where, minlength=len(place)).astype(float)


def _expanded_tail(clusters: int) -> float:
    """Return share of bootstrap means to cut off on each side for a 95% interval from this many clusters."""
    from scipy import stats

    widened = math.sqrt(clusters / (clusters - 1)) * stats.t.ppf(0.975, clusters - 1)
    return float(stats.norm.cdf(-widened))
