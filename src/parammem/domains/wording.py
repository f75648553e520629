"""The prompts that all domains share: text files filled in with a task, its attempts and the advice.

Real benchmarks bring prompt folders of their own; a folder has the files actor, reflect, reflect_diverse, advise, hindsight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from parammem.core import Attempt, Reflection, Task
from parammem.domains.base import Example
from parammem.engines.base import Message, chat

FOLDER = Path(__file__).parent / "prompts"


@cache
def template(style: str, name: str) -> str:
    """The text of prompts/<style>/<name>.txt. Raises FileNotFoundError."""
    return (FOLDER / style / f"{name}.txt").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Wording:
    """The five prompts of one style, as `Domain` promises them."""

    style: str = "pocket"

    def shown(self, attempt: Attempt) -> str:
        """An attempt as a prompt shows it. A pocket attempt is shown by its plan line, which names all its choices."""
        return attempt.candidate.split("\n", 1)[0] if self.style == "pocket" else attempt.candidate

    def actor(self, task: Task, advice: Sequence[Reflection], examples: Sequence[Example]) -> tuple[Message, ...]:
        shown = "".join(f"example {seen.text}\n{self.shown(attempt)}\n" for seen, attempt in examples)
        lines = "".join(f"{_label(piece)} {piece.text}\n" for piece in advice)
        return chat(template(self.style, "actor").format(examples=shown, task=task.text, advice=lines))

    def reflect(
        self, task: Task, attempts: Sequence[Attempt], earlier: Sequence[Reflection], diverse: bool
    ) -> tuple[Message, ...]:
        last = attempts[-1]
        words = {"task": task.text, "attempt": self.shown(last), "feedback": last.feedback.text}
        if not diverse:
            return chat(template(self.style, "reflect").format(**words))
        said = "".join(f"earlier {piece.text}\n" for piece in earlier)
        return chat(template(self.style, "reflect_diverse").format(earlier=said, **words))

    def advise(self, task_text: str) -> tuple[Message, ...]:
        return chat(template(self.style, "advise").format(task=task_text))

    def hindsight(self, task: Task, attempt: Attempt) -> tuple[Message, ...]:
        return chat(template(self.style, "hindsight").format(task=task.text, attempt=self.shown(attempt)))


def _label(piece: Reflection) -> str:
    """Own reflections and advice from elsewhere are told apart: their reliability differs."""
    return "reflection" if piece.source == "self" else "advice"


@dataclass(frozen=True)
class Checked:
    """One visible check: its name, what was expected, and what came instead; `got` None with ok False: an error."""

    name: str
    ok: bool
    expected: Any = None
    got: str = ""


def feedback_text(results: Sequence[Checked]) -> str:
    """One line: "limit ok ; empty expected 0 got -1"."""
    return " ; ".join(
        f"{item.name} ok" if item.ok else f"{item.name} expected {item.expected} got {item.got}" for item in results
    )


def short(value: Any, limit: int = 16) -> str:
    """A value as feedback shows it: one line, cut where it is long."""
    text = " ".join(str(value).split()) or "nothing"
    return text if len(text) <= limit else text[:limit] + "..."
