"""Multi-hop questions over a passage, judged by the answer.

Task.visible: {"checks": [{"name", "phrase", "expected", "answers": {reading: answer}}, …]}: solved sibling questions over
the same passage; a candidate is held to the reading of each phrase that its plan line states.
AnswerKey.hidden: {"answer": text}.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.conventions import parse_claims
from parammem.domains.wording import Checked, Wording, feedback_text


class QaDomain(Wording):
    """Candidates are a line `plan …`, the first hop, and a line `answer …`."""

    name = "qa"

    def parse(self, text: str) -> str:
        return text.strip("\n")

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        verdicts: list[Feedback | Exception] = []
        for task, candidate in items:
            readings = _readings(candidate)
            results = [_judge(check, readings) for check in task.visible["checks"]]
            verdicts.append(Feedback(passed=all(c.ok for c in results), text=feedback_text(results)))
        return verdicts

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        scores: list[Score | Exception] = []
        for task, key, candidate in items:
            passed = normalise(answer_in(candidate)) == normalise(key.hidden["answer"])
            detail = "" if passed else f"answer expected {key.hidden['answer']} got {answer_in(candidate)[:40]}"
            scores.append(Score(task_id=task.task_id, passed=passed, value=float(passed), detail=detail))
        return scores

    def hypotheses(self, advice: str) -> frozenset[str]:
        return parse_claims("qa", advice)


def answer_in(candidate: str) -> str:
    """The last word of the last line that begins with `answer`: the value of the fact it rests on. Empty if none does."""
    lines = [line for line in candidate.splitlines() if line.startswith("answer ")]
    return lines[-1].split()[-1] if lines else ""


def normalise(answer: str) -> str:
    """HotpotQA's official normalisation: lower case, no punctuation, no articles, single spaces."""
    text = "".join(c for c in answer.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _readings(candidate: str) -> dict[str, str]:
    plan = next((line for line in candidate.splitlines() if line.startswith("plan ")), "")
    return dict(claim.split("=") for claim in parse_claims("qa", plan.removeprefix("plan ")))


def _judge(check: dict[str, Any], readings: dict[str, str]) -> Checked:
    got = check["answers"].get(readings.get(check["phrase"], ""), "nothing")
    return Checked(check["name"], ok=got == check["expected"], expected=check["expected"], got=got)
