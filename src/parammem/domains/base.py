"""What a domain promises: it words the prompts of its tasks, reads answers out of text, and judges them.

A domain holds no model and no state of a run. Its judging methods take many items at once, because running code
is cheapest in bulk; an item that cannot be judged gives its exception in place of a verdict and harms no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from parammem.core import AnswerKey, Attempt, Feedback, Outcome, Reflection, Score, Task
from parammem.engines.base import Message

Example = tuple[Task, Attempt]
"""A task of the bank with the attempt that passed its visible checks."""


class Domain(Protocol):
    """One kind of problem. Prompts are text files under `prompts/`."""

    @property
    def name(self) -> str:
        """What its user calls it."""
        ...

    @property
    def kind(self) -> str:
        """code, math, qa or open."""
        ...

    def actor(self, task: Task, advice: Sequence[Reflection], examples: Sequence[Example]) -> tuple[Message, ...]:
        """Return the prompt for an attempt, with any number of pieces of advice and of solved examples."""
        ...

    def reflect(
        self, task: Task, attempts: Sequence[Attempt], earlier: Sequence[Reflection], diverse: bool
    ) -> tuple[Message, ...]:
        """The prompt for a self-reflection on failed attempts; `diverse` asks for advice unlike the earlier one."""
        ...

    def advise(self, task_text: str) -> tuple[Message, ...]:
        """The prompt ParamMem is trained on and sampled with: the task alone."""
        ...

    def hindsight(self, task: Task, attempt: Attempt) -> tuple[Message, ...]:
        """Return the prompt that asks what a successful attempt assumed."""
        ...

    def failure(self, task: Task, attempt: Attempt, outcome: Outcome) -> tuple[Message, ...]:
        """Return the prompt that asks what went wrong in an attempt that failed, and what to do instead."""
        ...

    def contrast(self, task: Task, attempt: Attempt, other: Task, success: Attempt) -> tuple[Message, ...]:
        """Return the prompt that asks what an attempt that failed lacks, beside a successful one at the same task or
        at another."""
        ...

    def parse(self, text: str, task: Task | None = None) -> str:
        """Return the candidate in what an actor wrote. Never raises: what cannot be read becomes a candidate that
        fails.

        Args:
            task: what was asked, where that says which part of the text is the candidate.
        """
        ...

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        """Return what the visible checks say of each (task, candidate)."""
        ...

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        """Return the hidden verdict on each (task, key, candidate)."""
        ...

    def hypotheses(self, advice: str) -> frozenset[str]:
        """Return what a piece of advice claims, parsed, e.g. {"limit=inside", "empty=zero"}. Empty if nothing is
        claimed."""
        ...
