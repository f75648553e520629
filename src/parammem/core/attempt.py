"""One candidate answer and what was said of it."""

from __future__ import annotations

from parammem.core.record import Record


class Feedback(Record):
    """What the visible checks said of one attempt."""

    passed: bool | None
    """None: this task has no visible verdict."""
    text: str
    """In words a model can use. Never contains anything of the answer key."""


class Attempt(Record):
    """One answer of the actor."""

    number: int
    """1 for the first iteration."""
    text: str
    """What the actor wrote, untouched."""
    candidate: str
    """What the domain reads out of it and judges: a program, a formula, an answer."""
    temperature: float
    feedback: Feedback


class Score(Record):
    """The one hidden verdict on a submission, asked after the loop has ended."""

    task_id: str
    passed: bool
    value: float
    """Between 0 and 1; equals `passed` where a domain has no partial credit."""
    detail: str = ""
    """Why not, for people. Never shown to an agent."""
