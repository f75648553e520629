"""Multi-hop questions over a passage, judged by the answer.

Task.visible: {"checks": [{"name", "phrase", "expected", "answers": {reading: answer}}, …]}: solved sibling questions
over the same passage; a candidate is held to the reading of each phrase that its plan line states.
AnswerKey.hidden: {"answer": text}.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.conventions import parse_claims
from parammem.domains.wording import CheckResult, each, feedback_of


class QaJudge:
    """Judges candidates of a line `plan …`, the first hop, and a line `answer …`."""

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return each(lambda item: feedback_of(_results(item[0].visible, item[1])), items)

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        return each(lambda item: _score(item[0].task_id, item[1].hidden["answer"], item[2]), items)


def answer_in(candidate: str) -> str:
    """Return the last word of the last line that begins with `answer`: the value of the fact it rests on. Empty if
    none."""
    lines = [line for line in candidate.splitlines() if line.startswith("answer ")]
    return lines[-1].split()[-1] if lines else ""


def normalise(answer: str) -> str:
    """Return HotpotQA's official normalisation: lower case, no punctuation, no articles, single spaces."""
    text = "".join(c for c in answer.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _score(task_id: str, expected: str, candidate: str) -> Score:
    passed = normalise(answer_in(candidate)) == normalise(expected)
    detail = "" if passed else f"answer expected {expected} got {answer_in(candidate)[:40]}"
    return Score(task_id=task_id, passed=passed, value=float(passed), detail=detail)


def _results(spec: dict[str, Any], candidate: str) -> list[CheckResult]:
    readings = _readings(candidate)
    return [_judge(check, readings) for check in spec.get("checks", [])]


def _readings(candidate: str) -> dict[str, str]:
    plan = next((line for line in candidate.splitlines() if line.startswith("plan ")), "")
    return dict(claim.split("=") for claim in parse_claims("qa", plan.removeprefix("plan ")))


def _judge(check: dict[str, Any], readings: dict[str, str]) -> CheckResult:
    got = check["answers"].get(readings.get(check["phrase"], ""), "nothing")
    return CheckResult(check["name"], ok=got == check["expected"], expected=check["expected"], got=got)
