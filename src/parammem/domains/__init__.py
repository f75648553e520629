"""What a problem is and how it is judged: base (the protocol); code, math, qa of the pocket world with wording and
conventions; real_code, real_math, real_qa of benchmarks with prose; prompts/ of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parammem.domains.base import Domain, Example
from parammem.errors import ConfigError

if TYPE_CHECKING:
    from parammem.sandbox import Level

__all__ = ["Domain", "Example", "get_domain"]


def get_domain(name: str, *, real: bool = False, workers: int = 1, level: Level = "strict", **limits: float) -> Domain:
    """The domain of this name. The keyword arguments say how its untrusted code is run (see `sandbox.Limits`).

    Args:
        real: the domain of real benchmarks; otherwise that of the pocket world.

    Raises:
        ConfigError: there is no such domain.
    """
    if name not in ("code", "math", "qa"):
        raise ConfigError(f"no domain {name!r}; known: code, math, qa")
    if real:
        return _real_domain(name, workers, level, limits)
    from parammem.domains.code import CodeDomain
    from parammem.domains.math import MathDomain
    from parammem.domains.qa import QaDomain

    if name == "code":
        return CodeDomain(workers=workers, level=level, **limits)
    return MathDomain() if name == "math" else QaDomain()


def _real_domain(name: str, workers: int, level: Level, limits: dict[str, float]) -> Domain:
    from parammem.domains.real_code import RealCodeDomain
    from parammem.domains.real_math import RealMathDomain
    from parammem.domains.real_qa import RealQaDomain

    if name == "code":
        return RealCodeDomain(workers=workers, level=level, **limits)
    return RealMathDomain() if name == "math" else RealQaDomain()
