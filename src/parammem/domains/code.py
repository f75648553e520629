"""Python functions, judged by running them in the sandbox.

Task.visible and AnswerKey.hidden: {"entry": name, "checks": [{"name", "args", "expected"}, …]}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem import sandbox
from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.conventions import parse_claims
from parammem.domains.wording import Checked, Wording, feedback_text, short


class CodeDomain(Wording):
    """Candidates are programs; a check is a call and the plain value it must return."""

    name = "code"

    def __init__(self, workers: int = 1, level: str = "strict", **limits: float) -> None:
        super().__init__()
        self._workers, self._level = workers, level
        self._limits = sandbox.Limits.model_validate(limits)

    def parse(self, text: str) -> str:
        """The program: what stands in a fenced block, or else the whole text."""
        if "```" in text:
            block = text.split("```")[1]
            return block.removeprefix("python").strip("\n")
        return text.strip("\n")

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        runs = self._run([(task.visible, candidate) for task, candidate in items])
        return [Feedback(passed=all(c.ok for c in results), text=feedback_text(results)) for results in runs]

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        runs = self._run([(key.hidden, candidate) for _, key, candidate in items])
        scores: list[Score | Exception] = []
        for (task, _, _), results in zip(items, runs, strict=True):
            failed = [c for c in results if not c.ok]
            passed = not failed
            scores.append(
                Score(task_id=task.task_id, passed=passed, value=float(passed), detail=feedback_text(failed[:1]))
            )
        return scores

    def hypotheses(self, advice: str) -> frozenset[str]:
        return parse_claims("code", advice)

    def _run(self, items: Sequence[tuple[dict[str, Any], str]]) -> list[list[Checked]]:
        """Run each candidate on its checks; equal (candidate, calls) pairs run once."""
        jobs = [
            sandbox.Job(
                source=candidate,
                entry=spec["entry"],
                calls=[sandbox.Call(args=check["args"]) for check in spec["checks"]],
            )
            for spec, candidate in items
        ]
        distinct = {job.model_dump_json(): job for job in jobs}
        ran = sandbox.run_many(list(distinct.values()), self._limits, workers=self._workers, level=self._level)
        outcomes = dict(zip(distinct, ran, strict=True))
        return [
            [_judge(check, outcome) for check, outcome in zip(spec["checks"], outcomes[key], strict=True)]
            for (spec, _), key in zip(items, [job.model_dump_json() for job in jobs], strict=True)
        ]


def _judge(check: dict[str, Any], outcome: sandbox.Outcome) -> Checked:
    if sandbox.equal(outcome, check["expected"], json_values=True):
        return Checked(check["name"], ok=True)
    got = short(outcome.value) if outcome.kind == "value" else outcome.kind.replace("exception", "error")
    return Checked(check["name"], ok=False, expected=check["expected"], got=got)
