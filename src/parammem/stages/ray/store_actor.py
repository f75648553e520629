"""The Ray actor that holds the completion store for all shards, on the driver's machine.

What a shard's engine made goes there before anybody sees it, so a worker that is lost takes nothing recorded with it,
and the next one to have its shard finds it. (SQLite's file itself must not be shared by machines.) It also hears where
each shard is worked on and how far it is. Ray makes an actor of the class `StoreActor`; driver.py does that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from parammem.engines.cache import CacheStats
from parammem.engines.completion_store import Spent, Store
from parammem.errors import ClusterError


class ShardReport(NamedTuple):
    """What has happened since the driver last asked."""

    lost: list[str]
    """One sentence for each worker that was lost."""
    done: dict[str, int]
    """Shard → jobs done."""


class StoreActor:
    """See above."""

    def __init__(self, folder: str) -> None:
        """folder: of the completion store; empty: none is kept. Raises EngineError."""
        self._store = Store(Path(folder)) if folder else None
        self._where: dict[str, str] = {}
        self._done: dict[str, int] = {}
        self._lost: list[str] = []
        self._made = CacheStats()

    def begin(self, shard: str, where: str) -> None:
        """Note that a worker begins a shard. If another one had begun it, that one is lost."""
        if shard in self._where:
            self._lost.append(f"{shard}: the worker {self._where[shard]} was lost; {where} goes on with it")
        self._where[shard], self._done[shard] = where, 0

    def progress(self, shard: str, done: int) -> None:
        self._done[shard] = done

    def news(self) -> ShardReport:
        lost, self._lost = self._lost, []
        return ShardReport(lost, dict(self._done))

    def made(self) -> CacheStats:
        """Return what was recorded here since the start; without hits, which shards count."""
        return replace(self._made)

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        return self._opened().get(keys)

    def put(self, values: Mapping[str, str]) -> None:
        self._opened().put(values)
        counted = [value for value in map(json.loads, values.values()) if isinstance(value, dict)]
        self._made.misses += len(counted)  # the other values are embeddings
        self._made.prompt_tokens += sum(value["prompt_tokens"] for value in counted)
        self._made.tokens_generated += sum(value["completion_tokens"] for value in counted)

    def spend(self, one: Spent) -> list[Spent]:
        return self._opened().spend(one)

    def spent(self) -> list[Spent]:
        return self._opened().spent()

    def learn(self, server: str, model: str, found: str) -> None:
        self._opened().learn(server, model, found)

    def learnt(self, server: str, model: str) -> str:
        return self._opened().learnt(server, model)

    def _opened(self) -> Store:
        assert self._store is not None, "no store is kept, and nobody should ask for it"
        return self._store


@dataclass(frozen=True)
class ActorStore:
    """The store as a shard sees it: a Keeper whose methods ask the actor. Each raises EngineError as Store's does, and
    ClusterError when the actor is gone."""

    run: str
    """Names the actor."""
    store_actor: Any = field(compare=False)
    """Ray's handle of the actor."""

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        return self._ask("get", list(keys)) if keys else {}

    def put(self, values: Mapping[str, str]) -> None:
        self._ask("put", dict(values))

    def spend(self, one: Spent) -> list[Spent]:
        return self._ask("spend", one)

    def spent(self) -> list[Spent]:
        return self._ask("spent")

    def learn(self, server: str, model: str, found: str) -> None:
        self._ask("learn", server, model, found)

    def learnt(self, server: str, model: str) -> str:
        return self._ask("learnt", server, model)

    def _ask(self, what: str, *arguments: Any) -> Any:
        return ask_actor(self.store_actor, what, *arguments)


def ask_actor(store_actor: Any, what: str, *arguments: Any) -> Any:
    """Return the actor's answer, or its error, raised as if it were here. Raises ClusterError: the actor is gone."""
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    try:
        return ray.get(getattr(store_actor, what).remote(*arguments))
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError as error:
        raise ClusterError(
            "the process that records completions on the driver's machine has ended; run again: what was "
            "recorded is kept"
        ) from error
