"""ParamMem: reflective memory in the parameters of an adapter.

    from parammem import ParamMem
    ParamMem.load("models/reflectors/code").reflect("Write f(xs, k) ...", n=5)

An agent in use is advised by the service, and reports how it went (docs/agents.md):

    with parammem.run("Refund order 12", domain="support") as run:
        run.outcome(my_agent(run.advice, run.task).ok)

Without the service, `parammem.report(trajectory, task, outcome=True)` leaves a run in the inbox (docs/continual.md).
Importing the package loads nothing else; what it exports is fetched when it is first asked for.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parammem.client import outcome, run
    from parammem.experience.inbox import report
    from parammem.reflectors.parametric import ParamMem

__all__ = ["ParamMem", "__version__", "outcome", "report", "run"]
__version__ = "0.1.0"

# OpenMP threads that wait for their neighbours spin by default: two runs on one machine then slow each other down many
# times over. libgomp reads this once, when torch is imported, which no module of ours does before this line.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_LAZY = {
    "ParamMem": "parammem.reflectors.parametric",
    "outcome": "parammem.client",
    "report": "parammem.experience.inbox",
    "run": "parammem.client",
}


def __getattr__(name: str) -> Any:
    """Return an export that is fetched late (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
