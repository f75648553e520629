"""Whether the champion still holds: every night on the same tasks against no reflector at all."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core.event import Checked, Event, Published, RolledBack
from parammem.gate.evidence import SliceOutcomes
from parammem.gate.paired_test import better_p

WORSE_P = 0.01
"""A check fails when the champion is worse than no reflector at this level. Two failures in a row roll back, so a
champion that is no worse is lost about once in 10,000 pairs of nights."""
FEWEST = 20
"""Tasks below which a check says nothing."""


def check_champion(domain: str, version: int, adapter: str, slices: Sequence[SliceOutcomes], night: str) -> Checked:
    """Return the nightly check's verdict: the champion must not be worse than the arm `none` on the same tasks and
    seeds.

    Args:
        slices: with the champion's outcomes under `challenger`, and those of `none`.
        night: the date it is for, YYYY-MM-DD.
    """
    # The other way round than for a promotion: here it is `none` that would have to be better.
    differences = [-d for one in slices for d in one.differences]
    runs = sum(one.runs * len(one.tasks) for one in slices)
    p = better_p(differences)
    return Checked(
        domain=domain,
        version=version,
        adapter=adapter,
        holds=None if len(differences) < FEWEST else p > WORSE_P,
        solved=sum(sum(one.challenger) for one in slices) / runs if runs else 0.0,
        expected=sum(sum(one.incumbent) for one in slices) / runs if runs else 0.0,
        p=p,
        night=night,
    )


def failed_in_a_row(events: Sequence[Event], domain: str) -> int:
    """Return how many checks of the present champion failed since the last that held, or since it became champion."""
    failed = 0
    for event in events:
        fact = event.fact
        if getattr(fact, "domain", None) != domain:
            continue
        if isinstance(fact, RolledBack) or (isinstance(fact, Published) and fact.stage == "champion"):
            failed = 0
        elif isinstance(fact, Checked) and fact.holds is not None:
            failed = 0 if fact.holds else failed + 1
    return failed
