"""The user's own agent as an arm: one run for each task and seed, with advice or without, and its outcome.

An outcome is the agent's own, or else the judge's, or else not known. Whatever goes wrong in a run is recorded as the
failure of that run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from parammem.agents.program import ProgramFailed, UserProgram
from parammem.core import Attempt, Failure, Feedback, Outcome, Reflection, Step, Task, Trajectory

PROTOCOL = "own-agent"
"""The protocol of such runs: one attempt, with the advice that came before it."""
ANSWER = ("task_id", "steps", "answer", "outcome")


class OwnRun(NamedTuple):
    """What an agent did, and how it turned out."""

    trajectory: Trajectory
    outcome: Outcome


class Ordered(NamedTuple):
    """A run that is asked for."""

    arm: str
    task: Task
    seed: int
    advice: Reflection | None = None


class NotJudged(Exception):
    """A judge did not say how an answer turned out: why, in words."""


@dataclass(frozen=True)
class ProgramJudge:
    """A program of the user's that says how answers turned out."""

    program: UserProgram
    passes_at: float
    """The least value of an outcome that counts as passed, where the outcome does not say it."""

    def __call__(self, items: Sequence[tuple[Task, str]]) -> list[Outcome | Exception]:
        """Return the outcome of each (task, answer), or NotJudged."""
        asked = [{"task_id": task.task_id, "task": task.text, "answer": answer} for task, answer in items]
        return [self._read(said) for said in self.program.each(asked)]

    def _read(self, said: dict[str, Any] | ProgramFailed) -> Outcome | Exception:
        if isinstance(said, ProgramFailed):
            return NotJudged(f"judge: {said}")
        try:
            if set(said) != {"outcome"}:
                raise ValueError("it answers {outcome}, and nothing else")
            return outcome_of(said["outcome"], self.passes_at)
        except (ValueError, ValidationError) as error:
            return NotJudged(f"judge: {in_words(error)}")


@dataclass(frozen=True)
class OwnAgent:
    """An agent, and the judge of its answers if there is one."""

    agent: UserProgram
    judge: ProgramJudge | None
    passes_at: float
    """As a judge's."""

    def work(self, orders: Sequence[Ordered]) -> list[OwnRun]:
        """Return a run for each order, in their order. Never raises for what an agent or a judge does."""
        asked = [
            {
                "task_id": one.task.task_id,
                "task": one.task.text,
                "advice": one.advice.text if one.advice else "",
                "seed": one.seed,
            }
            for one in orders
        ]
        runs = [self._run(*pair) for pair in zip(orders, self.agent.each(asked), strict=True)]
        return self._judged(runs, orders)

    def _run(self, order: Ordered, said: dict[str, Any] | ProgramFailed) -> OwnRun:
        if isinstance(said, ProgramFailed):
            return _failed(order, type(said).__name__, f"agent: {said}")
        try:
            return self._read(order, said)
        except (ValueError, ValidationError) as error:
            return _failed(order, "BadAnswer", f"agent: {in_words(error)}")

    def _read(self, order: Ordered, said: Mapping[str, Any]) -> OwnRun:
        strange = sorted(set(said) - set(ANSWER))
        if strange:
            raise ValueError(f"it answered fields that there are not; there are {', '.join(ANSWER)}")
        if said.get("task_id", order.task.task_id) != order.task.task_id:
            raise ValueError("it answered another task than it was asked")
        answer = said.get("answer")
        if not isinstance(answer, str):
            raise ValueError("`answer` is no text")
        steps = said.get("steps") or []
        if not isinstance(steps, list):
            raise ValueError("`steps` is no list")
        outcome = outcome_of(said.get("outcome"), self.passes_at)
        read = tuple(Step.model_validate(step) for step in steps)
        return OwnRun(_trajectory(order, answer, read, outcome), outcome)

    def _judged(self, runs: list[OwnRun], orders: Sequence[Ordered]) -> list[OwnRun]:
        """Return the runs, with the judge's outcome where the agent said none."""
        if self.judge is None:
            return runs
        open_ones = [n for n, run in enumerate(runs) if run.outcome.passed is None and not run.trajectory.failure]
        answers = [(orders[n].task, runs[n].trajectory.attempts[0].candidate) for n in open_ones]
        for n, outcome in zip(open_ones, self.judge(answers), strict=True):
            if isinstance(outcome, Exception):
                failure = Failure(kind=type(outcome).__name__, message=str(outcome)[:500], iteration=1)
                failed = {"failure": failure, "stop": "failed"}
                runs[n] = runs[n]._replace(trajectory=runs[n].trajectory.model_copy(update=failed))
            else:
                runs[n] = runs[n]._replace(outcome=outcome)
        return runs


def outcome_of(said: Any, passes_at: float) -> Outcome:
    """Return an outcome as a user's program says it: true, false, null, a number from 0 to 1, or an object with them.

    Raises:
        ValueError: it is none of these, e.g. the number 7.
    """
    if isinstance(said, int | float) and not isinstance(said, bool):
        said = {"value": said}
    if isinstance(said, dict):
        if not isinstance(said.get("passed"), bool | None):
            raise ValueError("`passed` is neither true, false nor null")
        said = {"passed": None} | said
    return Outcome.model_validate(said).decided(passes_at)


def in_words(error: Exception) -> str:
    """Return why an answer is no valid one, without what it holds."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{error.title}: {'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    return str(error)


def _trajectory(order: Ordered, answer: str, steps: tuple[Step, ...], outcome: Outcome) -> Trajectory:
    attempt = Attempt(
        number=1, text=answer, candidate=answer.strip(), temperature=0.0, steps=steps,
        feedback=Feedback(passed=None, text=""),
    )  # fmt: skip
    return _shared(order).model_copy(update={"attempts": (attempt,), "submission": 1})


def _failed(order: Ordered, kind: str, why: str) -> OwnRun:
    failure = Failure(kind=kind, message=why[:500], iteration=1)
    return OwnRun(_shared(order).model_copy(update={"stop": "failed", "failure": failure}), Outcome(passed=None))


def _shared(order: Ordered) -> Trajectory:
    return Trajectory(
        task_id=order.task.task_id,
        domain=order.task.domain,
        method=order.arm,
        protocol=PROTOCOL,
        seed=order.seed,
        reflections=(order.advice,) if order.advice else (),
        stop="iterations",
        submission=None,
    )
