"""Which success a failure is set beside, so that a labeller can say what the one did that the other did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from parammem.agents.bank import Embed
from parammem.core import Attempt, Task
from parammem.embeddings import nearest

NEAR = 0.5
"""Least cosine similarity of two texts of tasks: what was done at a task about something else says nothing of it."""


class JudgedRun(NamedTuple):
    """A finished run: its task, and the attempt that it submitted."""

    task: Task
    attempt: Attempt
    trajectory_id: str


def set_beside(
    failures: Sequence[JudgedRun], successes: Sequence[JudgedRun], embed: Embed
) -> list[tuple[JudgedRun, JudgedRun]]:
    """Return (failure, success) for each failure that has one, in the order of the failures.

    The success is the first one at the same task in which something else was done; where nobody solved the task, the
    first one at the nearest task, if that is as near as NEAR.
    """
    solved: dict[str, list[JudgedRun]] = {}
    for won in successes:
        solved.setdefault(won.task.content, []).append(won)
    firsts = [runs[0] for runs in solved.values()]
    alone = list({lost.task.content: lost.task.text for lost in failures if lost.task.content not in solved}.items())
    near = dict(zip([content for content, _ in alone], _nearest([t for _, t in alone], firsts, embed), strict=True))
    pairs = []
    for lost in failures:
        same = solved.get(lost.task.content)
        if same:
            won = next((one for one in same if _done(one.attempt) != _done(lost.attempt)), None)
        else:
            won = near[lost.task.content]
        if won is not None:
            pairs.append((lost, won))
    return pairs


def _nearest(texts: list[str], firsts: Sequence[JudgedRun], embed: Embed) -> list[JudgedRun | None]:
    """Return for each text the run at the nearest task; None: no task is near."""
    if not texts or not firsts:
        return [None] * len(texts)
    query, keys = embed(texts), embed([run.task.text for run in firsts])
    best = nearest(query, keys, 1)[:, 0]
    similar = (query * keys[best]).sum(axis=1)
    return [firsts[place] if close >= NEAR else None for place, close in zip(best, similar, strict=True)]


def _done(attempt: Attempt) -> tuple[object, ...]:
    """Return what was done in an attempt."""
    return attempt.candidate, attempt.steps
