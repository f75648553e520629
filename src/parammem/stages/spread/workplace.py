"""What stages see of a cluster: jobs in, trajectories out, wherever the work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from parammem.agents import batch
from parammem.agents.batch import Job
from parammem.config import Params
from parammem.core import Trajectory, digest_of
from parammem.domains import Domain
from parammem.engines.base import Engine
from parammem.stages.common import Engines

Show = Callable[[int], None]
"""Is told how many jobs are done."""


class Workplace(Protocol):
    """Works on jobs, and has engines asked."""

    def work(self, jobs: Sequence[Job], show: Show | None = None) -> list[Trajectory]:
        """Trajectories in the order of the jobs. Raises as `batch.run`, and ClusterError."""
        ...

    def asking(self, engine: Engine) -> Engine:
        """An engine with the same digest and answers, for many requests at once."""
        ...


class Here:
    """This process."""

    def work(self, jobs: Sequence[Job], show: Show | None = None) -> list[Trajectory]:
        return batch.run([job.begin() for job in jobs], show)

    def asking(self, engine: Engine) -> Engine:
        return engine


HERE = Here()


@contextmanager
def working(params: Params, engines: Engines, judge: Domain, root: Path) -> Iterator[Workplace]:
    """The workplace that params ask for. Raises ClusterError: there is no such cluster."""
    if params.engine.ray is None:
        yield HERE
        return
    from parammem.stages.spread.cluster import opened

    with opened(params, params.engine.ray, engines, judge, root) as cluster:
        yield cluster


def shares(keys: Sequence[str], count: int) -> list[list[int]]:
    """Places of the items of each shard, in order; shards without any are left out.

    An item's shard follows from its key alone: all runs on one task meet in one shard, whose engine sees equal
    requests of different methods and makes them once, and a shard of a repeated run asks for what it asked for before.
    """
    found: list[list[int]] = [[] for _ in range(count)]
    for place, key in enumerate(keys):
        found[int(digest_of(["shard", key])[:12], 16) % count].append(place)
    return [places for places in found if places]
