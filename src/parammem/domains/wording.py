"""The prompts of the pocket world: text files filled in with a task, its attempts and the advice. And the words of
feedback, which all domains share.

Real benchmarks bring prompt folders of their own; a folder has the files actor, reflect, reflect_diverse, advise,
hindsight and contrast, and those of real benchmarks failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from parammem.core import Attempt, Feedback, Outcome, Reflection, Score, Task
from parammem.domains.base import Example
from parammem.domains.conventions import parse_claims
from parammem.engines.base import Message, chat

T = TypeVar("T")
V = TypeVar("V")

FOLDER = Path(__file__).parent / "prompts"


@cache
def template(style: str, name: str) -> str:
    """Return the text of prompts/<style>/<name>.txt. Raises FileNotFoundError."""
    return (FOLDER / style / f"{name}.txt").read_text(encoding="utf-8")


STYLE = "pocket"


@dataclass(frozen=True)
class Wording:
    """The prompts that all kinds of pocket tasks share."""

    def shown(self, attempt: Attempt) -> str:
        """Return an attempt as a prompt shows it: its plan line, which names all its choices."""
        return attempt.candidate.split("\n", 1)[0]

    def actor(self, task: Task, advice: Sequence[Reflection], examples: Sequence[Example]) -> tuple[Message, ...]:
        shown = "".join(f"example {seen.text}\n{self.shown(attempt)}\n" for seen, attempt in examples)
        lines = "".join(f"{_label(piece)} {piece.text}\n" for piece in advice)
        return chat(template(STYLE, "actor").format(examples=shown, task=task.text, advice=lines))

    def reflect(
        self, task: Task, attempts: Sequence[Attempt], earlier: Sequence[Reflection], diverse: bool
    ) -> tuple[Message, ...]:
        last = attempts[-1]
        words = {"task": task.text, "attempt": self.shown(last), "feedback": last.feedback.text}
        if not diverse:
            return chat(template(STYLE, "reflect").format(**words))
        said = "".join(f"earlier {piece.text}\n" for piece in earlier)
        return chat(template(STYLE, "reflect_diverse").format(earlier=said, **words))

    def advise(self, task_text: str) -> tuple[Message, ...]:
        return chat(template(STYLE, "advise").format(task=task_text))

    def hindsight(self, task: Task, attempt: Attempt) -> tuple[Message, ...]:
        return chat(template(STYLE, "hindsight").format(task=task.text, attempt=self.shown(attempt)))

    def failure(self, task: Task, attempt: Attempt, outcome: Outcome) -> tuple[Message, ...]:
        """Return the prompt of a reflection on one attempt: a pocket model was trained on no other form, and on no word
        for an outcome."""
        return self.reflect(task, [attempt], [], diverse=False)

    def contrast(self, task: Task, attempt: Attempt, other: Task, success: Attempt) -> tuple[Message, ...]:
        words = {"task": task.text, "attempt": self.shown(attempt), "feedback": attempt.feedback.text}
        beside = "" if other.content == task.content else f"{other.text}\n"
        shown = template(STYLE, "contrast").format(other=beside, success=self.shown(success), **words)
        return chat(shown)


@dataclass(frozen=True)
class PocketPrompts(Wording):
    """The prompts of one kind of pocket tasks, whose candidates are the whole text and whose advice can be parsed."""

    kind: str

    def parse(self, text: str, task: Task | None = None) -> str:
        return text.strip("\n")

    def hypotheses(self, advice: str) -> frozenset[str]:
        return parse_claims(self.kind, advice)


def _label(piece: Reflection) -> str:
    """Return the label of a piece of advice. Own reflections and advice from elsewhere are told apart: their
    reliability differs."""
    return "reflection" if piece.source == "self" else "advice"


@dataclass(frozen=True)
class CheckResult:
    """One visible check: its name, what was expected, and what came instead; `got` None with ok False: an error."""

    name: str
    ok: bool
    expected: Any = None
    got: str = ""


def feedback_text(results: Sequence[CheckResult]) -> str:
    """Return one line: "limit ok ; empty expected 0 got -1"."""
    return " ; ".join(
        f"{item.name} ok" if item.ok else f"{item.name} expected {item.expected} got {item.got}" for item in results
    )


def feedback_of(results: Sequence[CheckResult]) -> Feedback:
    """Return what these visible checks say; a task without any has no visible verdict."""
    return Feedback(passed=all(c.ok for c in results) if results else None, text=feedback_text(results))


def score_of(task_id: str, results: Sequence[CheckResult]) -> Score:
    """Return the score, passed if every hidden check is. Raises ValueError if there are none: then anything would
    pass."""
    if not results:
        raise ValueError(f"the answer key of task {task_id!r} holds no hidden check; make the tasks again")
    failed = [c for c in results if not c.ok]
    return Score(task_id=task_id, passed=not failed, value=float(not failed), detail=feedback_text(failed[:1]))


def each(judge: Callable[[T], V], items: Sequence[T]) -> list[V | Exception]:
    """Return the verdict on each item; an item that cannot be judged gives its exception and harms no other."""
    verdicts: list[V | Exception] = []
    for item in items:
        try:
            verdicts.append(judge(item))
        except Exception as error:
            verdicts.append(error)
    return verdicts


def short(value: Any, limit: int = 16) -> str:
    """Return a value as feedback shows it: one line, cut where it is long. Whatever a hostile program returned has
    one."""
    try:
        shown = str(value).encode("utf-8", "replace").decode()  # half a surrogate pair could not be written to a file
    except ValueError:  # Python prints no whole number of more than 4,300 digits
        shown = "huge"
    text = " ".join(shown.split()) or "nothing"
    return text if len(text) <= limit else text[:limit] + "..."
