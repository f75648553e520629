"""What a worker does with its shard: open engines and sandbox of its own, and work as one process would."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from parammem.agents.asking import ask_each
from parammem.agents.run import run_all
from parammem.config import Params
from parammem.errors import ParamMemError
from parammem.stages.common import Engines
from parammem.stages.ray.pickling import RunPickler
from parammem.stages.ray.store_actor import ActorStore


@dataclass(frozen=True)
class ShardJobs:
    """One shard of a list of jobs, or of requests to one engine."""

    shard: str
    """For people, and the same in every attempt."""
    params: str
    """As JSON."""
    domain: str
    root: str
    """Absolute; the models and adapters are there on every machine."""
    packed: bytes
    """A list of jobs, or an engine and a list of requests."""


@dataclass(frozen=True)
class ShardResult:
    """What came of it."""

    answers: list[Any]
    """Trajectories; or for each request its completions, or the exception that it ended in."""
    hits: int
    """Completions that were in the store."""
    error: ParamMemError | None = None
    """One that concerns all; then there are no answers."""


def run_shard(jobs: ShardJobs, store_actor: Any, run: str) -> ShardResult:
    """Run a shard's jobs and return their results. Ray calls this in a worker process, and once more in another one if
    the first is lost."""
    store_actor.begin.remote(jobs.shard, f"{os.getpid()} on {socket.gethostname()}")
    try:
        pickler = _pickler(jobs.params, jobs.domain, jobs.root, ActorStore(run, store_actor))
        before = pickler.engines.stats().hits
        content = pickler.unpack(jobs.packed)
        if isinstance(content, tuple):
            answers = ask_each(*content)
        else:
            runs = [job.begin() for job in content]
            answers = run_all(runs, lambda done: store_actor.progress.remote(jobs.shard, done))
    except ParamMemError as error:
        return ShardResult([], 0, error)
    return ShardResult(answers, pickler.engines.stats().hits - before)


@lru_cache(maxsize=1)
def _pickler(params: str, domain: str, root: str, store: ActorStore) -> RunPickler:
    """Return this worker's pickler: a worker that has had a shard has its models in memory for the next one."""
    parsed = Params.model_validate_json(params)
    engines = Engines(parsed, Path(root), store if parsed.engine.cache else None)
    return RunPickler(parsed, domain, Path(root), engines)
