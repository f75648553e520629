"""What a worker of the pool is asked, and what its answers mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from parammem.errors import SandboxError
from parammem.sandbox.inner import wire
from parammem.sandbox.inner.watchdog import PATIENCE
from parammem.sandbox.jobs import Call, CandidateJob, ExecutionOutcome, Kind, Limits, ProgramCheck, Verdict
from parammem.sandbox.trusted import TrustedTests

_GRACE = 30.0
"""Seconds on top of all that the limits of a run can come to, before its worker is taken to hang."""


class WorkerRequest(NamedTuple):
    """What a worker is asked."""

    message: bytes
    seconds: float
    """After so long it is taken to hang."""
    read: Callable[[Any], Any]
    """What its answer, or a Lost, means."""
    tests: bool = False


class Lost(NamedTuple):
    """One run could not be carried out, though others can."""

    kind: Kind
    why: str


def of_job(job: CandidateJob, limits: Limits) -> WorkerRequest:
    stdin = any(call.stdin is not None for call in job.calls)
    if not stdin and not job.entry:
        raise SandboxError("a job with function calls needs `entry`; give the function's name, or stdin to each call")
    try:
        calls = [wire.pack_call(job.entry or "", tuple(call.args), call.kwargs) for call in job.calls]
    except wire.WireError as error:
        raise SandboxError(f"an argument cannot be sent to the program: {error}; use plain builtin values") from None
    message = wire.pack(
        {
            "mode": "program" if stdin else "calls",
            "source": job.source,
            "entry": job.entry or "",
            "calls": calls,
            "inputs": [call.stdin or "" for call in job.calls],
            "limits": _kept(limits, job.source),
        }
    )
    seconds = _longest(limits) * (len(job.calls) if stdin else 1)
    return WorkerRequest(message, seconds, lambda answer: _outcomes(job, answer, limits))


def sendable(job: CandidateJob, limits: Limits) -> None:
    """See that a job can be sent, where its parts come from outside. Raises ValueError: it cannot."""
    if not job.calls:
        return
    try:
        of_job(job, limits)
    except SandboxError as error:
        raise ValueError(str(error)) from None


def of_check(check: ProgramCheck, limits: Limits) -> WorkerRequest:
    for text in (check.tests, check.preamble):  # a record can be made around its validation
        if not isinstance(text, TrustedTests | None):
            raise SandboxError("tests that run outside the child are TrustedTests; run any other text as advice")
    message = wire.pack(
        {
            "mode": "check",
            "source": check.source,
            "entry": check.entry,
            "tests": check.tests.text,
            "preamble": check.preamble.text if check.preamble else "",
            "limits": _kept(limits, check.source),
        }
    )
    return WorkerRequest(message, _longest(limits), lambda answer: _verdict(answer, limits), tests=True)


def _kept(limits: Limits, source: str) -> dict[str, Any]:
    """Return the limits of a run. Memory for stacks is given where the source speaks of it; all others have a hard
    bound."""
    return vars(limits) if "stack_size" in source else {**vars(limits), "stack_mb": 0}


def _longest(limits: Limits) -> float:
    return limits.wall_seconds * PATIENCE + _GRACE


def _outcomes(job: CandidateJob, rows: Any, limits: Limits) -> list[ExecutionOutcome]:
    if isinstance(rows, Lost):
        return [ExecutionOutcome(kind=rows.kind, error=rows.why) for _ in job.calls]
    return [_outcome(row, limits) for row in rows]


def _verdict(answer: Any, limits: Limits) -> Verdict:
    if isinstance(answer, Lost):
        lost = ExecutionOutcome(kind=answer.kind, error=answer.why)
        return Verdict(passed=False, detail=answer.why, outcome=lost)
    outcome = None if answer["row"] is None else _outcome([*answer["row"], answer["cpu"]], limits)
    detail = answer["detail"] or ("" if answer["passed"] or outcome is None else outcome.error)
    return Verdict(passed=answer["passed"], detail=detail, outcome=outcome, cpu_seconds=answer["cpu"])


def _outcome(row: list[Any], limits: Limits) -> ExecutionOutcome:
    kind, body, printed, error, cpu = row
    stdout = printed.decode("utf-8", "replace")
    if kind == "refused":
        raise SandboxError(f"a child could not be locked down: {error}; run `parammem sandbox doctor`")
    value = None
    if kind == "value":
        try:
            value = wire.decode(body)
        except wire.WireError as why:
            kind, error = "undecodable", f"it returned {why}"
    code = int(body) if kind == "exit" and body else None
    error = error or _words(kind, limits)
    return ExecutionOutcome(kind=kind, value=value, stdout=stdout, exit_code=code, error=error, cpu_seconds=cpu)


def _words(kind: str, limits: Limits) -> str:
    """Return a limit's outcome in words a model can use."""
    return {
        "timeout": f"it did not finish within {limits.wall_seconds:g} seconds",
        "cpu": f"it used more than {limits.cpu_seconds:g} seconds of CPU time; it may loop for ever or be too slow",
        "memory": f"it used more than {limits.memory_mb} MB of memory",
        "output": f"it printed more than {limits.output_bytes} bytes",
        "files": f"it wrote more than {limits.file_bytes} bytes to files",
        "threads": f"it started more than {limits.threads} threads",
    }.get(kind, "")


EASY = of_job(CandidateJob(source="def f(): pass", entry="f", calls=[Call()]), Limits())
"""A run that no sound worker fails on."""
