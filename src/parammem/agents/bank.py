"""The trajectory bank: tasks that were solved, found again by similarity of the task text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from parammem.core import Task, Trajectory
from parammem.domains.base import Example

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts → (N, d) normalised vectors."""


class TrajectoryBank:
    """Solved tasks. What visible checks said decides what gets in, and only where they say nothing an outcome."""

    def __init__(
        self,
        tasks: Sequence[Task],
        trajectories: Sequence[Trajectory],
        embed: Embed,
        outcomes: Mapping[str, bool] | None = None,
    ) -> None:
        """Keep the submitted attempt of every trajectory that was solved.

        Args:
            outcomes: trajectory id → whether it ended well, for tasks without visible checks; who is not named did
                not. Agents must not be given this of evaluation tasks.
        """
        ended_well = outcomes or {}
        by_id = {task.task_id: task for task in tasks}
        self._entries: list[Example] = []
        for trajectory in trajectories:
            attempt = trajectory.submitted
            if attempt is None or trajectory.task_id not in by_id:
                continue
            silent = attempt.feedback.passed is None
            if ended_well.get(trajectory.trajectory_id, False) if silent else attempt.feedback.passed:
                self._entries.append((by_id[trajectory.task_id], attempt))
        self._embed = embed
        self._keys = embed([task.text for task, _ in self._entries]) if self._entries else None

    def __len__(self) -> int:
        return len(self._entries)

    def retrieve(self, tasks: Sequence[Task], count: int) -> list[list[Example]]:
        """Return for each task its `count` most similar entries, the nearest last; never itself, and no task twice."""
        if self._keys is None or count == 0:
            return [[] for _ in tasks]
        scores = self._embed([task.text for task in tasks]) @ self._keys.T
        return [self._best(task, row, count) for task, row in zip(tasks, scores, strict=True)]

    def _best(self, task: Task, scores: np.ndarray, count: int) -> list[Example]:
        chosen: dict[str, Example] = {}
        for index in np.argsort(-scores, kind="stable"):
            entry = self._entries[int(index)]
            if entry[0].content != task.content:
                chosen.setdefault(entry[0].content, entry)
            if len(chosen) == count:
                break
        return list(chosen.values())[::-1]
