"""Many questions at once, where one that gets no answer costs itself and no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from typing import Any

from parammem.engines.base import Completion, Engine, Request, is_concurrent
from parammem.engines.futures import as_exception, concerns_one, worst
from parammem.errors import TooManyFailures

MOST_FAILED = 0.5
"""Share of a labeller's requests that may get no answer where no params say another."""


def call(function: Callable[[list[Any]], Sequence[Any]], items: list[Any]) -> list[Any]:
    """Call a function with all items; if that fails, one at a time, so that only the bad ones fail, each with its
    exception.

    Raises:
        ParamMemError: one that concerns all items.
    """
    try:
        return list(function(items))
    except Exception as error:
        if not concerns_one(error):
            raise
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
        future.result() if error is None else as_exception(error) for future, error in zip(futures, errors, strict=True)
    ]


def check_answers(failed: Mapping[str, Exception], asked: int, most: float) -> None:
    """Raise TooManyFailures if, of the tasks that a labeller was asked about, a larger share than `most` got no answer.

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
