"""Many tasks against servers: advances each `solve` generator as its own answer arrives, so that no task waits for
another. The same trajectories as batch.py, which calls it where an engine is concurrent.

The driver is one thread; what is waited for (requests, checks, batches of an engine that is no server) puts its answer
into one queue. Checks run side by side in threads, each waiting for its place in the domain's sandbox pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Any

from parammem.agents.loop import Answer, Ask, Check, Step
from parammem.engines.base import Completion, Engine, Request, is_concurrent
from parammem.engines.concurrent import concerns_one, worst
from parammem.errors import ParamMemError, RequestFailed, TooManyFailures

CHECKS = 32
"""Checks that may wait for the sandbox at once: more than any pool has workers."""
MOST_FAILED = 0.5
"""Share of a labeller's requests that may get no answer where no params say another."""

Advance = Callable[[int, Answer | Exception], Step | None]
"""Sends a run its answer; its next step, or None if it has ended."""


class Driver:
    """Carries out steps until every run has ended."""

    def __init__(self, advance: Advance, ended: Callable[[], None]) -> None:
        self._advance = advance
        self._ended = ended
        self._arrived: SimpleQueue[tuple[int, Answer | Exception]] = SimpleQueue()
        self._out = 0
        """Steps that are being carried out."""
        self._gathering: dict[int, Ask] = {}
        """Requests to engines that are no servers, kept until all other runs wait too."""
        self._failure: ParamMemError | None = None

    def run(self, waiting: dict[int, Step]) -> None:
        """Raises ParamMemError: one that concerns all runs. What was being asked then is still waited for, because it
        is paid for; with a cache it is recorded."""
        with ThreadPoolExecutor(CHECKS, "parammem-check") as self._checks, ThreadPoolExecutor(1) as self._batches:
            for index, step in waiting.items():
                self._begin(index, step)
            while self._out or self._gathering:
                if self._gathering and self._arrived.empty():
                    self._flush()
                self._land(*self._arrived.get())
        if self._failure is not None:
            raise self._failure

    def _begin(self, index: int, step: Step) -> None:
        if self._failure is not None:
            return
        if isinstance(step, Check):
            self._out += 1
            self._when_done(index, self._checks.submit(_check, step))
        elif not is_concurrent(step.engine):
            self._gathering[index] = step
        else:
            self._out += 1
            self._submit(index, step)

    def _submit(self, index: int, step: Ask) -> None:
        assert is_concurrent(step.engine)
        try:
            future = step.engine.submit(step.request)
        except Exception as error:
            self._arrived.put((index, error))
            return
        self._when_done(index, future, lambda completions: completions[0])

    def _when_done(self, index: int, future: Future[Any], read: Callable[[Any], Any] = lambda answer: answer) -> None:
        def put(done: Future[Any]) -> None:
            error = done.exception()
            self._arrived.put((index, read(done.result()) if error is None else _as_exception(error)))

        future.add_done_callback(put)

    def _flush(self) -> None:
        """What gathered goes to its engines in one call each, beside everything else."""
        groups: dict[int, dict[int, Ask]] = {}
        for index, step in self._gathering.items():
            groups.setdefault(id(step.engine), {})[index] = step
        self._out += len(self._gathering)
        self._gathering = {}
        for group in groups.values():
            self._batches.submit(self._complete, group)

    def _complete(self, group: dict[int, Ask]) -> None:
        engine: Engine = next(iter(group.values())).engine
        requests = [step.request for step in group.values()]
        try:
            answers = call(lambda some: [found[0] for found in engine.complete(some)], requests)
        except Exception as error:
            answers = [error] * len(group)
        for index, answer in zip(group, answers, strict=True):
            self._arrived.put((index, answer))

    def _land(self, index: int, answer: Answer | Exception) -> None:
        self._out -= 1
        if isinstance(answer, ParamMemError) and not isinstance(answer, RequestFailed):
            self._failure = self._failure or answer
            self._gathering = {}
        if self._failure is not None:
            return
        step = self._advance(index, answer)
        if step is None:
            self._ended()
        else:
            self._begin(index, step)


def _check(step: Check) -> Answer | Exception:
    return step.checks.check([(step.task, step.candidate)])[0]


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")


def any_concurrent(steps: Iterable[Step]) -> bool:
    """Return whether one of these steps asks a server."""
    return any(isinstance(step, Ask) and is_concurrent(step.engine) for step in steps)


def call(function: Callable[[list[Any]], Sequence[Any]], items: list[Any]) -> list[Any]:
    """Call a function with all items; if that fails, one at a time, so that only the bad ones fail, each with its
    exception.

    Raises:
        ParamMemError: one that concerns all items.
    """
    try:
        return list(function(items))
    except ParamMemError as error:
        if not isinstance(error, RequestFailed):
            raise
        failed: Exception = error
    except Exception as error:
        failed = error
    return [failed] if len(items) == 1 else [call(function, [item])[0] for item in items]


def ask_each(engine: Engine, requests: Sequence[Request]) -> list[list[Completion] | Exception]:
    """Return for each request its completions, or what it failed with; in order.

    A server is asked for each once: what failed there has had its retries, and one at a time thousands take days.

    Raises:
        ParamMemError: one that concerns all requests; what was in flight is recorded.
    """
    if not is_concurrent(engine):
        return call(engine.complete, list(requests))
    futures = [engine.submit(request) for request in requests]
    wait(futures)
    fatal = worst(futures)
    if fatal is not None and not concerns_one(fatal):
        raise fatal
    errors = [future.exception() for future in futures]
    return [
        future.result() if error is None else _as_exception(error)
        for future, error in zip(futures, errors, strict=True)
    ]


def check_answers(failed: Mapping[str, Exception], asked: int, most: float) -> None:
    """Raises TooManyFailures: of the tasks that a labeller was asked about, a larger share than `most` got no answer.

    Args:
        failed: task id → what its request failed with.
    """
    if len(failed) > most * asked:
        name, error = next(iter(failed.items()))
        raise TooManyFailures(
            f"{len(failed)} of {asked} requests for labels got no answer, more than the {most:.0%} that may fail; the "
            f"first: task {name!r}, {type(error).__name__}: {error}; mend the cause and run again: what was answered "
            "is in the completion cache"
        )
