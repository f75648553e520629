"""The prompts of real work: text files under prompts/<style>/, filled in with a task, attempts and advice.

Beside those that every style has, the styles of real benchmarks have `teach`: the prompt that asks a teacher for a
label, with one demonstration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parammem.core import Attempt, Outcome, Reflection, Task
from parammem.domains.base import Example
from parammem.domains.code_blocks import open_fence
from parammem.domains.shown_steps import ATTEMPT, in_steps
from parammem.domains.wording import template
from parammem.engines.base import Message, chat

SYSTEM = "system"
"""Every style's first words, in system.txt."""


@dataclass(frozen=True)
class Prose:
    """The prompts of one style; how an answer is read, its kind says."""

    style: str

    def actor(self, task: Task, advice: Sequence[Reflection], examples: Sequence[Example]) -> tuple[Message, ...]:
        """Return solved examples, the task, what the agent noted itself and the advice from elsewhere."""
        own = [piece.text for piece in advice if piece.source == "self"]
        other = [piece.text for piece in advice if piece.source != "self"]
        words = {
            "examples": self._solved(examples),
            "task": task.text,
            "reflections": _part("Notes from your earlier attempts at this task:", own),
            "advice": _part("Advice on this task, which may be wrong:", other),
        }
        return self._ask("actor", words)

    def reflect(
        self, task: Task, attempts: Sequence[Attempt], earlier: Sequence[Reflection], diverse: bool
    ) -> tuple[Message, ...]:
        last = attempts[-1]
        words = {
            "task": task.text,
            "attempt": _shown(task, last, ATTEMPT),
            "feedback": last.feedback.text or "No tests were run.",
        }
        if not diverse:
            return self._ask("reflect", words)
        said = _part("Notes that you wrote before:", [piece.text for piece in earlier])
        return self._ask("reflect_diverse", words | {"earlier": said})

    def advise(self, task_text: str) -> tuple[Message, ...]:
        return self._ask("advise", {"task": self.question(task_text)})

    def hindsight(self, task: Task, attempt: Attempt) -> tuple[Message, ...]:
        return self._ask("hindsight", {"task": task.text, "attempt": _shown(task, attempt, ATTEMPT)})

    def failure(self, task: Task, attempt: Attempt, outcome: Outcome) -> tuple[Message, ...]:
        words = {"task": task.text, "attempt": _shown(task, attempt, ATTEMPT), "feedback": _known(attempt, outcome)}
        return self._ask("failure", words)

    def contrast(self, task: Task, attempt: Attempt, other: Task, success: Attempt) -> tuple[Message, ...]:
        """Return the prompt that compares two attempts, which share the length that one may have."""
        same = other.content == task.content
        words = {
            "task": task.text,
            "attempt": _shown(task, attempt, ATTEMPT // 2),
            "feedback": _known(attempt, Outcome(passed=False)),
            "other": ""
            if same
            else f"The nearest task that was done well is another one:\n\n{self.question(other.text)}\n\n",
            "which": "at the same task" if same else "at that other task",
            "success": _shown(other, success, ATTEMPT // 2),
        }
        return self._ask("contrast", words)

    def question(self, task_text: str) -> str:
        """Return what advice is asked on. The whole text, unless a domain says that part of it is material."""
        return task_text

    def hypotheses(self, advice: str) -> frozenset[str]:
        """Return no hypotheses: free prose claims nothing that could be parsed."""
        return frozenset()

    def _ask(self, name: str, words: dict[str, str]) -> tuple[Message, ...]:
        return chat(filled(template(self.style, name), words).strip(), template(self.style, SYSTEM).strip())

    def _solved(self, examples: Sequence[Example]) -> str:
        shown = [f"{task.text}\n\nA solution that passed:\n{fences_closed(attempt.text)}" for task, attempt in examples]
        return _part("Similar tasks that were solved:", shown)


@dataclass(frozen=True)
class BenchmarkProse(Prose):
    """The prompts of real benchmarks."""

    def teach(self, task_text: str) -> tuple[Message, ...]:
        """Return the prompt for a teacher: what good advice is, one demonstration, and the task."""
        return self._ask("teach", {"task": self.question(task_text)})


def fences_closed(text: str) -> str:
    """Return a text with its last fence closed, which a limit or a stop string has cut off."""
    fence = open_fence(text)
    return f"{text.rstrip()}\n{fence}" if fence else text


SAID_BY = {
    "judge": "a judge", "test": "a test", "person": "a person", "reward": "a reward function", "model": "a model",
}  # fmt: skip


def _shown(task: Task, attempt: Attempt, most: int) -> str:
    """Return an attempt as a labeller is shown it: how the agent came to it where that is known, else what it wrote."""
    return in_steps(task, attempt, most) if attempt.steps else fences_closed(attempt.text)


def _known(attempt: Attempt, outcome: Outcome) -> str:
    """Return what is known of an attempt that failed: what the visible checks said, and its outcome in words."""
    by = f", as {SAID_BY[outcome.source]} found" if outcome.source else ""
    worth = "" if outcome.value is None else f"; it was worth {outcome.value:g} of 1"
    return f"{attempt.feedback.text}\nIt failed{by}{worth}.".strip()


def filled(text: str, words: dict[str, str]) -> str:
    """Return the template with its <<names>> replaced, once: what is filled in is not looked at again, and may hold
    braces."""
    parts = text.replace("<<", ">>").split(">>")
    return "".join(part if place % 2 == 0 else words[part] for place, part in enumerate(parts))


def _part(title: str, texts: Sequence[str]) -> str:
    """Return a titled list, with an empty line after it; nothing if there is nothing."""
    said = [text.strip() for text in texts if text.strip()]
    if not said:
        return ""
    listed = said[0] if len(said) == 1 else "\n\n".join(f"({n}) {text}" for n, text in enumerate(said, 1))
    return f"{title}\n{listed}\n\n"
