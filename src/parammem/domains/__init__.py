"""What a problem is and how it is judged: base (prompts and judge, as protocols); code, math, qa of the pocket world
with wording and conventions; english of a generated world in plain English, with house_rules; real_code, real_math,
real_qa of benchmarks with prose; open of any work of the user's; prompts/ of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parammem.core.domain_names import BUILT_IN, ENGLISH
from parammem.domains.base import Domain, Example, Judge, Prompts, VisibleChecks
from parammem.errors import ConfigError

if TYPE_CHECKING:
    from parammem.sandbox import Level

__all__ = ["Domain", "Example", "Judge", "Prompts", "VisibleChecks", "get_domain"]


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
        from parammem.domains.open import OpenJudge, OpenPrompts

        return Domain(name, kind, OpenPrompts(), OpenJudge())
    if kind == ENGLISH:
        from parammem.domains.english import EnglishJudge, EnglishPrompts

        return Domain(name, kind, EnglishPrompts(), EnglishJudge())
    if kind not in BUILT_IN:
        raise ConfigError(f"no domain {kind!r}; known: {', '.join(BUILT_IN)}")
    parts = _real_parts(kind, workers, level, limits) if real else _pocket_parts(kind, workers, level, limits)
    return Domain(name, kind, *parts)


def _pocket_parts(kind: str, workers: int, level: Level, limits: dict[str, float]) -> tuple[Prompts, Judge]:
    from parammem.domains.code import CodeJudge, CodePrompts
    from parammem.domains.math import MathJudge
    from parammem.domains.qa import QaJudge
    from parammem.domains.wording import PocketPrompts

    if kind == "code":
        return CodePrompts(), CodeJudge(workers, level, **limits)
    return PocketPrompts(kind), MathJudge() if kind == "math" else QaJudge()


def _real_parts(kind: str, workers: int, level: Level, limits: dict[str, float]) -> tuple[Prompts, Judge]:
    from parammem.domains.real_code import RealCodeJudge, RealCodePrompts
    from parammem.domains.real_math import RealMathJudge, RealMathPrompts
    from parammem.domains.real_qa import RealQaJudge, RealQaPrompts

    if kind == "code":
        return RealCodePrompts(), RealCodeJudge(workers, level, **limits)
    return (RealMathPrompts(), RealMathJudge()) if kind == "math" else (RealQaPrompts(), RealQaJudge())
