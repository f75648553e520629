"""Multi-hop questions of benchmarks (HotpotQA, 2WikiMultiHopQA): the official exact match decides, F1 is the value.

Task.visible is empty: there is no visible verdict. AnswerKey.hidden: {"answer", "supporting_facts"}.
Source of the rules: HotpotQA's evaluation (Yang et al. 2018), which 2WikiMultiHopQA uses too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.answers import Equality, Reading
from parammem.domains.prose import BenchmarkProse
from parammem.domains.qa import normalise
from parammem.domains.qa_answer import read_short_answer
from parammem.domains.wording import each, short

MATERIAL = "\n\nPassages:\n"
CLOSED = {"yes", "no", "noanswer"}
"""Answers that earn nothing by a shared word."""


@dataclass(frozen=True)
class RealQaPrompts(BenchmarkProse):
    """The prompts of questions whose candidates are short answers."""

    style: str = "qa"

    def question(self, task_text: str) -> str:
        """Return the question without the passages: advice is about the question alone (paper, section on QA)."""
        return task_text.split(MATERIAL)[0]

    def read(self, text: str) -> Reading:
        """Return what the text answers, and by which rule it was found."""
        return read_short_answer(text)

    def parse(self, text: str, task: Task | None = None) -> str:
        return self.read(text).answer


class RealQaJudge:
    """Compares short answers by the official rules."""

    def compare(self, hidden: Mapping[str, Any], candidate: str) -> Equality:
        """Return whether a candidate is what the key holds, by HotpotQA's official exact match."""
        return Equality(equal=exact_match(candidate, hidden["answer"]), by="official exact match")

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return [Feedback(passed=None, text="") for _ in items]

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        return each(lambda item: _score(item[0].task_id, item[1].hidden["answer"], item[2]), items)


def with_passages(question: str, passages: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return the text of a task: the question, then its passages, numbered."""
    shown = [f"[{n}] {title}\n{''.join(lines).strip()}" for n, (title, lines) in enumerate(passages, 1)]
    return question + (MATERIAL + "\n".join(shown) if shown else "")


def exact_match(answer: str, gold: str) -> bool:
    """Return whether both are equal after the official normalisation."""
    return normalise(answer) == normalise(gold)


def f1(answer: str, gold: str) -> float:
    """Return official F1 over normalised words; yes, no and noanswer are all or nothing."""
    left, right = normalise(answer), normalise(gold)
    if left != right and (left in CLOSED or right in CLOSED):
        return 0.0
    shared = sum((Counter(left.split()) & Counter(right.split())).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(left.split()), shared / len(right.split())
    return 2 * precision * recall / (precision + recall)


def _score(task_id: str, gold: str, candidate: str) -> Score:
    passed = exact_match(candidate, gold)
    detail = "" if passed else f"expected {short(gold, 60)} got {short(candidate, 60)}"
    return Score(task_id=task_id, passed=passed, value=1.0 if passed else f1(candidate, gold), detail=detail)
