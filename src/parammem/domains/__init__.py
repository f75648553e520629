"""What a problem is and how it is judged: base (the protocol); code, math, qa of the pocket world with wording and
conventions; english of a generated world in plain English, with house_rules; real_code, real_math, real_qa of
benchmarks with prose; open of any work of the user's; prompts/ of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parammem.core.domain_names import BUILT_IN, ENGLISH
from parammem.domains.base import Domain, Example
from parammem.errors import ConfigError

if TYPE_CHECKING:
    from parammem.sandbox import Level

__all__ = ["Domain", "Example", "get_domain"]


def get_domain(
    name: str,
    *,
    kind: str = "",
    real: bool = False,
    workers: int = 1,
    level: Level = "strict",
    **limits: float,
) -> Domain:
    """Return the domain of this name. The last keyword arguments say how its untrusted code is run (`sandbox.Limits`).

    Args:
        kind: how its tasks are worded and judged; empty: the name says it.
        real: the domain of real benchmarks; otherwise that of the pocket world.

    Raises:
        ConfigError: there is no such kind.
    """
    kind = kind or name
    if kind == "open":
        from parammem.domains.open import OpenDomain

        return OpenDomain(name)
    if kind == ENGLISH:
        from parammem.domains.english import EnglishDomain

        return EnglishDomain(name)
    if kind not in BUILT_IN:
        raise ConfigError(f"no domain {kind!r}; known: {', '.join(BUILT_IN)}")
    if real:
        return _real_domain(name, kind, workers, level, limits)
    from parammem.domains.code import CodeDomain
    from parammem.domains.math import MathDomain
    from parammem.domains.qa import QaDomain

    if kind == "code":
        return CodeDomain(workers=workers, level=level, name=name, **limits)
    return MathDomain(name) if kind == "math" else QaDomain(name)


def _real_domain(name: str, kind: str, workers: int, level: Level, limits: dict[str, float]) -> Domain:
    from parammem.domains.real_code import RealCodeDomain
    from parammem.domains.real_math import RealMathDomain
    from parammem.domains.real_qa import RealQaDomain

    if kind == "code":
        return RealCodeDomain(workers=workers, level=level, name=name, **limits)
    return RealMathDomain(name=name) if kind == "math" else RealQaDomain(name)
