"""Futures of requests that wait side by side: all their results in order, or the error that concerns most."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from threading import Lock
from typing import TypeVar

from parammem.errors import ParamMemError, RequestFailed

T = TypeVar("T")


def joined(parts: Sequence[Future[T]]) -> Future[list[T]]:
    """Return a future of all results, in order. It ends when all have, with the error that concerns most if there is
    one."""
    whole: Future[list[T]] = Future()
    left = set(range(len(parts)))
    lock = Lock()

    def landed(place: int) -> None:
        with lock:
            left.discard(place)
            if left or whole.done():
                return
            finished = bool(whole.set_running_or_notify_cancel())
        if finished:
            _settle(whole, parts)

    for place, part in enumerate(parts):
        part.add_done_callback(lambda _, place=place: landed(place))
    if not parts:
        whole.set_result([])
    return whole


def _settle(whole: Future[list[T]], parts: Sequence[Future[T]]) -> None:
    error = worst(parts)
    if error is not None:
        whole.set_exception(error)
    else:
        whole.set_result([part.result() for part in parts])


def gathered(futures: Sequence[Future[T]]) -> list[T]:
    """Return the results of all, in order, when all have ended. Raises the worst of their errors."""
    wait(futures)
    error = worst(futures)
    if error is not None:
        raise error
    return [future.result() for future in futures]


def worst(futures: Sequence[Future[T]]) -> BaseException | None:
    """Return, of the errors of ended futures, one that concerns all requests, or else the first."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    return min(errors, key=concerns_one, default=None)


def concerns_one(error: BaseException) -> bool:
    """Return whether an error is about one request, so that others may go on."""
    return isinstance(error, RequestFailed) or not isinstance(error, ParamMemError)


def as_exception(error: BaseException) -> Exception:
    """Return an error that a run can be sent: what would end the process becomes a RuntimeError."""
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
