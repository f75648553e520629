"""Runs every attack at level none and prints, as JSON, which of them succeeded. Only ever started by test_unprotected.py
as the first process of a throwaway namespace: what it kills and forks dies with that."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import json
import sys

from parammem.errors import SandboxError
from parammem.sandbox import Call, CandidateJob, ExecutionOutcome, Limits, Pool
from tests.sandbox.arena import Arena, left_over
from tests.sandbox.hostile import ATTACKS, Attack

LIMITS = Limits(wall_seconds=1, cpu_seconds=0.1, memory_mb=256, output_bytes=100_000, threads=16)


def succeeded(attack: Attack, arena: Arena) -> str:
    """How the attack shows that it worked; empty when it did not."""
    arena.lay_out()
    limits = LIMITS.model_copy(update={"wall_seconds": 2.0 if attack.wins == "value" else 1.0})
    outcome: ExecutionOutcome | None = None
    with Pool(1, "none") as pool:
        try:
            job = CandidateJob(source=attack.source, entry="attack", calls=[Call(args=[arena.context()])])
            outcome = pool.run([job], limits)[0][0]
        except SandboxError as error:
            return f"killed every worker: {error}"
        if "worker died twice" in outcome.error:
            return f"killed the worker: {outcome.error}"
        extra = left_over(pool)
    seen = arena.effects(outcome) + [f"processes left over: {len(extra)}"] * bool(extra)
    if seen:
        return "; ".join(seen)
    if attack.wins == "value" and outcome.kind == "value":
        return "it returned"
    if attack.wins == "cpu" and outcome.cpu_seconds > 2 * limits.cpu_seconds:
        return f"it burned {outcome.cpu_seconds} seconds"
    return ""


def main() -> None:
    with Arena() as arena:
        results = {attack.name: succeeded(attack, arena) for attack in ATTACKS}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
