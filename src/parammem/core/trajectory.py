"""Everything one agent did on one task."""

from __future__ import annotations

from typing import Literal

from parammem.core.attempt import Attempt
from parammem.core.record import Record, digest_of
from parammem.core.reflection import Reflection

Stop = Literal["visible-pass", "iterations", "oracle-pass", "failed"]


class Usage(Record):
    """Tokens and calls of one role (actor, reflector, self-reflection) in one trajectory."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def plus(self, calls: int, prompt_tokens: int, completion_tokens: int) -> Usage:
        return Usage(
            calls=self.calls + calls,
            prompt_tokens=self.prompt_tokens + prompt_tokens,
            completion_tokens=self.completion_tokens + completion_tokens,
        )


class Failure(Record):
    """Why a task could not be finished. Its neighbours are not harmed."""

    kind: str
    """Name of the exception."""
    message: str
    iteration: int


class Trajectory(Record):
    """Attempts, feedback, reflections, the reason for stopping, and what it cost."""

    task_id: str
    domain: str
    method: str
    """A row of the methods table, or an arm of the evaluation built from one."""
    protocol: str
    seed: int
    """Two trajectories of one method on one task differ in this alone."""
    attempts: tuple[Attempt, ...] = ()
    reflections: tuple[Reflection, ...] = ()
    examples: tuple[str, ...] = ()
    """Ids of the bank entries the actor was shown."""
    stop: Stop
    submission: int | None
    """Number of the attempt that is submitted for the hidden verdict; None if there is no attempt."""
    usage: dict[str, Usage] = {}
    failure: Failure | None = None

    @property
    def trajectory_id(self) -> str:
        return digest_of([self.domain, self.task_id, self.method, self.protocol, self.seed])[:16]

    @property
    def submitted(self) -> Attempt | None:
        """The attempt that is judged, if there is one."""
        return next((a for a in self.attempts if a.number == self.submission), None)
