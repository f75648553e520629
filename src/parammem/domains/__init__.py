"""What a problem is and how it is judged: base (the promise), code, math, qa; wording and prompts/; conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parammem.domains.base import Domain, Example
from parammem.errors import ConfigError

if TYPE_CHECKING:
    from parammem.sandbox import Level

__all__ = ["Domain", "Example", "get_domain"]


def get_domain(name: str, *, workers: int = 1, level: Level = "strict", **limits: float) -> Domain:
    """The domain of this name. The keyword arguments say how its untrusted code is run (see `sandbox.Limits`).

    Raises:
        ConfigError: there is no such domain.
    """
    from parammem.domains.code import CodeDomain
    from parammem.domains.math import MathDomain
    from parammem.domains.qa import QaDomain

    if name == "code":
        return CodeDomain(workers=workers, level=level, **limits)
    if name == "math":
        return MathDomain()
    if name == "qa":
        return QaDomain()
    raise ConfigError(f"no domain {name!r}; known: code, math, qa")
