"""Many tasks at once: advances `solve` generators in lock-step, so that engines and sandbox see large batches.

Where an engine is a server, concurrent.py takes over: there each task goes on as soon as its own answer is there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from parammem.agents.concurrent import Driver, any_concurrent, call
from parammem.agents.loop import Agent, Answer, Ask, Check, Step, solve
from parammem.core import Task, Trajectory
from parammem.domains.base import Example

Run = Generator[Step, Answer, Trajectory]


@dataclass(frozen=True)
class Job:
    """A run that is not yet begun: the arguments of `solve`, which, unlike a run, can be sent elsewhere."""

    agent: Agent
    task: Task
    seed: int
    examples: Sequence[Example] = ()
    protocol: str = "strict"
    first: int = 1

    def begin(self) -> Run:
        return solve(self.agent, self.task, self.seed, self.examples, self.protocol, self.first)


def run(runs: Sequence[Run], progress: Callable[[int], None] | None = None) -> list[Trajectory]:
    """Drive every run to its end; trajectories in the order of the runs.

    Each round, the completions that all runs wait for go to their engines in one call each, and so do the checks.
    What fails for one run is thrown into that run alone. A ParamMemError (a missing model, a spent budget) concerns
    all and is raised, unless it is a RequestFailed.

    Args:
        progress: called after each round (with a server: after each run's end) with the number of runs that have ended.
    """
    finished: dict[int, Trajectory] = {}
    waiting: dict[int, Step] = {}
    for index, one in enumerate(runs):
        _advance(index, lambda one=one: next(one), waiting, finished)
    while waiting:
        if any_concurrent(waiting.values()):
            _side_by_side(runs, waiting, finished, progress)
            break
        answers = _answer(waiting)
        waiting = {}
        for index, answer in answers.items():
            _advance(index, lambda one=runs[index], answer=answer: _send(one, answer), waiting, finished)
        if progress:
            progress(len(finished))
    return [finished[index] for index in range(len(runs))]


def _side_by_side(
    runs: Sequence[Run],
    waiting: dict[int, Step],
    finished: dict[int, Trajectory],
    progress: Callable[[int], None] | None,
) -> None:
    """From here on each run by itself."""

    def advance(index: int, answer: Answer | Exception) -> Step | None:
        step: dict[int, Step] = {}
        _advance(index, lambda: _send(runs[index], answer), step, finished)
        return step.get(index)

    def ended() -> None:
        if progress:
            progress(len(finished))

    Driver(advance, ended).run(waiting)


def _advance(index: int, step: Callable[[], Step], waiting: dict[int, Step], finished: dict[int, Trajectory]) -> None:
    try:
        waiting[index] = step()
    except StopIteration as end:
        finished[index] = end.value


def _send(one: Run, answer: Answer | Exception) -> Step:
    return one.throw(answer) if isinstance(answer, Exception) else one.send(answer)


def _answer(waiting: dict[int, Step]) -> dict[int, Answer | Exception]:
    """Return the answer, or the exception, that each waiting run is sent; in the order of the runs."""
    answers: dict[int, Answer | Exception] = {}
    asks = {i: step for i, step in waiting.items() if isinstance(step, Ask)}
    for engine in _distinct(step.engine for step in asks.values()):
        group = {i: step.request for i, step in asks.items() if step.engine is engine}
        replies = call(lambda requests, engine=engine: [r[0] for r in engine.complete(requests)], list(group.values()))
        answers |= dict(zip(group, replies, strict=True))
    checks = {i: step for i, step in waiting.items() if isinstance(step, Check)}
    for one in _distinct(step.checks for step in checks.values()):
        items = {i: (step.task, step.candidate) for i, step in checks.items() if step.checks is one}
        answers |= dict(zip(items, call(one.check, list(items.values())), strict=True))
    return {index: answers[index] for index in sorted(answers)}


def _distinct(things: Iterable[Any]) -> list[Any]:
    return list({id(thing): thing for thing in things}.values())
