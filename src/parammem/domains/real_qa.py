"""Multi-hop questions of benchmarks (HotpotQA, 2WikiMultiHopQA): the official exact match decides, F1 is the value.

Task.visible is empty: there is no visible verdict. AnswerKey.hidden: {"answer", "supporting_facts"}.
Source of the rules: HotpotQA's evaluation (Yang et al. 2018), which 2WikiMultiHopQA uses too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.prose import Prose
from parammem.domains.qa import normalise
from parammem.domains.wording import each, short

MATERIAL = "\n\nPassages:\n"
CLOSED = {"yes", "no", "noanswer"}
"""Answers that earn nothing by a shared word."""
_SAID = re.compile(r"(?:final\s+)?answer\s*(?:is|:)\s*(.+)", re.IGNORECASE)


class RealQaDomain(Prose):
    """Candidates are short answers."""

    name = "qa"

    def __init__(self) -> None:
        super().__init__("qa")

    def question(self, task_text: str) -> str:
        """The question without the passages: advice is about the question alone (paper, section on QA)."""
        return task_text.split(MATERIAL)[0]

    def parse(self, text: str) -> str:
        """What the last line that says `Answer:` says, else the last line."""
        said = _SAID.findall(text)
        lines = [line for line in text.splitlines() if line.strip()]
        found = said[-1] if said else lines[-1] if lines else ""
        return found.strip().strip("*_`\"' ").removesuffix(".").strip()

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return [Feedback(passed=None, text="") for _ in items]

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        return each(lambda item: _score(item[0].task_id, item[1].hidden["answer"], item[2]), items)


def with_passages(question: str, passages: Sequence[tuple[str, Sequence[str]]]) -> str:
    """The text of a task: the question, then its passages, numbered."""
    shown = [f"[{n}] {title}\n{''.join(lines).strip()}" for n, (title, lines) in enumerate(passages, 1)]
    return question + (MATERIAL + "\n".join(shown) if shown else "")


def exact_match(answer: str, gold: str) -> bool:
    """Equal after the official normalisation."""
    return normalise(answer) == normalise(gold)


def f1(answer: str, gold: str) -> float:
    """Official F1 over normalised words; yes, no and noanswer are all or nothing."""
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
