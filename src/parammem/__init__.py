"""ParamMem: reflective memory in the parameters of an adapter.

    from parammem import ParamMem
    ParamMem.load("models/reflectors/code").reflect("Write f(xs, k) ...", n=5)

Importing the package loads nothing heavy; `ParamMem` and `report` are fetched when they are first asked for.
An agent in use reports what it did with `parammem.report(trajectory, task, outcome=True)` (docs/continual.md).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parammem.experience.inbox import report
    from parammem.reflectors.parametric import ParamMem

__all__ = ["ParamMem", "__version__", "report"]
__version__ = "0.1.0"

# OpenMP threads that wait for their neighbours spin by default: two runs on one machine then slow each other down many
# times over. libgomp reads this once, when torch is imported, which no module of ours does before this line.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_LAZY = {"ParamMem": "parammem.reflectors.parametric", "report": "parammem.experience.inbox"}


def __getattr__(name: str) -> Any:
    """The exports that are fetched late (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
