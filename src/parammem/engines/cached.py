"""The completion cache: an engine around an engine that never pays twice for the same draw.

A key is the digest of everything a text follows from: the engine's digest, messages, temperature, max_tokens, stop,
seed and the number of the draw (without it ten diverse draws would collapse into one).

`complete` splits what it was asked for into chunks of the engine's batch size and commits each before the next one is
begun, so a kill loses at most the chunk in flight. Chunks follow from the requests alone, not from what is in the
cache: after a kill the engine gets the same chunks again, and its sums, and so its texts, are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from parammem.core.record import digest_of
from parammem.engines.base import Completion, Engine, Request
from parammem.engines.completion_store import Keeper, Store
from parammem.engines.sampling import messages_digest
from parammem.errors import EngineError

KEY = "completion-1"
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


@dataclass(frozen=True)
class _Draw:
    key: str
    request: int
    """Place of its request in the list."""
    number: int
    """Number of the draw."""
    order: tuple[int, str, str, int]


class CachedEngine:
    """Wraps an engine; its digest and answers are the inner engine's. `stats` counts hits, misses and tokens."""

    def __init__(self, engine: Engine, store: Keeper | Path | str, batch: int | None = None) -> None:
        """
        Args:
            store: a store, or the folder of one.
            batch: completions per transaction; the inner engine's `batch` by default.

        Raises:
            EngineError: the folder cannot be used.
        """
        self.engine = engine
        self.batch = batch or getattr(engine, "batch", DEFAULT_BATCH)
        self.store: Keeper = Store(store) if isinstance(store, str | Path) else store
        self.stats = CacheStats()

    @property
    def digest(self) -> str:
        return self.engine.digest

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Return for each request its completions, in order; those from the cache say so.

        Raises:
            EngineError: the inner engine failed, or the cache cannot be written. Chunks done before are recorded.
        """
        draws = [draw for place, request in enumerate(requests) for draw in self._draws(place, request)]
        made: dict[str, Completion] = {}
        distinct = sorted({draw.key: draw for draw in draws}.values(), key=lambda draw: draw.order)
        for start in range(0, len(distinct), self.batch):
            made.update(self._chunk(requests, distinct[start : start + self.batch]))
        answers: list[list[Completion]] = [[] for _ in requests]
        for draw in draws:
            answers[draw.request].append(made[draw.key])
        return answers

    def _draws(self, place: int, request: Request) -> list[_Draw]:
        chat, base = messages_digest(request), _base(self.digest, request)
        length = sum(len(message.content) for message in request.messages)
        return [
            _Draw(key, place, n, (length, chat, base, n))
            for n, key in enumerate(draw_keys(self.digest, request), request.first_draw)
        ]

    def _chunk(self, requests: Sequence[Request], chunk: list[_Draw]) -> dict[str, Completion]:
        stored = self.store.get([draw.key for draw in chunk])
        found = {key: read_completion(value) for key, value in stored.items()}
        answers = {key: completion.model_copy(update={"cached": True}) for key, completion in found.items()}
        self.stats.hits += len(answers)
        missing = [draw for draw in chunk if draw.key not in answers]
        return answers | self._make(requests, missing) if missing else answers

    def _make(self, requests: Sequence[Request], missing: list[_Draw]) -> dict[str, Completion]:
        runs = _runs(missing)
        asked = [
            requests[run[0].request].model_copy(update={"first_draw": run[0].number, "n": len(run)}) for run in runs
        ]
        made: dict[str, Completion] = {}
        for run, completions in zip(runs, self.engine.complete(asked), strict=True):
            made |= {draw.key: completion for draw, completion in zip(run, completions, strict=True)}
        self.store.put({key: completion.line() for key, completion in made.items()})
        self.stats.misses += len(made)
        self.stats.prompt_tokens += sum(completion.prompt_tokens for completion in made.values())
        self.stats.tokens_generated += sum(completion.completion_tokens for completion in made.values())
        # If another process recorded a draw first, its text is the one that every later run will see.
        stored = self.store.get(list(made))
        return {key: read_completion(stored[key]) if key in stored else made[key] for key in made}


def read_completion(line: str) -> Completion:
    """Return a completion as it was recorded. Raises EngineError: another version of this program recorded it."""
    try:
        return Completion.model_validate_json(line)
    except ValidationError as error:
        raise EngineError(
            f"the completion cache holds an entry that this version cannot read ({error.errors()[0]['msg']}): "
            f"{line[:80]!r}; run the version that wrote it, or set engine.cache in params.yaml to a new folder"
        ) from None


def draw_keys(digest: str, request: Request) -> list[str]:
    """Return the keys of a request's draws, in order; `digest` is the engine's."""
    base = _base(digest, request)
    return [digest_of(f"{base}:{n}") for n in range(request.first_draw, request.first_draw + request.n)]


def _base(digest: str, request: Request) -> str:
    settings = [request.temperature, request.max_tokens, list(request.stop), request.seed]
    return digest_of([KEY, digest, messages_digest(request), *settings])


def _runs(draws: list[_Draw]) -> list[list[_Draw]]:
    """Return draws of one request with consecutive numbers, joined."""
    runs: list[list[_Draw]] = []
    for draw in draws:
        last = runs[-1][-1] if runs else None
        if last and last.order[:3] == draw.order[:3] and last.number + 1 == draw.number:
            runs[-1].append(draw)
        else:
            runs.append([draw])
    return runs
