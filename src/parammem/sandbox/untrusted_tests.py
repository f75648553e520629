"""Run untrusted tests: they run in the candidate's own child, and what they say is advice."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.sandbox.jobs import Call, CandidateJob, ExecutionOutcome, Verdict

_NAME = "_tests_say"


def advice(source: str, entry: str, tests: str, preamble: str = "") -> CandidateJob:
    """Return a job that runs a test program beside the candidate, in one child: `advised` reads its outcomes."""
    told = (
        f"\ndef {_NAME}():\n"
        "    space = {}\n"
        f"    exec({preamble!r}, space)\n"
        "    space.update(globals())\n"
        f"    space['candidate'] = eval({entry!r}, globals())\n"
        f"    exec({tests!r}, space)\n"
        "    if callable(space.get('check')) and space['check'] is not space['candidate']:\n"
        "        space['check'](space['candidate'])\n"
    )
    return CandidateJob(source=source + "\n" + told, entry=_NAME, calls=[Call()])


def advised(outcomes: Sequence[ExecutionOutcome]) -> Verdict:
    """Return what the tests of a job of `advice` said. A hostile candidate can make this say anything."""
    outcome = outcomes[0]
    return Verdict(
        passed=outcome.kind == "value", detail=outcome.error, outcome=outcome, cpu_seconds=outcome.cpu_seconds
    )
