"""Running untrusted Python: in a locked-down child, with a verdict made here, where the child cannot reach.

    outcomes = run(source, "add", [Call(args=[1, 2])])
    equal(outcomes[0], 3)

What is protected and what is not: docs/security.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from parammem.sandbox.pool import Pool, shared_pool
from parammem.sandbox.records import Call, Check, Job, Level, Limits, Outcome, Verdict
from parammem.sandbox.verdict import equal

__all__ = [
    "Call",
    "Check",
    "Job",
    "Level",
    "Limits",
    "Outcome",
    "Pool",
    "Verdict",
    "advise_program",
    "check_many",
    "check_program",
    "equal",
    "run",
    "run_many",
]


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


def check_program(
    source: str,
    entry: str,
    test_source: str,
    limits: Limits | None = None,
    preamble: str = "",
    level: Level = "strict",
) -> Verdict:
    """The verdict of a trusted test program on a candidate: the tests run outside the child, which sees inputs only.

    Raises:
        SandboxError: the level cannot be had here; nothing was run.
    """
    check = Check(source=source, entry=entry, tests=test_source, preamble=preamble)
    return check_many([check], limits, 1, level)[0]


def check_many(
    checks: Sequence[Check], limits: Limits | None = None, workers: int = 1, level: Level = "strict"
) -> list[Verdict]:
    """`check_program` for many candidates over the pool; verdicts in order. Raises SandboxError as it does."""
    return shared_pool(workers, level).check(checks, limits)


def advise_program(
    source: str, entry: str, test_source: str, limits: Limits | None = None, level: Level = "strict"
) -> Verdict:
    """What tests that nobody vouches for (a model wrote them) say of a candidate. ADVICE ONLY.

    Candidate and tests run together in one child, so a hostile candidate can make this say anything. Use it to gate
    a loop, never for a score. Raises SandboxError as `run` does.
    """
    tests = f"\ndef _tests_say():\n    space = dict(globals(), candidate={entry})\n    exec({test_source!r}, space)\n"
    tests += f"    if 'check' in space:\n        space['check']({entry})\n"
    outcome = run(source + "\n" + tests, "_tests_say", [Call()], limits, level)[0]
    passed = outcome.kind == "value"
    return Verdict(passed=passed, detail=outcome.error, outcome=outcome, cpu_seconds=outcome.cpu_seconds)
