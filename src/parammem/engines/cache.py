"""The completion cache: a wrapper of any engine that never pays twice for the same draw.

What is written is committed before anybody sees it, and equal draws that are wanted at the same time are made once.
An engine that writes batches gets chunks of its batch size (batching.py), each recorded before the next is begun: a
kill loses at most the chunk in flight. A server gets every request as soon as it comes: a kill loses what was in
flight or being written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from parammem.engines.base import Completion, ConcurrentEngine, Engine, Request, is_concurrent
from parammem.engines.batching import Draw, asked_together, chunks_of, draws_of
from parammem.engines.completion_store import Keeper, Store
from parammem.engines.futures import gathered, joined
from parammem.errors import EngineError

DEFAULT_BATCH = 64


@dataclass
class CacheStats:
    """What one CachedEngine did since it was made."""

    hits: int = 0
    """Completions that were in the cache."""
    misses: int = 0
    """Completions that were made."""
    prompt_tokens: int = 0
    """Prompt tokens of those made."""
    tokens_generated: int = 0
    """Completion tokens of those made."""


class CachedEngine:
    """Wraps an engine; its digest and answers are the inner engine's. `stats` counts hits, misses and tokens."""

    def __init__(self, engine: Engine, store: Keeper | Path | str, batch: int | None = None) -> None:
        """
        Args:
            store: a store, or the folder of one.
            batch: completions per transaction of an engine that writes batches; the engine's `batch` by default.

        Raises:
            EngineError: the folder cannot be used.
        """
        self.engine = engine
        self.batch = batch or getattr(engine, "batch", DEFAULT_BATCH)
        self.store: Keeper = Store(store) if isinstance(store, str | Path) else store
        self.stats = CacheStats()
        self._lock = Lock()
        self._flying: dict[str, Future[Completion]] = {}
        # A server's answers are recorded in a thread of their own, so that no request waits for the disk.
        self._writer = ThreadPoolExecutor(1, "parammem-cache")
        self._answered: deque[tuple[list[str], Future[list[Completion]]]] = deque()

    @property
    def digest(self) -> str:
        return self.engine.digest

    @property
    def concurrent(self) -> bool:
        return is_concurrent(self.engine)

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Return for each request its completions, in order; those from the cache say so.

        Raises:
            RequestFailed: a server gave one request no usable answer; those of the others are recorded.
            EngineError: the inner engine failed, or the cache cannot be used. Chunks done before are recorded.
        """
        if self.concurrent:
            return gathered([self.submit(request) for request in requests])
        draws = [draws_of(self.digest, request) for request in requests]
        made: dict[str, Completion] = {}
        for chunk in chunks_of((draw for some in draws for draw in some), self.batch):
            made |= zip((draw.key for draw in chunk), gathered(self._begin(chunk)), strict=True)
        return [[made[draw.key] for draw in some] for some in draws]

    def submit(self, request: Request) -> Future[list[Completion]]:
        """Begin a request; see ConcurrentEngine. What is in the cache is there at once.

        Raises:
            EngineError: the cache cannot be read.
        """
        return joined(self._begin(draws_of(self.digest, request)))

    def _begin(self, draws: Sequence[Draw]) -> list[Future[Completion]]:
        """Ask for the draws that are neither stored nor asked for yet; return a future for each, in order."""
        with self._lock:
            parts = {draw.key: self._flying[draw.key] for draw in draws if draw.key in self._flying}
            stored = self.store.get([draw.key for draw in draws if draw.key not in parts])
            parts |= {key: _ready(line) for key, line in stored.items()}
            missing = [draw for draw in draws if draw.key not in parts]
            begun: dict[str, Future[Completion]] = {draw.key: Future() for draw in missing}
            self._flying |= begun
            self.stats.hits += len(draws) - len(missing)
        parts |= begun
        if is_concurrent(self.engine):
            for request, keys in asked_together(missing):
                _submitted(self.engine, request).add_done_callback(lambda done, keys=keys: self._hand_over(keys, done))
        elif missing:
            self._write_batch(missing)
        return [parts[draw.key] for draw in draws]

    def _write_batch(self, draws: Sequence[Draw]) -> None:
        asked = asked_together(draws)
        try:
            answers = self.engine.complete([request for request, _ in asked])
            made = {
                key: completion
                for (_, keys), completions in zip(asked, answers, strict=True)
                for key, completion in zip(keys, completions, strict=True)
            }
        except BaseException as error:
            self._fail((draw.key for draw in draws), error)
            return
        self._record(made)

    def _hand_over(self, keys: list[str], done: Future[list[Completion]]) -> None:
        self._answered.append((keys, done))
        with suppress(RuntimeError):  # the process ends, and no caller waits any more
            self._writer.submit(self._land)

    def _land(self) -> None:
        """Record all answers that arrived: one transaction for what came while the last was written. A slow disk
        delays answers, but they do not pile up."""
        made: dict[str, Completion] = {}
        while self._answered:
            keys, done = self._answered.popleft()
            try:
                made |= dict(zip(keys, done.result(), strict=True))
            except BaseException as error:
                self._fail(keys, error)
        if made:
            self._record(made)

    def _record(self, made: dict[str, Completion]) -> None:
        """Write down completions, and then set the futures of those who asked for them."""
        try:
            self.store.put({key: completion.line() for key, completion in made.items()})
            # If another process recorded a draw first, its text is the one that every later run will see.
            stored = self.store.get(list(made))
            result = {key: read_completion(stored[key]) if key in stored else made[key] for key in made}
        except BaseException as error:
            self._fail(made, error)
            return
        with self._lock:
            self.stats.misses += len(made)
            self.stats.prompt_tokens += sum(completion.prompt_tokens for completion in made.values())
            self.stats.tokens_generated += sum(completion.completion_tokens for completion in made.values())
        for key, completion in result.items():
            self._take(key).set_result(completion)

    def _fail(self, keys: Iterable[str], error: BaseException) -> None:
        for key in keys:
            self._take(key).set_exception(error)

    def _take(self, key: str) -> Future[Completion]:
        with self._lock:
            return self._flying.pop(key)


def _ready(line: str) -> Future[Completion]:
    future: Future[Completion] = Future()
    future.set_result(read_completion(line).model_copy(update={"cached": True}))
    return future


def _submitted(engine: ConcurrentEngine, request: Request) -> Future[list[Completion]]:
    try:
        return engine.submit(request)
    except Exception as error:
        failed: Future[list[Completion]] = Future()
        failed.set_exception(error)
        return failed


def read_completion(line: str) -> Completion:
    """Return a completion as it was recorded. Raises EngineError: another version of this program recorded it."""
    try:
        return Completion.model_validate_json(line)
    except ValidationError as error:
        raise EngineError(
            f"the completion cache holds an entry that this version cannot read ({error.errors()[0]['msg']}): "
            f"{line[:80]!r}; run the version that wrote it, or set engine.cache in params.yaml to a new folder"
        ) from None
