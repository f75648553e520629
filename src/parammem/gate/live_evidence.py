"""What the live gate decides by: the runs of agents in use that belong to a trial, or to a champion's watch.

Which runs belong to it follows from what was known when they were assigned, never from their arm or their outcome:
else the arms would not be comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from parammem.core.decision import Guard
from parammem.core.event import TrialStarted
from parammem.core.live_run import LiveArm, LiveRun
from parammem.core.outcome import Outcome
from parammem.core.record import digest_of

Kind = Literal["trial", "watch"]
ARMS: dict[Kind, tuple[LiveArm, LiveArm]] = {"trial": ("challenger", "champion"), "watch": ("champion", "holdout")}
"""Treated arm and control."""
NAMED = 5
"""Run ids that a guard names."""


@dataclass(frozen=True)
class LiveEvidence:
    """Runs of two arms in the order in which they were assigned, a column for each thing that counts."""

    kind: Kind
    domain: str
    adapters: Mapping[LiveArm, str]
    """Of both arms; empty: the arm gives no advice."""
    number: NDArray[np.int64]
    treated: NDArray[np.bool_]
    chance: NDArray[np.float64]
    """With which the run was to be of the treated arm, of the two."""
    outcome: NDArray[np.float64]
    """In [0, 1]; NaN: nobody said."""
    group: NDArray[np.int64]
    """Number of the run's stratum."""
    unadvised: NDArray[np.bool_]
    tokens: NDArray[np.int64]
    strange: tuple[str, ...] = ()
    """Runs that do not fit the trial or the watch, and why."""
    guards: tuple[Guard, ...] = ()
    """What was seen of the challenger before its trial."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name → digest of what the runs were read from."""

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.outcome)

    @property
    def digest(self) -> str:
        """Return the digest of all that was taken from the runs; equal runs have equal ones."""
        columns = (self.number, self.treated, self.chance, self.outcome, self.group, self.tokens)
        plain = [[None if value != value else value for value in column.tolist()] for column in columns]
        return digest_of([self.kind, self.domain, dict(sorted(self.adapters.items())), plain])


def value_of(outcome: Outcome | None) -> float:
    """Return how a run ended as a number in [0, 1]: passed or not where that is known, else its value; NaN if nobody
    said."""
    if outcome is None:
        return float("nan")
    if outcome.passed is not None:
        return float(outcome.passed)
    return float("nan") if outcome.value is None else outcome.value


def of_trial(
    runs: Sequence[LiveRun],
    trial: TrialStarted,
    since: str,
    guards: Sequence[Guard] = (),
    inputs: Mapping[str, str] = {},
) -> LiveEvidence:
    """Return the evidence of a trial: the runs after the first that its challenger advised.

    Args:
        runs: of the domain, as the ledger names them, in the order of their numbers.
        since: when the trial began (UTC, ISO 8601); earlier runs belong to an earlier trial.
        guards: of the decision on fixed tasks before it.
    """
    adapters: dict[LiveArm, str] = {"challenger": trial.challenger, "champion": trial.champion}
    return _evidence("trial", trial.domain, adapters, runs, since, guards, inputs)


def of_watch(
    runs: Sequence[LiveRun], domain: str, champion: str, since: str, inputs: Mapping[str, str] = {}
) -> LiveEvidence:
    """Return the evidence about a champion: its runs and those without advice, after the first that it advised.

    Args:
        since: when it took its place.
    """
    adapters: dict[LiveArm, str] = {"champion": champion, "holdout": ""}
    return _evidence("watch", domain, adapters, runs, since, (), inputs)


def _evidence(
    kind: Kind,
    domain: str,
    adapters: dict[LiveArm, str],
    runs: Sequence[LiveRun],
    since: str,
    guards: Sequence[Guard],
    inputs: Mapping[str, str],
) -> LiveEvidence:
    treated, control = ARMS[kind]
    pair = [run for run in _after_first(runs, treated, adapters[treated], since) if _could_be(run, treated, control)]
    groups = {name: number for number, name in enumerate(dict.fromkeys(run.stratum for run in pair))}
    return LiveEvidence(
        kind=kind,
        domain=domain,
        adapters=adapters,
        number=np.array([run.number for run in pair], dtype=np.int64),
        treated=np.array([run.arm == treated for run in pair], dtype=bool),
        chance=np.array(
            [run.shares[treated] / (run.shares[treated] + run.shares[control]) for run in pair], dtype=np.float64
        ),
        outcome=np.array([value_of(run.outcome) for run in pair], dtype=np.float64),
        group=np.array([groups[run.stratum] for run in pair], dtype=np.int64),
        unadvised=np.array([bool(run.no_advice) for run in pair], dtype=bool),
        tokens=np.array([run.tokens for run in pair], dtype=np.int64),
        strange=_strange(runs, pair, adapters),
        guards=tuple(guards),
        inputs=dict(inputs),
    )


def _after_first(runs: Sequence[LiveRun], arm: LiveArm, adapter: str, since: str) -> Sequence[LiveRun]:
    """Return the runs after the first one that shows that the service has taken the adapter up.

    A run of the other arm does not show it, so what is before that run is left out whatever its arm, and that run too:
    runs are taken from a moment on that the assignment of later runs does not depend on.
    """
    begin = moment(since)
    for place, run in enumerate(runs):
        if run.arm == arm and run.adapter == adapter and moment(run.started) >= begin:
            return runs[place + 1 :]
    return ()


def moment(time: str) -> datetime:
    """Return a time that a run or an event gives; UTC where it names no zone. Raises ValueError if it is none."""
    found = datetime.fromisoformat(time)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _could_be(run: LiveRun, treated: LiveArm, control: LiveArm) -> bool:
    """Return whether a run is of one of the two arms and could have been of either."""
    return run.arm in (treated, control) and min(run.shares.get(treated, 0.0), run.shares.get(control, 0.0)) > 0


def _strange(runs: Sequence[LiveRun], pair: Sequence[LiveRun], adapters: Mapping[LiveArm, str]) -> tuple[str, ...]:
    """Return what does not fit: runs with another adapter than their arm's, ids that come twice."""
    found = [f"run {run.run_id!r} of the arm {run.arm} has another adapter" for run in pair
             if run.adapter != adapters[run.arm]]  # fmt: skip
    seen: set[str] = set()
    for run in runs:
        if run.run_id in seen:
            found.append(f"run {run.run_id!r} comes twice")
        seen.add(run.run_id)
    return (*found[:NAMED], *([f"and {len(found) - NAMED} more"] if len(found) > NAMED else []))
