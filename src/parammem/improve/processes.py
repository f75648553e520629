"""Commands that a run starts, for callers of this room; they live in checkout/processes.py."""

from parammem.checkout.processes import GUARD, TAIL_LINES, environment, run_guarded

__all__ = ["GUARD", "TAIL_LINES", "environment", "run_guarded"]
