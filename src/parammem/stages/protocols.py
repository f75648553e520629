"""The protocols that let the correctness signal into the loop, beside `strict` and `two-phase`, which do not.

They exist to show what that is worth, and every score made under one says so. The agent still holds no key: its
visible checks are replaced by others that answer "right" or "wrong".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from parammem.agents.loop import Agent, submission
from parammem.core import AnswerKey, Feedback, Score, Task, Trajectory
from parammem.domains import Judge

Gate = Literal["verdict", "both"]
"""verdict: the hidden verdict alone lets an attempt pass. both: the visible checks, and then the hidden verdict."""
ORACLES: dict[str, Gate] = {"oracle": "verdict", "released-code": "both"}
"""Protocol → what gates its loop, its second phase and its bank."""
RELEASED_ATTEMPTS = 12
"""Attempts of ParamAgent in each of two phases of the published code: 24 in all, where Reflexion has 5."""
RELEASED_REFLECTED = (2, 4, 6, 8, 10)
"""Attempts of a phase after which it reflects: 10 reflections in all, where Reflexion has 4."""


@dataclass(frozen=True)
class Oracle:
    """Visible checks that read the answer key."""

    judge: Judge
    keys: Mapping[str, AnswerKey]
    gate: Gate

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        """Return whether each candidate is right. In words a model sees what the visible checks say, or this one
        bit."""
        seen = self.judge.check(items)
        scores = self.judge.score([(task, self.keys[task.task_id], candidate) for task, candidate in items])
        return [self._feedback(*pair) for pair in zip(seen, scores, strict=True)]

    def _feedback(self, seen: Feedback | Exception, score: Score | Exception) -> Feedback | Exception:
        if isinstance(seen, Exception):
            return seen
        if isinstance(score, Exception):
            return score
        passed = score.passed and not (self.gate == "both" and seen.passed is False)
        return Feedback(passed=passed, text=seen.text or ("The answer is right." if passed else "The answer is wrong."))


def under(protocol: str, agent: Agent, judge: Judge, keys: Mapping[str, AnswerKey]) -> Agent:
    """Return the agent as it works under this protocol; a judge with the keys stands in for its visible checks.

    `oracle`: the hidden verdict gates its loop. `released-code`: so it does for the methods that the published code
    gates with it, those with a bank or with ParamMem, and the latter have that code's number of calls.
    """
    gate = ORACLES.get(protocol)
    if gate is None or (protocol == "released-code" and phases_of(protocol, agent) == 1):
        return agent
    budget = agent.budget
    if protocol == "released-code" and agent.method.advisor == "parametric":
        budget = replace(budget, iterations=RELEASED_ATTEMPTS, reflected=RELEASED_REFLECTED)
    return replace(agent, checks=Oracle(judge, keys, gate), budget=budget)


def phases_of(protocol: str, agent: Agent) -> int:
    """Return how many phases the agent has: the second tries again what the first failed, with a bank of its successes.

    Under `two-phase` and `oracle` the methods with a bank have two. The published code gives two to ParamAgent as well.
    """
    if protocol == "strict":
        return 1
    return 2 if agent.method.bank or (protocol == "released-code" and agent.method.advisor == "parametric") else 1


def calls_doubled(protocol: str, agent: Agent) -> bool:
    """Return whether resample has twice the iterations, so that it has as many calls as the methods with two phases.
    The published code does not compare at equal calls, and neither does its protocol."""
    return protocol in ("two-phase", "oracle") and agent.method.name == "resample"


def named(protocol: str, trajectory: Trajectory) -> Trajectory:
    """Return the trajectory with the reason it ended for: not visible checks, where an oracle spoke."""
    gated = protocol in ORACLES and trajectory.stop == "visible-pass"
    return trajectory.model_copy(update={"stop": "oracle-pass"}) if gated else trajectory


def joined(first: Trajectory, second: Trajectory) -> Trajectory:
    """Join two phases of one agent on one task into one trajectory. The submission rule sees the attempts of both:
    without a visible verdict the most frequent of all is submitted, as resample does, else what the second phase came
    to."""
    attempts = first.attempts + second.attempts
    usage = dict(first.usage)
    for role, used in second.usage.items():
        before = usage.get(role)
        usage[role] = before.plus(used.calls, used.prompt_tokens, used.completion_tokens) if before else used
    return second.model_copy(
        update={
            "attempts": attempts,
            "reflections": first.reflections + second.reflections,
            "submission": submission(attempts),
            "usage": usage,
        }
    )
