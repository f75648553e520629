"""A task, what an agent did on it, and how it ended: the line of an experience batch."""

from __future__ import annotations

from parammem.core.record import Record
from parammem.core.task import Task
from parammem.core.trajectory import Trajectory


class Experience(Record):
    """One finished piece of work of an agent in use."""

    task: Task
    trajectory: Trajectory
    outcome: bool | None
    """Whether it turned out right; None if nobody knows. One bit, never the answer."""
