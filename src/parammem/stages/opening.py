"""The domain that params ask for. Apart from common.py, because stages without agents and engines need it too."""

from __future__ import annotations

from parammem.config import Params
from parammem.domains import Domain, get_domain


def open_domain(params: Params, name: str) -> Domain:
    s = params.sandbox
    return get_domain(
        name,
        kind=params.kind(name),
        real=bool(params.benchmarks.sources),
        workers=s.workers,
        level=s.level,
        wall_seconds=s.wall_seconds,
        cpu_seconds=s.cpu_seconds,
        memory_mb=s.memory_mb,
        output_bytes=s.output_mb * 2**20,
        value_bytes=s.value_mb * 2**20,
    )
