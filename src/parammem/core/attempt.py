"""One whole try of a task: its steps, what was handed over, and what was said of it."""

from __future__ import annotations

from parammem.core.record import Extended, Record
from parammem.core.step import Step


class Feedback(Record):
    """What the visible checks said of one attempt."""

    passed: bool | None
    """None: this task has no visible verdict."""
    text: str
    """In words a model can use. Never contains anything of the answer key."""


class Attempt(Extended):
    """One try, from the task to what was handed over."""

    LATER = ("steps",)

    number: int
    """1 for the first iteration."""
    text: str
    """What the actor wrote, untouched."""
    candidate: str
    """What the domain reads out of it and judges: a program, a formula, an answer."""
    temperature: float
    feedback: Feedback
    steps: tuple[Step, ...] = ()
    """How the agent came to it, in order, from the task to the submission. Empty: it is one answer of the actor."""


class Score(Record):
    """The one hidden verdict on a submission, asked after the loop has ended."""

    task_id: str
    passed: bool
    value: float
    """Between 0 and 1; equals `passed` where a domain has no partial credit."""
    detail: str = ""
    """Why not, for people. Never shown to an agent."""
