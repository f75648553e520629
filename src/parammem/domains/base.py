"""A domain's two parts, each of which can be replaced alone: its prompts, and its judge.

Neither holds a model or the state of a run. Agents and labellers get the prompts and the visible checks; the answer key
goes to `Judge.score` alone. Judging methods take many items at once, because running code is cheapest in bulk; an item
that cannot be judged gives its exception in place of a verdict and harms no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parammem.core import AnswerKey, Attempt, Feedback, Outcome, Reflection, Score, Task
from parammem.engines.base import Message

Example = tuple[Task, Attempt]
"""A task of the bank with the attempt that passed its visible checks."""


class Prompts(Protocol):
    """What a model is asked, and how its answers are read. The texts are files under `prompts/`."""

    def actor(self, task: Task, advice: Sequence[Reflection], examples: Sequence[Example]) -> tuple[Message, ...]:
        """Return the prompt for an attempt, with any number of pieces of advice and of solved examples."""
        ...

    def reflect(
        self, task: Task, attempts: Sequence[Attempt], earlier: Sequence[Reflection], diverse: bool
    ) -> tuple[Message, ...]:
        """Return the prompt for a self-reflection on failed attempts; `diverse` asks for advice unlike the earlier
        one."""
        ...

    def advise(self, task_text: str) -> tuple[Message, ...]:
        """Return the prompt that ParamMem is trained on and sampled with: the task alone."""
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

    def hypotheses(self, advice: str) -> frozenset[str]:
        """Return what a piece of advice claims, parsed, e.g. {"limit=inside", "empty=zero"}. Empty if nothing is
        claimed."""
        ...


class VisibleChecks(Protocol):
    """All that an agent learns of its attempts while it works."""

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        """Return what the visible checks say of each (task, candidate)."""
        ...


class Judge(VisibleChecks, Protocol):
    """The visible checks, and the hidden verdict."""

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        """Return the hidden verdict on each (task, key, candidate)."""
        ...


@dataclass(frozen=True)
class Domain:
    """One kind of problem."""

    name: str
    """What its user calls it."""
    kind: str
    """One of `core.domain_names.KINDS`."""
    prompts: Prompts
    judge: Judge
