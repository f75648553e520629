"""Mathematics benchmarks (MATH, GSM8K): the answer is compared by value.

Task.visible is empty: there is no visible verdict. AnswerKey.hidden: {"answer": LaTeX or number}.
"""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.math_grader import MathGrader, shared_grader
from parammem.domains.math_text import answer_in, normal_form
from parammem.domains.prose import Prose
from parammem.domains.wording import each, short


class RealMathDomain(Prose):
    """Candidates are answers in MATH's normal form, so that equal ones are the same when votes are counted."""

    name = "math"

    def __init__(self, grader: MathGrader | None = None) -> None:
        super().__init__("math")
        self._grader = grader

    def parse(self, text: str) -> str:
        found = answer_in(text)
        return normal_form(found) or found

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return [Feedback(passed=None, text="") for _ in items]

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        return each(lambda item: self._score(item[0].task_id, item[1].hidden["answer"], item[2]), items)

    def _score(self, task_id: str, gold: str, candidate: str) -> Score:
        found = (self._grader or shared_grader()).compare(gold, candidate)
        detail = "" if found.equal else f"expected {short(gold, 60)} got {short(candidate, 60)} ({found.by})"
        return Score(task_id=task_id, passed=found.equal, value=float(found.equal), detail=detail)
