"""The paper's statistic: over methods, how unlike each other the reflections of a task are, against the method's score.

Another question than the correlation over tasks within one reflector (`summary`): there the method is held fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from parammem.core.record import Record
from parammem.evaluation.diversity import cosine_distance
from parammem.evaluation.runs import Run
from parammem.evaluation.statistics import resamples

LEAST = 3
"""Methods; with fewer there is no correlation."""


class MethodTask(Record):
    """One method on one task."""

    domain: str
    arm: str
    task_id: str
    passed: bool
    distance: float | None
    """Mean pairwise cosine distance of what was new to the agent at each attempt; None with fewer than two texts."""
    distinct: float | None
    """Distinct sets of hypotheses among these texts, as a share of them; None if they claim nothing."""


class OverMethods(Record):
    """Pearson's coefficient over the methods of one domain, with a 95% bootstrap interval over tasks."""

    domain: str
    measure: str
    """distance or distinct."""
    parametric: bool
    """Whether ParamAgent and ParamAgent-plus are among the methods."""
    methods: tuple[str, ...]
    pearson: float | None
    """None where a side is constant or there are too few methods."""
    low: float | None
    high: float | None


def method_tasks(runs: Iterable[Run], embed: Callable[[Sequence[str]], np.ndarray]) -> list[MethodTask]:
    """Return diversity of the reflections of every method on every evaluation task. Controls of a method are no
    methods."""
    kept = [run for run in runs if run.slice == "eval" and "." not in run.arm]
    texts = sorted({text for run in kept for text in run.advice_texts if text})
    place = {text: number for number, text in enumerate(texts)}
    vectors = embed(texts) if texts else np.zeros((0, 1))
    found = []
    for run in kept:
        had = [place[text] for text in run.advice_texts if text]
        claims = [said for said in run.advice if said]
        found.append(
            MethodTask(
                domain=run.domain,
                arm=run.arm,
                task_id=run.task_id,
                passed=run.passed,
                distance=cosine_distance(vectors[had]) if len(had) >= 2 else None,
                distinct=len(set(claims)) / len(claims) if len(claims) >= 2 else None,
            )
        )
    return found


def over_methods(rows: Sequence[MethodTask], draws: int = 2000, seed: int = 0) -> list[OverMethods]:
    """Return for each domain and measure the correlation over methods, with and without ParamAgent's. A method counts
    if it had two reflections on one task at least; its score is over all tasks."""
    found = []
    for domain in dict.fromkeys(row.domain for row in rows):
        mine = [row for row in rows if row.domain == domain]
        for measure in ("distance", "distinct"):
            for parametric in (True, False):
                some = [row for row in mine if parametric or not row.arm.startswith("paramagent")]
                found.append(_correlated(domain, measure, parametric, some, draws, seed))
    return found


def _correlated(
    domain: str, measure: str, parametric: bool, rows: Sequence[MethodTask], draws: int, seed: int
) -> OverMethods:
    tasks = sorted({row.task_id for row in rows})
    at = {name: number for number, name in enumerate(tasks)}
    arms = [
        arm
        for arm in dict.fromkeys(row.arm for row in rows)
        if any(row.arm == arm and getattr(row, measure) is not None for row in rows)
    ]
    unlike = np.full((len(arms), len(tasks)), np.nan)
    passed = np.full((len(arms), len(tasks)), np.nan)
    for row in rows:
        if row.arm in arms:
            value = getattr(row, measure)
            unlike[arms.index(row.arm), at[row.task_id]] = np.nan if value is None else value
            passed[arms.index(row.arm), at[row.task_id]] = row.passed
    value, low, high = None, None, None
    if len(arms) >= LEAST:
        value = _pearson(_means(unlike), _means(passed))
        picks = np.concatenate(list(resamples(len(tasks), draws, seed)))
        every = [_pearson(_means(unlike[:, pick]), _means(passed[:, pick])) for pick in picks]
        kept = [one for one in every if one is not None]
        if value is not None and kept:
            low, high = (float(one) for one in np.quantile(kept, [0.025, 0.975]))
    return OverMethods(
        domain=domain,
        measure=measure,
        parametric=parametric,
        methods=tuple(arms),
        pearson=value,
        low=low,
        high=high,
    )


def _means(values: np.ndarray) -> np.ndarray:
    """Return mean of each row over what is known; nan for a row of which nothing is."""
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    return np.where(counts > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def _pearson(x: np.ndarray, y: np.ndarray) -> float | None:
    """Return Pearson's coefficient; None where a side is constant, or fewer than LEAST methods are known on both."""
    known = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[known], y[known]
    if len(x) < LEAST or np.ptp(x) < 1e-9 or np.ptp(y) < 1e-9:
        return None
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
