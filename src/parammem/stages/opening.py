"""The domain that params ask for. Apart from common.py, because stages without agents and engines need it too."""

from __future__ import annotations

from pathlib import Path

from parammem.config import Params
from parammem.domain_params import DomainParams
from parammem.domains import Domain, get_domain
from parammem.domains.open import OpenJudge, OpenPrompts, UserJudge


def open_domain(params: Params, name: str, root: Path = Path()) -> Domain:
    """Return the domain of this name, as params say.

    Args:
        root: where a judge of the user's runs.
    """
    if params.kind(name) == "open":
        return Domain(name, "open", OpenPrompts(), OpenJudge(_user_judge(params.domains[name], root)))
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


def is_pocket(params: Params, name: str) -> bool:
    """Return whether a domain's tasks are those of the pocket world, whose advice can be parsed into claims."""
    return not params.benchmarks.sources and params.kind(name) != "open"


def _user_judge(domain: DomainParams, root: Path) -> UserJudge | None:
    if domain.judge is None:
        return None
    from parammem.agents.own_agent import ProgramJudge
    from parammem.agents.program import UserProgram

    return ProgramJudge(UserProgram(domain.judge, root), domain.passes_at)
