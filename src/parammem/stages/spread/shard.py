"""What a worker does with its shard: open engines and sandbox of its own, and work as one process would."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from parammem.agents import batch
from parammem.agents.batch import Job
from parammem.agents.concurrent import call
from parammem.config import Params
from parammem.engines.base import Engine, Request
from parammem.errors import ParamMemError
from parammem.stages.common import Engines
from parammem.stages.spread.desk import DeskStore
from parammem.stages.spread.parcel import Workshop


@dataclass(frozen=True)
class Order:
    """One shard of a list of jobs, or of requests to one engine."""

    shard: str
    """For people, and the same in every attempt."""
    params: str
    """As JSON."""
    domain: str
    root: str
    """Absolute; the models and adapters lie there on every machine."""
    parcel: bytes
    """A list of jobs, or an engine and a list of requests."""


@dataclass(frozen=True)
class Done:
    """What came of it."""

    answers: list[Any]
    """Trajectories; or for each request its completions, or the exception that it ended in."""
    hits: int
    """Completions that were in the store."""
    error: ParamMemError | None = None
    """One that concerns all; then there are no answers."""


def carry_out(order: Order, desk: Any, run: str) -> Done:
    """Ray calls this in a worker process, and once more in another one if the first is lost."""
    desk.begin.remote(order.shard, f"{os.getpid()} on {socket.gethostname()}")
    try:
        workshop = _workshop(order.params, order.domain, order.root, DeskStore(run, desk))
        before = workshop.engines.stats().hits
        content = workshop.unpack(order.parcel)
        if isinstance(content, tuple):
            answers = _ask(*content)
        else:
            answers = _work(content, lambda done: desk.progress.remote(order.shard, done))
    except ParamMemError as error:
        return Done([], 0, error)
    return Done(answers, workshop.engines.stats().hits - before)


def _work(jobs: Sequence[Job], show: Any) -> list[Any]:
    return batch.run([job.begin() for job in jobs], show)


def _ask(engine: Engine, requests: list[Request]) -> list[Any]:
    return call(engine.complete, requests)


@lru_cache(maxsize=1)
def _workshop(params: str, domain: str, root: str, store: DeskStore) -> Workshop:
    """A worker that has had a shard has its models in memory for the next one."""
    parsed = Params.model_validate_json(params)
    engines = Engines(parsed, Path(root), store if parsed.engine.cache else None)
    return Workshop(parsed, domain, Path(root), engines)
