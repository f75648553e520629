"""Trials by runs of agents in use, and the runs behind a decision, as lines of an audit's page."""

from __future__ import annotations

from typing import Any

from parammem.core.decision import Decision, LiveResult
from parammem.core.event import TrialStarted
from parammem.core.words import count
from parammem.lineage.checks.live_runs import runs_inputs

LISTED = 5
"""Files that a page names."""


def live_evidence(decision: Decision, live: LiveResult) -> list[str]:
    """Return the lines below a decision by runs in use: arms, difference, test, and the files of runs by digest."""
    arms = ", ".join(
        f"{arm.arm} {arm.solved:.1%} of {count(arm.known, 'outcome')} ({arm.runs - arm.known} missing)"
        for arm in (live.treated, live.control)
    )
    kind = "look" if live.kind == "trial" else "championship"
    files = [f"{name} {digest[:16]}" for name, digest in runs_inputs(decision).items()]
    more = f", and {len(files) - LISTED} more" if len(files) > LISTED else ""
    return [
        f"  runs in use {live.first} to {live.last}: {arms}",
        f"  difference {100 * live.difference:+.1f} points, {live.confidence:.0%} interval {100 * live.low:+.1f} … "
        f"{100 * live.high:+.1f}; e-value {live.e_values.get('decides', 0):.3g}, {live.threshold:.3g} needed",
        f"  evidence: ledger/decisions/{decision.digest[:16]}….json, {kind} {decision.budget.look} at alpha "
        f"{decision.budget.alpha:.3g}; data/live: {', '.join(files[:LISTED])}{more}",
    ]


def trial_of(fact: TrialStarted, adapter: str) -> tuple[str, dict[str, Any]]:
    """Return a trial in words and as facts, as one of its two adapters sees it."""
    role = "challenger" if fact.challenger == adapter else "champion"
    shares = ", ".join(f"{arm} {share:.0%}" for arm, share in fact.shares.items())
    said = f"on trial as {role} by runs in use ({shares}), look {fact.look} at alpha {fact.alpha:.3g}"
    return said, {"as": role, "shares": fact.shares}
