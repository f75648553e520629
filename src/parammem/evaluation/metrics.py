"""What is counted over runs and draws: solved per iteration, tokens, repeated advice, advice accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from parammem.core.record import Record
from parammem.evaluation.runs import AdviceDraws, Run
from parammem.evaluation.statistics import cluster_bootstrap


class Tokens(Record):
    """Tokens of an arm per task, over all roles."""

    prompt: float
    completion: float
    calls: float


class Repetition(Record):
    """How often advice of one iteration repeats earlier advice of the same trajectory."""

    iteration: int | None
    """None: all iterations together."""
    reflections: int
    """Reflections that had an earlier one to repeat."""
    text_equal: float
    """Share of them whose text equals an earlier one, but for spaces and case."""
    claiming: int
    """Reflections that claim something and had an earlier one to repeat."""
    claim_equal: float | None
    """Share of those whose set of claims equals an earlier one; None where nothing is claimed."""


class Accuracy(Record):
    """How often advice names the right value of an open convention. None where there is nothing to count."""

    value: float
    """Share of (draw, open convention) with the right value claimed; a missing claim counts as wrong."""
    low: float
    high: float
    """95% interval, bootstrap clustered by world or task."""
    among_claimed: float | None
    """The same share among those that claim one value of the convention at all."""
    unrevealed: float | None
    """The same as `value`, over the conventions that the visible checks do not reveal."""
    tasks: int
    draws: int


def visible_rate(runs: Iterable[Run]) -> float | None:
    """Return share of submissions that passed their visible checks, among tasks that have a visible verdict."""
    verdicts = [run.visible_passed for run in runs if run.visible_passed is not None]
    return float(np.mean(verdicts)) if verdicts else None


def solved_per_iteration(runs: Sequence[Run], iterations: int) -> list[float]:
    """Return share of tasks solved by the end of iteration 1, 2, …: never falls, and ends at the hidden pass rate."""
    if not runs:
        return []
    solved = [run.solved_at or iterations for run in runs if run.passed]
    return [sum(at <= number for at in solved) / len(runs) for number in range(1, iterations + 1)]


def tokens(runs: Sequence[Run]) -> Tokens:
    """Return mean prompt tokens, completion tokens and calls per task. Cached completions count as if they were
    written."""
    used = [usage for run in runs for usage in run.usage.values()]
    n = max(len(runs), 1)
    return Tokens(
        prompt=sum(u.prompt_tokens for u in used) / n,
        completion=sum(u.completion_tokens for u in used) / n,
        calls=sum(u.calls for u in used) / n,
    )


def token_ratio(runs: Sequence[Run], base: Sequence[Run]) -> float | None:
    """Return prompt tokens relative to base on the same tasks (the paper's cost figure); None without base."""
    shared = {(r.world, r.rho, r.slice, r.task_id) for r in base}
    ours = tokens([r for r in runs if (r.world, r.rho, r.slice, r.task_id) in shared]).prompt
    theirs = tokens(base).prompt
    return ours / theirs if theirs and ours else None


def repetition(runs: Iterable[Run]) -> list[Repetition]:
    """Return a row for each iteration from 2 on at which a reflection could repeat an earlier one, in order.

    A reflection that claims nothing is left out of the count of claims, or advice in words that are not parsed
    would look like pure repetition.
    """
    seen: dict[int, list[tuple[bool, bool | None]]] = {}
    for run in runs:
        for iteration, verdict in _repeats(run):
            seen.setdefault(iteration, []).append(verdict)
    return [_repetition_row(iteration, seen[iteration]) for iteration in sorted(seen)]


def repetition_overall(runs: Iterable[Run]) -> Repetition | None:
    """Return all iterations together; None if no reflection had an earlier one to repeat."""
    verdicts = [verdict for run in runs for _, verdict in _repeats(run)]
    return _repetition_row(None, verdicts) if verdicts else None


def advice_accuracy(draws: Iterable[AdviceDraws], bootstrap: int = 2000, seed: int = 0) -> Accuracy | None:
    """Return how often the draws name the right values; None if no task has an open convention.

    A draw that claims two values of one convention has not claimed the right one: it takes no side.
    """
    judged = [item for item in draws if item.gold and item.claims]
    if not judged:
        return None
    values: list[float] = []
    clusters: list[object] = []
    claimed: list[bool] = []
    unrevealed: list[bool] = []
    by_world = len({item.world for item in judged}) > 1
    for item in judged:
        for right, has_claim, name in _verdicts(item):
            values.append(float(right))
            claimed.append(has_claim)
            unrevealed.append(name not in item.revealed)
            clusters.append(item.world if by_world else item.task_id)
    low, high = cluster_bootstrap(values, clusters, bootstrap, seed)
    return Accuracy(
        value=float(np.mean(values)),
        low=max(0.0, low),
        high=min(1.0, high),
        among_claimed=_mean_where(values, claimed),
        unrevealed=_mean_where(values, unrevealed),
        tasks=len({(item.world, item.rho, item.task_id) for item in judged}),
        draws=sum(len(item.claims) for item in judged),
    )


def _verdicts(item: AdviceDraws) -> list[tuple[bool, bool, str]]:
    """Return (right, takes a side, convention) for each draw and open convention."""
    found = []
    for claims in item.claims:
        said: dict[str, set[str]] = {}
        for claim in claims:
            name, _, value = claim.partition("=")
            said.setdefault(name, set()).add(value)
        found.extend((said.get(n) == {v}, len(said.get(n, ())) == 1, n) for n, v in item.gold.items())
    return found


def _repeats(run: Run) -> list[tuple[int, tuple[bool, bool | None]]]:
    """Return (iteration, (text repeated, claims repeated or None)) for each reflection that has an earlier one."""
    found: list[tuple[int, tuple[bool, bool | None]]] = []
    texts: set[str] = set()
    claim_sets: set[tuple[str, ...]] = set()
    for iteration, text in enumerate(run.advice_texts, 1):
        plain = " ".join(text.lower().split())
        if not plain:
            continue
        claims = tuple(sorted(run.advice[iteration - 1])) if iteration <= len(run.advice) else ()
        if texts:
            found.append((iteration, (plain in texts, claims in claim_sets if claims else None)))
        texts.add(plain)
        claim_sets.add(claims)
    return found


def _repetition_row(iteration: int | None, verdicts: Sequence[tuple[bool, bool | None]]) -> Repetition:
    claiming = [claim for _, claim in verdicts if claim is not None]
    return Repetition(
        iteration=iteration,
        reflections=len(verdicts),
        text_equal=float(np.mean([text for text, _ in verdicts])),
        claiming=len(claiming),
        claim_equal=float(np.mean(claiming)) if claiming else None,
    )


def _mean_where(values: Sequence[float], mask: Sequence[bool]) -> float | None:
    kept = [value for value, keep in zip(values, mask, strict=True) if keep]
    return float(np.mean(kept)) if kept else None
