"""A decision by runs of agents in use in words: arms, test, budget, and what is still needed."""

from __future__ import annotations

from parammem.core.decision import ArmResult, Decision, LiveResult
from parammem.core.words import count

TESTS = {
    "known": "by outcomes that are known",
    "missing failed": "with every missing outcome counted as failed",
    "missing passed": "with every missing outcome counted as passed",
    "decides": "the least of these after the same run: this decides",
    "worse": "worse by more than the margin",
    "too little": "less than the gain worth waiting for",
}
LARGE = 1e6
"""E-values above this are shown as powers of ten."""


def live_lines(decision: Decision, live: LiveResult) -> list[str]:
    """Return the lines about arms, difference, e-values and budget."""
    runs = f"runs {live.first} to {live.last}" if live.first else "no runs yet"
    settled = f"; the answer stood after run {live.settled_at}" if live.settled_at else ""
    return [
        f"arm          runs  outcomes  missing  not advised   solved   tokens   ({runs}{settled})",
        *(_arm_line(arm) for arm in (live.treated, live.control)),
        "",
        f"difference  {100 * live.difference:+.1f} points ({live.treated.arm} minus {live.control.arm}), "
        f"{live.confidence:.0%} interval {100 * live.low:+.1f} … {100 * live.high:+.1f}, which holds at every look",
        "e-values    how many times a bet against chance has multiplied its stake at most",
        *(f"  {_number(value):>10}  {TESTS.get(name, name)}" for name, value in live.e_values.items()),
        *_needed_lines(decision, live),
        _budget_line(decision, live),
    ]


def _arm_line(arm: ArmResult) -> str:
    missing = f"{(arm.runs - arm.known) / arm.runs:.1%}" if arm.runs else "–"
    solved = f"{arm.solved:.1%}" if arm.known else "–"
    tokens = f"{arm.tokens:.0f}" if arm.tokens else "–"
    return f"{arm.arm:10} {arm.runs:6} {arm.known:9} {missing:>8} {arm.unadvised:12} {solved:>8} {tokens:>8}"


def _needed_lines(decision: Decision, live: LiveResult) -> list[str]:
    what = "a promotion" if live.kind == "trial" else "a rollback"
    needed = f"needed      an e-value of {_number(live.threshold)} for {what}"
    if decision.answer != "undecided" or not live.runs_needed:
        return [needed]
    effect = 100 * decision.rule["effect"]
    return [
        f"{needed}; a difference of {effect:g} points takes about {count(live.runs_needed, 'run')} of these two arms, "
        f"{live.treated.runs + live.control.runs} are there"
    ]


def _budget_line(decision: Decision, live: LiveResult) -> str:
    budget = decision.budget
    which = f"look {budget.look}" if live.kind == "trial" else f"championship {budget.look}"
    return (
        f"budget      chance of any false promotion or rollback, ever: at most {budget.total:g}; {which} may spend "
        f"{budget.alpha:.2g}, however often its runs are looked at"
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if value < LARGE else f"{value:.1e}"
