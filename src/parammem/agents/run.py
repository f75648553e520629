"""Runs of agents: advances any number of `solve` generators, over engines of either kind, until each has ended.

A request to a server is begun at once, and where servers are asked so are checks: no task waits for another. What
likes batches (an engine that is no server, and checks where no server is asked) is kept until nothing else is in
flight, and is then answered in one call each. So what shares a call follows from the runs and their answers, and not
from how long anything takes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from parammem.agents.asking import call
from parammem.agents.loop import Agent, Answer, Ask, Check, Step, solve
from parammem.core import Task, Trajectory
from parammem.domains.base import Example
from parammem.engines.base import is_concurrent
from parammem.engines.futures import as_exception, concerns_one

CHECKS = 32
"""Checks that may wait for the sandbox at once: more than any pool has workers."""

Run = Generator[Step, Answer, Trajectory]
Result = Answer | Exception


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


def run_all(runs: Sequence[Run], progress: Callable[[int], None] | None = None) -> list[Trajectory]:
    """Drive every run to its end; trajectories in the order of the runs.

    What fails for one run is thrown into that run alone. A ParamMemError (a missing model, a spent budget) concerns
    all and is raised, unless it is a RequestFailed. What a server was being asked then is still waited for, because it
    is paid for; with a cache it is recorded.

    Args:
        progress: called with the number of runs that have ended, whenever it has grown.
    """
    finished: dict[int, Trajectory] = {}
    waiting: dict[int, Step] = {}
    for index, one in enumerate(runs):
        _advance(index, lambda one=one: next(one), waiting, finished)
    with ThreadPoolExecutor(CHECKS, "parammem-check") as threads:
        flight = _Flight(threads)
        while waiting or flight.out:
            waiting, before = flight.begin(waiting), len(finished)
            answers, waiting = (flight.landed(), waiting) if flight.out else (_answer(waiting), {})
            for index, answer in answers.items():
                _advance(index, lambda one=runs[index], answer=answer: _send(one, answer), waiting, finished)
            if progress and len(finished) > before:
                progress(len(finished))
    return [finished[index] for index in range(len(runs))]


def _advance(index: int, step: Callable[[], Step], waiting: dict[int, Step], finished: dict[int, Trajectory]) -> None:
    try:
        waiting[index] = step()
    except StopIteration as end:
        finished[index] = end.value


def _send(one: Run, answer: Result) -> Step:
    return one.throw(answer) if isinstance(answer, Exception) else one.send(answer)


class _Flight:
    """Steps that are carried out side by side. Their answers arrive in one queue."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.out = 0
        """Steps that are being carried out."""
        self._threads = threads
        self._arrived: SimpleQueue[tuple[int, Result]] = SimpleQueue()
        self._servers = False
        """Whether a server has been asked."""

    def begin(self, waiting: dict[int, Step]) -> dict[int, Step]:
        """Begin the steps that need no batch, and return those that do."""
        self._servers = self._servers or any(_asks_server(step) for step in waiting.values())
        if not self._servers:
            return waiting
        begun = {i: step for i, step in waiting.items() if isinstance(step, Check) or _asks_server(step)}
        for index, step in begun.items():
            self.out += 1
            try:
                future = self._carry_out(step)
            except Exception as error:
                self._arrived.put((index, error))
            else:
                future.add_done_callback(lambda done, index=index: self._arrived.put((index, _result(done))))
        return {index: step for index, step in waiting.items() if index not in begun}

    def _carry_out(self, step: Step) -> Future[Any]:
        if isinstance(step, Check):
            return self._threads.submit(step.checks.check, [(step.task, step.candidate)])
        assert is_concurrent(step.engine)
        return step.engine.submit(step.request)

    def landed(self) -> dict[int, Result]:
        """Wait for the next answer, and return it with its run. Raises ParamMemError: one that concerns all runs, when
        everything has ended."""
        index, answer = self._arrived.get()
        self.out -= 1
        if isinstance(answer, Exception) and not concerns_one(answer):
            for _ in range(self.out):
                self._arrived.get()
            raise answer
        return {index: answer}


def _asks_server(step: Step) -> bool:
    return isinstance(step, Ask) and is_concurrent(step.engine)


def _result(done: Future[Any]) -> Result:
    """Return the one answer of a step, or its exception."""
    error = done.exception()
    return done.result()[0] if error is None else as_exception(error)


def _answer(waiting: dict[int, Step]) -> dict[int, Result]:
    """Return the answer, or the exception, that each waiting run is sent; in the order of the runs.

    Each engine is called once, and so are the checks of each domain.
    """
    answers: dict[int, Result] = {}
    ordered = sorted(waiting.items())
    asks = {i: step for i, step in ordered if isinstance(step, Ask)}
    for engine in _distinct(step.engine for step in asks.values()):
        group = {i: step.request for i, step in asks.items() if step.engine is engine}
        replies = call(lambda requests, engine=engine: [r[0] for r in engine.complete(requests)], list(group.values()))
        answers |= dict(zip(group, replies, strict=True))
    checks = {i: step for i, step in ordered if isinstance(step, Check)}
    for one in _distinct(step.checks for step in checks.values()):
        items = {i: (step.task, step.candidate) for i, step in checks.items() if step.checks is one}
        answers |= dict(zip(items, call(one.check, list(items.values())), strict=True))
    return {index: answers[index] for index in sorted(answers)}


def _distinct(things: Iterable[Any]) -> list[Any]:
    return list({id(thing): thing for thing in things}.values())
