"""Running untrusted Python: in a locked-down child, with a verdict made here, where the child cannot reach.

    outcomes = run(source, "add", [Call(args=[1, 2])])
    equal(outcomes[0], 3)

What is protected and what is not: docs/security.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from parammem.sandbox.pool import Pool, shared_pool
from parammem.sandbox.records import Call, Job, Level, Limits, Outcome, Verdict
from parammem.sandbox.verdict import equal

__all__ = ["Call", "Job", "Level", "Limits", "Outcome", "Pool", "Verdict", "equal", "run", "run_many"]


def run(
    source: str, entry: str | None, calls: Sequence[Call], limits: Limits | None = None, level: Level = "strict"
) -> list[Outcome]:
    """One candidate and all its calls in one child; an outcome per call, in order.

    Raises:
        SandboxError: the level cannot be had here; nothing was run.
    """
    return run_many([Job(source=source, entry=entry, calls=list(calls))], limits, 1, level)[0]


def run_many(
    jobs: Sequence[Job], limits: Limits | None = None, workers: int = 1, level: Level = "strict"
) -> list[list[Outcome]]:
    """Many candidates over a pool of workers that lives on between calls; outcomes in the order of the jobs.

    Raises:
        SandboxError: the level cannot be had here; nothing was run.
    """
    return shared_pool(workers, level).run(jobs, limits)
