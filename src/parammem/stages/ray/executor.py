"""Run jobs and return their trajectories, in this process or on a Ray cluster: all that stages see of Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from parammem.agents.run import Job, run_all
from parammem.config import Params
from parammem.core import Trajectory
from parammem.domains import Domain
from parammem.engines.base import Engine
from parammem.stages.common import Engines
from parammem.stages.ray.shards import Show


class Executor(Protocol):
    """Works on jobs, and asks engines."""

    def work(self, jobs: Sequence[Job], show: Show | None = None) -> list[Trajectory]:
        """Return trajectories in the order of the jobs. Raises as `run_all`, and ClusterError."""
        ...

    def asking(self, engine: Engine) -> Engine:
        """Return an engine with the same digest and answers, for many requests at once."""
        ...


class LocalExecutor:
    """This process."""

    def work(self, jobs: Sequence[Job], show: Show | None = None) -> list[Trajectory]:
        return run_all([job.begin() for job in jobs], show)

    def asking(self, engine: Engine) -> Engine:
        return engine


LOCAL = LocalExecutor()


@contextmanager
def open_executor(params: Params, engines: Engines, domain: Domain, root: Path) -> Iterator[Executor]:
    """Yield the executor that params ask for. Raises ClusterError: there is no such cluster."""
    if params.engine.ray is None:
        yield LOCAL
        return
    from parammem.stages.ray.driver import open_cluster

    with open_cluster(params, params.engine.ray, engines, domain, root) as cluster:
        yield cluster
