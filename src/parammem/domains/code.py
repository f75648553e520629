"""Python functions, judged by running them in the sandbox.

Task.visible and AnswerKey.hidden: {"entry": name, "checks": [{"name", "args", "expected"}, …]}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from parammem import sandbox
from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.code_text import program_in
from parammem.domains.wording import CheckResult, PocketPrompts, each, feedback_of, score_of, short
from parammem.sandbox.asks import sendable

T = TypeVar("T")

WORDS = {"exception": "error", "setup": "error", "undecodable": "error", "cpu": "timeout"}
"""Kind of outcome → its word in feedback. Which limit an endless loop reaches first depends on how busy the machine is,
and feedback must not."""


@dataclass(frozen=True)
class CodePrompts(PocketPrompts):
    """The prompts of pocket tasks whose candidates are programs."""

    kind: str = "code"

    def parse(self, text: str, task: Task | None = None) -> str:
        """Return the whole text, as pocket models write programs; of a text with fences, the program in it."""
        if "```" in text or "~~~" in text:
            return program_in(text, task.visible if task else None)
        return super().parse(text, task)


class CodeJudge:
    """Runs programs; a check is a call and the plain value it must return."""

    def __init__(self, workers: int = 1, level: sandbox.Level = "strict", **limits: float) -> None:
        self._workers = workers
        self._level: sandbox.Level = level
        self._limits = sandbox.Limits.model_validate(limits)

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        runs = self._run([(task.visible, candidate) for task, candidate in items])
        return each(lambda place: feedback_of(_or_raise(runs[place])), range(len(items)))

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        runs = self._run([(key.hidden, candidate) for _, key, candidate in items])
        return each(lambda place: score_of(items[place][0].task_id, _or_raise(runs[place])), range(len(items)))

    def _run(self, items: Sequence[tuple[dict[str, Any], str]]) -> list[list[CheckResult] | Exception]:
        """Run each candidate on its checks; equal (candidate, calls) pairs run once."""
        jobs = each(lambda item: _job(item, self._limits), items)
        distinct = dict(job for job in jobs if not isinstance(job, Exception))
        ran = sandbox.run_many(list(distinct.values()), self._limits, workers=self._workers, level=self._level)
        outcomes = dict(zip(distinct, ran, strict=True))

        def results(place: int) -> list[CheckResult]:
            key, _ = _or_raise(jobs[place])
            checks = items[place][0].get("checks", [])
            return [_judge(check, outcome) for check, outcome in zip(checks, outcomes[key], strict=True)]

        return each(results, range(len(items)))


def _or_raise(made: T | Exception) -> T:
    if isinstance(made, Exception):
        raise made
    return made


def _job(item: tuple[dict[str, Any], str], limits: sandbox.Limits) -> tuple[str, sandbox.CandidateJob]:
    """Return a key under which equal jobs are one, and the job."""
    spec, candidate = item
    calls = [sandbox.Call(args=check["args"]) for check in spec.get("checks", [])]
    job = sandbox.CandidateJob(source=candidate, entry=spec["entry"] if calls else None, calls=calls)
    sendable(job, limits)
    return job.model_dump_json(), job


def _judge(check: dict[str, Any], outcome: sandbox.ExecutionOutcome) -> CheckResult:
    if sandbox.equal(outcome, check["expected"], json_values=True):
        return CheckResult(check["name"], ok=True)
    got = short(outcome.value) if outcome.kind == "value" else WORDS.get(outcome.kind, outcome.kind)
    return CheckResult(check["name"], ok=False, expected=check["expected"], got=got)
