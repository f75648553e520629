"""Run jobs on a Ray cluster; the only module that starts Ray or joins it.

A list of jobs is split into shards by task (executor.py), each shard is one Ray task, and Ray begins a shard again
whose worker was lost (`engine.ray.retries`). Answers come back into the order of the jobs, so a stage writes what it
would write alone. The usage reports and the dashboard of Ray stay off.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.agents.run import Job
from parammem.config import Params, RayParams
from parammem.core import Trajectory
from parammem.core.words import count
from parammem.domains import Domain
from parammem.engines.base import Completion, Engine, Request
from parammem.engines.cache import CacheStats
from parammem.engines.sampling import messages_digest
from parammem.errors import ClusterError, ParamMemError
from parammem.stages.common import Engines
from parammem.stages.ray.pickling import RunPickler
from parammem.stages.ray.shards import Show, split_by_key
from parammem.stages.ray.store_actor import ShardReport, StoreActor, ask_actor
from parammem.stages.ray.worker import ShardJobs, ShardResult, run_shard

POLL_SECONDS = 1.0
REACH_SECONDS = 5.0
log = logging.getLogger(__name__)


@contextmanager
def open_cluster(
    params: Params, settings: RayParams, engines: Engines, domain: Domain, root: Path
) -> Iterator[RayExecutor]:
    """Yield a cluster to work on; left again at the end, and ended if it was begun for this (`local`).

    Raises:
        ClusterError: Ray is not installed, or there is no such cluster, or no machine of it has what a shard needs.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if settings.address == "local":
        _bring_a_token()
    try:
        import ray
    except ImportError as error:
        raise ClusterError("engine.ray needs Ray; install it: pip install 'parammem[ray]'") from error
    joined = not ray.is_initialized()
    try:
        if joined:
            _join(ray, settings)
        _check_room(ray, settings)
        yield RayExecutor(ray, params, settings, engines, domain, root)
    finally:
        if joined:
            ray.shutdown()


class RayExecutor:
    """An executor (executor.py) whose jobs run on the machines of a Ray cluster."""

    def __init__(
        self, ray: Any, params: Params, settings: RayParams, engines: Engines, domain: Domain, root: Path
    ) -> None:
        self._ray, self._settings, self._engines = ray, settings, engines
        self._root, self._domain = root.resolve(), domain.name
        self._params = params.model_dump_json(by_alias=True)
        self._pickler = RunPickler(params, domain.name, root, engines, domain.judge)
        self._run, self._rounds = secrets.token_hex(8), 0
        self._counted, self._shown = CacheStats(), 0
        cache = params.engine.cache
        self._store_actor = self._begin_store_actor(str(self._root / cache) if cache else "")

    def work(self, jobs: Sequence[Job], show: Show | None = None) -> list[Trajectory]:
        parts = split_by_key([job.task.task_id for job in jobs], self._settings.shards)
        return self._scatter(parts, [[jobs[place] for place in places] for places in parts], show)

    def asking(self, engine: Engine) -> Engine:
        return _Asking(self, engine)

    def ask(self, engine: Engine, requests: Sequence[Request]) -> list[list[Completion] | Exception]:
        """Return for each request its completions, or what it failed with; in order."""
        parts = split_by_key([messages_digest(request) for request in requests], self._settings.shards)
        return self._scatter(parts, [(engine, [requests[place] for place in places]) for places in parts])

    def _begin_store_actor(self, cache: str) -> Any:
        """Begin the store's actor on this machine, because the store is a file of this machine."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        return self._ray.remote(StoreActor).options(num_cpus=0, scheduling_strategy=here).remote(cache)

    def _scatter(self, parts: Sequence[Sequence[int]], contents: Sequence[Any], show: Show | None = None) -> list[Any]:
        """Return the answers to all parts, in the order of the whole.

        Raises:
            ParamMemError: one that concerns all jobs; the other shards are ended then, and what they recorded is kept.
            ClusterError: a shard lost its worker too often.
        """
        self._rounds += 1
        shards = [f"shard {number} of {len(parts)} (round {self._rounds})" for number in range(1, len(parts) + 1)]
        waiting = {
            self._send(shard, content): n for n, (shard, content) in enumerate(zip(shards, contents, strict=True))
        }
        found: dict[int, Any] = {}
        try:
            while waiting:
                ended, _ = self._ray.wait(list(waiting), num_returns=1, timeout=POLL_SECONDS)
                self._tell(show, shards)
                for one in ended:
                    number = waiting.pop(one)
                    found |= dict(zip(parts[number], self._answers(one, shards[number]), strict=True))
        finally:
            for one in waiting:
                self._ray.cancel(one, force=True)
            self._count()
        if show:
            show(len(found))
        return [found[place] for place in sorted(found)]

    def _send(self, shard: str, content: Any) -> Any:
        """Return Ray's name of the answer that this shard will have."""
        s = self._settings
        order = ShardJobs(shard, self._params, self._domain, str(self._root), self._pickler.pack(content))
        task = self._ray.remote(run_shard).options(
            name=f"parammem {shard}",
            num_cpus=s.cpus_per_shard,
            num_gpus=s.gpus_per_shard,
            max_retries=s.retries,
            retry_exceptions=False,
        )
        return task.remote(order, self._store_actor, self._run)

    def _answers(self, one: Any, shard: str) -> list[Any]:
        from ray.exceptions import RayError, RayTaskError

        try:
            done: ShardResult = self._ray.get(one)
        except RayTaskError as error:
            if isinstance(error.cause, ParamMemError):
                raise error.cause from None
            raise
        except RayError as error:
            raise ClusterError(
                f"{shard} could not be finished, though engine.ray.retries allows to begin it "
                f"{count(self._settings.retries + 1, 'time')} "
                f"({type(error).__name__}: {str(error).strip().splitlines()[0]}); "
                "see why its workers ended (memory? sandbox? network?) and run again: what was recorded is kept"
            ) from error
        self._engines.done_elsewhere(CacheStats(hits=done.hits))
        if done.error is not None:
            raise done.error
        return done.answers

    def _tell(self, show: Show | None, shards: Sequence[str]) -> None:
        """Log lost workers to stderr, and show progress."""
        news: ShardReport = ask_actor(self._store_actor, "news")
        for sentence in news.lost:
            log.warning("%s", sentence)
        done = sum(count for shard, count in news.done.items() if shard in shards)
        if show and done != self._shown:
            show(done)
        self._shown = done

    def _count(self) -> None:
        """Add what was recorded since the last time to the account of the stage."""
        now: CacheStats = ask_actor(self._store_actor, "made")
        names = ("misses", "prompt_tokens", "tokens_generated")
        self._engines.done_elsewhere(CacheStats(**{n: getattr(now, n) - getattr(self._counted, n) for n in names}))
        self._counted = now


@dataclass(frozen=True)
class _Asking:
    """An engine whose many requests are spread over the cluster."""

    executor: RayExecutor
    engine: Engine

    @property
    def digest(self) -> str:
        return self.engine.digest

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Answer requests on the cluster. Raises as the engine does; the answers of the others are recorded then."""
        if len(requests) < 2:  # what is asked once more after a failure comes one by one
            return self.engine.complete(requests)
        answers = self.executor.ask(self.engine, requests)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [answer for answer in answers if not isinstance(answer, Exception)]


def _bring_a_token() -> None:
    """Set a secret of this process for its own cluster. Ray would keep one in the home folder, and say so in every run;
    it reads these variables when it is imported and never again."""
    if "ray" in sys.modules or {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        return
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _join(ray: Any, settings: RayParams) -> None:
    quiet = {"include_dashboard": False, "logging_level": logging.ERROR, "configure_logging": False}
    if settings.address == "local":
        ray.init(
            address="local",
            num_cpus=max(1, math.ceil(settings.cpus_per_shard * settings.shards)),
            _node_ip_address="127.0.0.1",
            **quiet,
        )
        return
    try:
        if settings.address != "auto":
            _reach(settings.address)
        ray.init(address=settings.address, logging_level=logging.ERROR, configure_logging=False)
    except (OSError, RuntimeError, ValueError) as error:  # ConnectionError is an OSError
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ClusterError(
            f"no Ray cluster at engine.ray.address {settings.address!r}: {reason} This machine must be part of the "
            "cluster: `ray start --head` makes one, `ray start --address=HOST:PORT` joins one with the same versions "
            "of Ray and Python, `ray status` shows it, RAY_AUTH_MODE=token is needed where it has a token; or take the "
            "address local"
        ) from error


def _reach(address: str) -> None:
    """Raise ConnectionError if nothing answers at an address. Ray itself would try for a minute and end the process
    then."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise ConnectionError(f"nothing answers there ({error.strerror or error}).") from error


def _check_room(ray: Any, settings: RayParams) -> None:
    """Raise ClusterError if no machine could take a shard. Ray waits for ever for one that could."""
    wanted = {"CPU": settings.cpus_per_shard, "GPU": settings.gpus_per_shard}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(have.get(kind, 0) >= count for kind, count in wanted.items()) for have in machines):
        largest = {kind: max((have.get(kind, 0) for have in machines), default=0) for kind in wanted}
        raise ClusterError(
            f"no machine of the cluster has {settings.cpus_per_shard:g} CPUs and {settings.gpus_per_shard:g} GPUs for "
            f"a shard (the most: {largest['CPU']:g} and {largest['GPU']:g}); lower engine.ray.cpus_per_shard or "
            "gpus_per_shard, or add a machine"
        )
