"""What the stages that run agents share: engines and budget from params, and the account of what a stage cost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from parammem.agents.loop import Budget
from parammem.config import Params
from parammem.core import Trajectory
from parammem.core.jsonl import write_text
from parammem.engines.base import Engine
from parammem.engines.cache import CachedEngine, CacheStats
from parammem.engines.completion_store import Keeper, Store
from parammem.engines.folders import named_model
from parammem.errors import TooManyFailures
from parammem.evaluation.inputs import Work

if TYPE_CHECKING:
    from parammem.agents.bank import Embed
    from parammem.engines.openai.servers import Servers


class Origin(NamedTuple):
    """What an engine or embedding was opened from, so that another process can open the same."""

    what: Literal["engine", "embedding"]
    model: str = ""
    adapter: str = ""
    """Seen from the root."""
    digest: str = ""
    """The engine's."""


class Engines:
    """Opens engines for models and adapters, each behind the completion cache, and adds up what they did."""

    def __init__(self, params: Params, root: Path, store: Keeper | None = None) -> None:
        """store: where completions are kept; None: in the folder `engine.cache`."""
        self._params, self._root = params.engine, root
        self._given = store
        self._opened: list[CachedEngine] = []
        self._elsewhere: list[CacheStats] = []
        self._origins: dict[int, tuple[object, Origin]] = {}

    def open(self, model: str = "", adapter: Path | None = None) -> Engine:
        """Return the model of params, or another one; with or without an adapter. Raises as `HfEngine.load` does, and
        with a server as `Servers.open`."""
        engine = self._open(model, adapter)
        folder = "" if adapter is None else os.path.relpath(adapter, self._root)
        self._origins[id(engine)] = (engine, Origin("engine", model, folder, engine.digest))
        return engine

    def origin(self, thing: object) -> Origin | None:
        """Return how an engine or embedding that was opened here can be opened elsewhere; None for everything else."""
        found = self._origins.get(id(thing))
        return found[1] if found else None

    def done_elsewhere(self, stats: CacheStats) -> None:
        """Count what other processes did for this one."""
        self._elsewhere.append(stats)

    def stats(self) -> CacheStats:
        """Return what all engines did since the start."""
        every = [*(engine.stats for engine in self._opened), *self._elsewhere]
        return CacheStats(*(sum(getattr(one, field.name) for one in every) for field in fields(CacheStats)))

    def _open(self, model: str, adapter: Path | None) -> Engine:
        engine = self._uncached(model, adapter)
        if self._store is None:
            return engine
        cached = CachedEngine(engine, self._store)
        self._opened.append(cached)
        return cached

    def _uncached(self, model: str, adapter: Path | None) -> Engine:
        from parammem.engines.hf import HfEngine

        p = self._params
        name = named_model(model or p.model, self._root)
        folder = self._root / name
        if self._servers is not None:
            return self._servers.open(name, folder if folder.is_dir() else None, adapter)
        return HfEngine.load(
            str(folder) if folder.exists() else name,
            adapter=adapter,
            device=p.device,
            dtype=p.dtype,
            batch=p.batch,
            batch_tokens=p.batch_tokens,
        )

    @cached_property
    def _store(self) -> Keeper | None:
        """Where completions and the account are kept, if they are."""
        cache = self._params.cache
        return self._given or (Store(self._root / cache) if cache else None)

    @cached_property
    def _servers(self) -> Servers | None:
        """Where the models are, if they are not run here."""
        p, server = self._params, self._params.server
        if p.kind == "hf" or server is None:
            return None
        from parammem.engines.openai.account import Price, Terms
        from parammem.engines.openai.server import ServerSettings
        from parammem.engines.openai.servers import Servers

        settings = ServerSettings(
            base_url=server.base_url,
            api_key_env=server.api_key_env,
            concurrency=server.concurrency,
            timeout_seconds=server.timeout_seconds,
            retries=server.retries,
            aliases=tuple(sorted(server.aliases.items())),
        )
        prices = {name: Price(price.prompt, price.completion) for name, price in server.prices.items()}
        terms = Terms(server.budget_tokens, server.budget_usd, prices)
        return Servers(settings, terms, self._store, server.other_urls, server.other_keys)

    def embed(self, built_in: Embed) -> Embed:
        """Return the embedding of banks and retrieval: the built-in one, or a server's where params name one."""
        return self.served_embedding() or built_in

    def served_embedding(self) -> Embed | None:
        """Return a server's embedding, where params name one."""
        if self._servers is None or not self._params.server or not self._params.server.embedder:
            return None
        served = self._servers.embedder(self._params.server.embedder)
        self._origins[id(served)] = (served, Origin("embedding"))
        return served

    def work(self, stage: str) -> Work:
        """Return tokens written and completions found in the cache since the start."""
        done = self.stats()
        return Work(stage=stage, generated_tokens=done.tokens_generated, made=done.misses, cache_hits=done.hits)


@contextmanager
def accounted(engines: Engines, stage: str, domain: str, path: Path) -> Iterator[None]:
    """Write down what the stage cost, also when it ended badly."""
    try:
        yield
    finally:
        write_text(path, engines.work(f"{stage} {domain}").line() + "\n")


def budget(params: Params) -> Budget:
    agent, engine = params.agent, params.engine
    return Budget(
        iterations=agent.iterations,
        first_temperature=agent.first_temperature,
        later_temperature=agent.later_temperature,
        reflector_temperature=agent.reflector_temperature,
        max_tokens=engine.max_new_tokens,
        max_advice_tokens=engine.max_advice_tokens,
        stop=engine.stop,
    )


def check_failures(trajectories: Sequence[Trajectory], allowed: float) -> None:
    """Raise TooManyFailures if a larger share than allowed of the trajectories ended in an exception."""
    failed = [t for t in trajectories if t.failure]
    if len(failed) > allowed * len(trajectories):
        first = failed[0]
        raise TooManyFailures(
            f"{len(failed)} of {len(trajectories)} trajectories failed, more than agent.max_failed_share allows "
            f"({allowed}); the first: task {first.task_id!r}, {first.failure}; mend the cause and run again: what was "
            "completed is in the completion cache"
        )


def most_tokens(budget: Budget, runs: int) -> int:
    """Return what so many runs of an agent can write at most: attempts, reflections on them, and advice."""
    each = budget.iterations * (budget.max_tokens + 2 * budget.max_advice_tokens)
    return runs * each
