"""What is asked (Task) and what only scoring sees (AnswerKey)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from parammem.core.record import Record, digest_of


class Task(Record):
    """A question as an agent sees it. It holds nothing from which the hidden verdict could be computed."""

    task_id: str
    """Unique within its domain."""
    domain: str
    """Name of the domain that judges it: code, math or qa."""
    text: str
    """The question, as it is put to the actor."""
    visible: dict[str, Any] = Field(default_factory=dict)
    """What the visible checks need, in the domain's own form (for code: entry point and calls)."""

    @property
    def content(self) -> str:
        """Digest of the question alone: two tasks with equal content are the same task whatever their ids."""
        return digest_of(self.domain + "\n" + " ".join(self.text.split()))


class AnswerKey(Record):
    """Hidden tests, answer and gold facts of one task. Agents, reflectors and labellers never hold one."""

    task_id: str
    domain: str
    hidden: dict[str, Any]
    """What the hidden verdict needs, in the domain's own form."""
    gold: str
    """A solution that scores 1."""
    facts: dict[str, str] = Field(default_factory=dict)
    """Pocket tasks: each open convention with its value. For analysis only."""
    tags: dict[str, str] = Field(default_factory=dict)
    """For slices of a report, e.g. the kind of quantity, or the level of a benchmark's problem."""
