"""The live gate's dials, and what a trial or a watch may spend."""

from __future__ import annotations

from typing import NamedTuple

from parammem.core.record import Record

LIVE_VERSION = 1
"""Goes up when the same dials and runs could give another answer."""


class LiveRule(Record):
    """Every dial of the live gate; the fields are those of `gate.live` in params.yaml that decide."""

    total: float = 0.05
    """Chance of any false promotion or rollback over the reflector's whole life: `gate.alpha`."""
    effect: float = 0.05
    """The gain that is worth waiting for, as a share of runs: a trial ends once the gain is shown to be less."""
    margin: float = 0.05
    """A trial ends once the challenger is shown to be worse than the champion by more than this."""
    give_up: float = 0.05
    """Chance that a trial ends for one of these two reasons though it does not hold. It costs no false promotion."""
    least_runs: int = 100
    """Runs with an outcome that each of the two arms needs before anything is promoted or rolled back."""
    most_runs: int = 20_000
    """Runs of both arms after which a trial ends that has not shown anything."""
    missing_gap: float = 0.1
    """Difference between the arms in the share of missing outcomes that refuses, once it is shown to be larger."""
    guard_level: float = 0.01
    """Chance that a guard over runs fails though what it watches is as it should be."""
    max_token_ratio: float = 1.5
    """Most tokens per run, as a multiple of the champion's."""


class Spending(NamedTuple):
    """What the test of a trial or a watch may spend, and what the domain's budget had spent before it."""

    alpha: float
    number: int
    """Of the look, for a trial; of the championship, for a watch."""
    before: float = 0.0
