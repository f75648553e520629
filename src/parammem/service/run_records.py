"""What the service's book of runs returns: a run that was started, a run as it may be shown, counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from parammem.core.advice import GivenAdvice
from parammem.core.live_run import LiveArm
from parammem.core.outcome import Outcome
from parammem.core.step import Step

RunState = Literal["open", "settled", "handed over"]
"""open: steps and outcomes may come. settled: how it ended is decided. handed over: it is in a file for `improve`."""


Verdict = Literal["open", "passed", "failed", "unknown", "missing"]
"""How a run ended, in a word. open: no outcome yet. unknown: an outcome without a verdict. missing: nobody said it in
time."""


class ArmsNow(NamedTuple):
    """How runs of a domain are assigned at this moment."""

    shares: dict[LiveArm, float]
    """Arm → probability; together 1."""
    adapters: dict[LiveArm, str]
    """Arm → digest of the adapter that advises its runs; an arm that is left out gives no advice."""


@dataclass(frozen=True, kw_only=True)
class AssignedRun:
    """A run with its arm, and the advice that it was given."""

    run_id: str
    domain: str
    number: int
    """Place among the domain's runs, from 1; 0: the run is not recorded."""
    arm: LiveArm
    adapter: str
    """Digest of the adapter that advises it; empty: its arm gives no advice."""
    task: str
    """`Task.content`."""
    retry: int
    """How many runs of this task there were before: the number of the draw."""
    advised: bool = False
    """Whether it is settled already what advice it was given."""
    advice: GivenAdvice | None = None
    """What it was given; None: nothing was."""
    why_not: str = ""
    """Why an arm that gives advice gave none."""


@dataclass(frozen=True, kw_only=True)
class OpenRun(AssignedRun):
    """A run that was started, as its agent's side needs it."""

    token: str
    """Who has it may report and read this run without the service's token."""
    recorded: bool = True
    """False: the spool is full or broken. The run goes on, and nothing of it is kept."""


class OutcomeWord(NamedTuple):
    """One outcome that was reported for a run; all are kept."""

    outcome: Outcome
    by: str
    """Who reported it, in words."""
    at: str
    """When it came, UTC, ISO 8601."""
    late: bool
    """It came after the run had been settled, so it changed nothing."""


@dataclass(frozen=True, kw_only=True)
class RunView(AssignedRun):
    """A run as it may be read."""

    text: str
    """The task's text, without advice."""
    started: str
    heard: str
    """When anything was last heard of it; UTC, ISO 8601."""
    key: str
    """By which calls of it are known, the first one that was said."""
    tokens: int
    outcome: Outcome | None
    """The one that counts; None: nobody said how it ended."""
    state: RunState
    error: str = ""
    """What went wrong last, as it was reported with steps."""
    steps: tuple[Step, ...] = ()
    """Left out of lists."""
    outcomes: tuple[OutcomeWord, ...] = ()
    """Every outcome that was reported, in order. Left out of lists."""


class ReportResult(NamedTuple):
    """What became of an outcome that was reported."""

    counts: bool
    """Whether it is the one that counts now."""
    outcome: Outcome
    """The one that counts."""
    late: bool = False
    """The run had been settled before; this outcome is kept and changes nothing."""


class SweepResult(NamedTuple):
    """What a sweep did."""

    settled: int
    """Runs whose end was decided."""
    evidence: tuple[str, ...] = ()
    """Names of the files in data/live/in that were written."""
    batches: tuple[str, ...] = ()
    """Names of the files in the inbox that were written."""
    removed: int = 0
    """Runs that were handed over long ago and are no longer kept."""


class BookStats(NamedTuple):
    """Counts for metrics."""

    open: int
    settled: int
    """Settled and not handed over yet."""
    runs: dict[tuple[str, str, Verdict], int]
    """(domain, arm, verdict) → runs since the spool was begun."""
    spool_bytes: int
    spool_limit: int
    lost: int
    """Calls of this process whose record was refused by a full or broken spool."""
