"""Running untrusted Python: in a locked-down child, with a verdict made here, where the child cannot reach.

    outcomes = run(source, "add", [Call(args=[1, 2])])
    equal(outcomes[0], 3)

What is protected and what is not: docs/security.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from parammem.sandbox.jobs import Call, CandidateJob, ExecutionOutcome, Level, Limits, ProgramCheck, Verdict
from parammem.sandbox.pool import Pool, shared_pool
from parammem.sandbox.trusted import TrustedTests, text_of, trust_spec, trust_tests
from parammem.sandbox.untrusted_tests import advice, advised
from parammem.sandbox.verdict import equal

T = TypeVar("T", CandidateJob, ProgramCheck)
A = TypeVar("A")

__all__ = [
    "Call",
    "ProgramCheck",
    "CandidateJob",
    "Level",
    "Limits",
    "ExecutionOutcome",
    "Pool",
    "TrustedTests",
    "Verdict",
    "advice",
    "advise_program",
    "advised",
    "check_many",
    "check_program",
    "equal",
    "run",
    "run_many",
    "text_of",
    "trust_spec",
    "trust_tests",
]


def run(
    source: str, entry: str | None, calls: Sequence[Call], limits: Limits | None = None, level: Level = "strict"
) -> list[ExecutionOutcome]:
    """Run one candidate and all its calls in one child, return an outcome per call, in order.

    Raises:
        SandboxError: the level cannot be had here; nothing was run.
    """
    return run_many([CandidateJob(source=source, entry=entry, calls=list(calls))], limits, 1, level)[0]


def run_many(
    jobs: Sequence[CandidateJob], limits: Limits | None = None, workers: int = 1, level: Level = "strict"
) -> list[list[ExecutionOutcome]]:
    """Run many candidates over a pool of workers that stays open between calls, and return their outcomes in order.

    Raises:
        SandboxError: the level cannot be had here; nothing was run.
    """
    return _by_preload(jobs, lambda some, preload: shared_pool(workers, level, preload).run(some, limits))


def _by_preload(asked: Sequence[T], answer: Callable[[list[T], tuple[str, ...]], list[A]]) -> list[A]:
    """Return the answers in the order of what is asked; what asks for the same modules goes to one pool."""
    kinds: dict[tuple[str, ...], list[T]] = {}
    for one in asked:
        kinds.setdefault(tuple(sorted(one.preload)), []).append(one)
    given = {preload: iter(answer(some, preload)) for preload, some in kinds.items()}
    return [next(given[tuple(sorted(one.preload))]) for one in asked]


def check_program(
    source: str,
    entry: str,
    tests: TrustedTests,
    limits: Limits | None = None,
    preamble: TrustedTests | None = None,
    level: Level = "strict",
) -> Verdict:
    """Return the verdict of a trusted test program on a candidate: the tests run outside the child, which sees inputs
    only.

    Raises:
        TypeError: the tests are no TrustedTests.
        SandboxError: the level cannot be had here; nothing was run.
    """
    for text in (tests, preamble):
        if not isinstance(text, TrustedTests | None):
            raise TypeError(f"tests are TrustedTests, not {type(text).__name__}; use advise_program for any other text")
    check = ProgramCheck(source=source, entry=entry, tests=tests, preamble=preamble)
    return check_many([check], limits, 1, level)[0]


def check_many(
    checks: Sequence[ProgramCheck], limits: Limits | None = None, workers: int = 1, level: Level = "strict"
) -> list[Verdict]:
    """Return `check_program` for many candidates over the pool; verdicts in order. Raises SandboxError as it does."""
    return _by_preload(checks, lambda some, preload: shared_pool(workers, level, preload).check(some, limits))


def advise_program(
    source: str, entry: str, test_source: str, limits: Limits | None = None, level: Level = "strict"
) -> Verdict:
    """Return what untrusted tests (a model or an unknown person wrote them) say of a candidate. ADVICE ONLY.

    Candidate and tests run together in one child, so a hostile candidate can make this say anything. Use it to gate
    a loop, never for a score. Raises SandboxError as `run` does.
    """
    return advised(run_many([advice(source, entry, test_source)], limits, 1, level)[0])
