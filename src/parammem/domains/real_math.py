"""Mathematics benchmarks (MATH, GSM8K): the answer is compared by value.

Task.visible is empty: there is no visible verdict. AnswerKey.hidden: {"answer": LaTeX or number, "together"?: the whole
list, where the benchmark's own code takes its last member for the answer}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.answers import Equality, Reading
from parammem.domains.math_answer import read_answer
from parammem.domains.math_grader import MAX_CHARACTERS, MathGrader, shared_grader
from parammem.domains.math_tidy import tidy
from parammem.domains.math_twice import said_twice
from parammem.domains.math_units import number
from parammem.domains.prose import BenchmarkProse
from parammem.domains.wording import each, short


@dataclass(frozen=True)
class RealMathPrompts(BenchmarkProse):
    """The prompts of tasks whose candidates are answers in one spelling that loses nothing, so that most equal ones
    count as the same vote."""

    style: str = "math"

    def read(self, text: str) -> Reading:
        """Return what the text answers, and by which rule it was found."""
        return read_answer(text)

    def parse(self, text: str, task: Task | None = None) -> str:
        found = self.read(text).answer
        return spelt(found) if len(found) <= MAX_CHARACTERS else found


class RealMathJudge:
    """Compares answers by value."""

    def __init__(self, grader: MathGrader | None = None) -> None:
        self._grader = grader

    def compare(self, hidden: Mapping[str, Any], candidate: str) -> Equality:
        """Return whether a candidate is what the key holds, and which rule says so."""
        grader = self._grader or shared_grader()
        found = grader.compare(hidden["answer"], candidate)
        if not found.equal and "together" in hidden:
            whole = grader.compare(hidden["together"], candidate)
            found = whole if whole.equal else found
        if not found.equal:
            ways = [grader.compare(hidden["answer"], way) for way in said_twice(candidate)]
            found = next((way for way in ways if way.equal), found)
        return found

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return [Feedback(passed=None, text="") for _ in items]

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        return each(lambda item: self._score(item[0].task_id, item[1].hidden, item[2]), items)

    def _score(self, task_id: str, hidden: Mapping[str, Any], candidate: str) -> Score:
        found = self.compare(hidden, candidate)
        detail = (
            "" if found.equal else f"expected {short(hidden['answer'], 60)} got {short(candidate, 60)} ({found.by})"
        )
        return Score(task_id=task_id, passed=found.equal, value=float(found.equal), detail=detail)


def spelt(answer: str) -> str:
    """Return an answer in the spelling of candidates: tidy, and a number that is one beyond doubt (`1,234` could be
    two) in lowest terms. Never raises: what cannot be tidied stays as it is."""
    try:
        text = tidy(answer) or answer
        money = "$" if text.startswith("$") else ""
        value = number(text.removeprefix("$"))
    except (RecursionError, ValueError):
        return answer
    if value is None:
        return text
    if value.denominator == 1:
        return f"{money}{value.numerator}"
    return f"{money}{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
