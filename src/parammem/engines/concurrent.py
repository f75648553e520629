"""The completion cache around a server: as cached.py, but every request for itself.

An answer is committed as soon as it is there, before anybody sees it, so a kill loses what was in flight or being
written, and nothing else. Equal draws that are wanted at the same time are asked once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TypeVar

from parammem.engines.base import Completion, ConcurrentEngine, Request
from parammem.engines.cached import CacheStats, draw_keys, read_completion
from parammem.engines.completion_store import Keeper, Store
from parammem.errors import ParamMemError, RequestFailed

T = TypeVar("T")


class ConcurrentCache:
    """Wraps a concurrent engine; its digest and answers are the inner engine's. `stats` counts hits, misses, tokens."""

    def __init__(self, engine: ConcurrentEngine, store: Keeper | Path | str) -> None:
        """Raises EngineError: the folder cannot be used."""
        self.engine = engine
        self.store: Keeper = Store(store) if isinstance(store, str | Path) else store
        self.stats = CacheStats()
        self._lock = Lock()
        self._flying: dict[str, Future[Completion]] = {}
        # Answers are recorded in a thread of their own, so that no request waits for the disk.
        self._writer = ThreadPoolExecutor(1, "parammem-cache")
        self._answered: deque[tuple[list[str], Future[list[Completion]]]] = deque()

    @property
    def digest(self) -> str:
        return self.engine.digest

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Return for each request its completions, in order; those from the cache say so.

        Raises:
            RequestFailed: a request got no usable answer; those of the others are recorded.
            EngineError: it concerns all requests, or the cache cannot be used.
        """
        return gathered([self.submit(request) for request in requests])

    def submit(self, request: Request) -> Future[list[Completion]]:
        """Begin a request; see ConcurrentEngine. What is in the cache is there at once.

        Raises:
            EngineError: the cache cannot be read.
        """
        keys = draw_keys(self.digest, request)
        with self._lock:
            flying = {key: self._flying[key] for key in keys if key in self._flying}
            stored = self.store.get([key for key in keys if key not in flying])
            ready = {key: _ready(line) for key, line in stored.items()}
            missing = [place for place, key in enumerate(keys) if key not in flying and key not in stored]
            self._flying.update({keys[place]: Future() for place in missing})
            parts = [ready[key] if key in ready else self._flying[key] for key in keys]
            self.stats.hits += len(keys) - len(missing)
        for run in consecutive(missing):
            part = request.model_copy(update={"first_draw": request.first_draw + run[0], "n": len(run)})
            self._begin(part, [keys[place] for place in run])
        return joined(parts)

    def _begin(self, request: Request, keys: list[str]) -> None:
        try:
            asked = self.engine.submit(request)
        except Exception as error:
            asked = Future()
            asked.set_exception(error)
        asked.add_done_callback(lambda done: self._hand_over(keys, done))

    def _hand_over(self, keys: list[str], done: Future[list[Completion]]) -> None:
        self._answered.append((keys, done))
        with suppress(RuntimeError):  # the process ends, and no caller waits any more
            self._writer.submit(self._land)

    def _land(self) -> None:
        """Record all answers that arrived, and then set the futures of those who asked for them.

        One transaction for what came while the last was written: a slow disk delays answers, but they do not pile up.
        """
        made: dict[str, Completion] = {}
        while self._answered:
            keys, done = self._answered.popleft()
            try:
                made |= dict(zip(keys, done.result(), strict=True))
            except BaseException as error:
                self._fail(keys, error)
        if not made:
            return
        try:
            self.store.put({key: completion.line() for key, completion in made.items()})
            # If another process recorded a draw first, its text is the one that every later run will see.
            stored = self.store.get(list(made))
            result = {key: read_completion(stored[key]) if key in stored else made[key] for key in made}
        except BaseException as error:
            self._fail(list(made), error)
            return
        with self._lock:
            self.stats.misses += len(made)
            self.stats.prompt_tokens += sum(completion.prompt_tokens for completion in made.values())
            self.stats.tokens_generated += sum(completion.completion_tokens for completion in made.values())
        for key, completion in result.items():
            self._take(key).set_result(completion)

    def _fail(self, keys: list[str], error: BaseException) -> None:
        for key in keys:
            self._take(key).set_exception(error)

    def _take(self, key: str) -> Future[Completion]:
        with self._lock:
            return self._flying.pop(key)


def _ready(line: str) -> Future[Completion]:
    future: Future[Completion] = Future()
    future.set_result(read_completion(line).model_copy(update={"cached": True}))
    return future


def consecutive(places: Sequence[int]) -> list[list[int]]:
    """Return numbers in runs without gaps."""
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][-1] + 1 == place:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


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
