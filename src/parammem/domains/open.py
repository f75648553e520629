"""Work of any kind that a user's own agent does: prompts for advice on it, and no verdict of its own.

Outcomes come from the user's agent, from a judge of the user's, or with the experience (docs/open-domains.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parammem.core import AnswerKey, Feedback, Outcome, Score, Task
from parammem.domains.prose import Prose

UserJudge = Callable[[Sequence[tuple[Task, str]]], list[Outcome | Exception]]
"""Returns how each (task, answer) turned out, or why that is not known."""


@dataclass(frozen=True)
class OpenPrompts(Prose):
    """The prompts of tasks whose candidates are what the agent handed over, as it is."""

    style: str = "open"

    def parse(self, text: str, task: Task | None = None) -> str:
        return text.strip()


@dataclass(frozen=True)
class OpenJudge:
    """Says what the user's judge says. There are no visible checks."""

    asked: UserJudge | None = None

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return [Feedback(passed=None, text="") for _ in items]

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        """Return what the judge says; an error without one, and where it does not say whether an answer passed."""
        if self.asked is None:
            return [ValueError("no judge: a domain of kind open has no verdict of its own") for _ in items]
        said = self.asked([(task, candidate) for task, _, candidate in items])
        return [_score(task.task_id, outcome) for (task, _, _), outcome in zip(items, said, strict=True)]


def _score(task_id: str, outcome: Outcome | Exception) -> Score | Exception:
    if isinstance(outcome, Exception):
        return outcome
    if outcome.passed is None:
        return ValueError("the judge does not say whether the answer passed")
    value = float(outcome.passed) if outcome.value is None else outcome.value
    return Score(task_id=task_id, passed=outcome.passed, value=value)
