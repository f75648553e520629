"""Bayes floor and ceilings: how many tasks the best possible solver would solve, given this much information.

A task leaves conventions open; a solver that guesses the most likely value of each solves the task with the product
of its chances. Knowing the regularities of a world of strength ρ, the most likely value of a convention with k values
has probability ρ + (1 - ρ)/k: with probability ρ it follows its kind, else it is drawn evenly, also onto that value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from parammem.core.record import Record
from parammem.evaluation.runs import OpenTask


class Ceilings(Record):
    """Mean chance of a solve per information set, over `tasks` tasks."""

    spec: float
    """The text of the task alone: the floor."""
    visible: float
    """… and all that the visible checks reveal."""
    regularities: float
    """… or perfect knowledge of the regularities (none exist for kinds that experience never showed)."""
    visible_regularities: float
    """… or both: the ceiling of every method here."""
    tasks: int


def ceilings(tasks: Iterable[OpenTask], rho: float) -> Ceilings:
    """Return the four figures, averaged over tasks.

    Raises:
        ValueError: no tasks, ρ outside 0..1, or a convention without values.
    """
    tasks = list(tasks)
    if not tasks:
        raise ValueError("no tasks to compute a ceiling of; pass the open conventions of the evaluation tasks")
    if not 0 <= rho <= 1:
        raise ValueError(f"rho is {rho!r}; it is a probability, from 0 to 1")
    return Ceilings(
        spec=_mean(_chance(task, 0.0, set()) for task in tasks),
        visible=_mean(_chance(task, 0.0, set(task.revealed)) for task in tasks),
        regularities=_mean(_chance(task, rho if task.seen_kind else 0.0, set()) for task in tasks),
        visible_regularities=_mean(_chance(task, rho if task.seen_kind else 0.0, set(task.revealed)) for task in tasks),
        tasks=len(tasks),
    )


def _chance(task: OpenTask, rho: float, known: set[str]) -> float:
    """Return chance that the likeliest guess of every unknown convention is right."""
    if min(task.values.values(), default=1) < 1:
        raise ValueError(f"task {task.task_id!r} has a convention without values: {task.values}")
    return math.prod(rho + (1 - rho) / values for name, values in task.values.items() if name not in known)


def _mean(chances: Iterable[float]) -> float:
    listed = list(chances)
    return math.fsum(listed) / len(listed)
