"""A decision in words, for people."""

from __future__ import annotations

from parammem.core.decision import Decision, SliceResult

ANSWERS = {
    "promote": "PROMOTE: the challenger takes the champion's place",
    "refuse": "REFUSE: the champion stays",
    "undecided": "UNDECIDED: the champion stays, and nothing is settled about the challenger",
}


def explain(decision: Decision) -> str:
    """Answer, reasons, guards, slices, test and budget, one below the other."""
    champion = decision.champion[:16] or "none yet (no reflector stands in its place)"
    lines = [
        ANSWERS[decision.answer],
        *(f"  {reason}" for reason in decision.reasons),
        "",
        f"domain      {decision.domain}",
        f"champion    {champion}",
        f"challenger  {decision.challenger[:16]}",
        "",
        "guards",
        *(f"  {_mark(g.passed)} {g.name:20} {g.detail}" for g in decision.guards),
        "",
        "slice    tasks  no reflector  champion  challenger  difference  95% one-sided bounds  tolerated",
        *(_slice_line(one) for one in decision.slices),
        *_test_lines(decision),
        *_budget_lines(decision),
        "",
        f"decision {decision.digest}, rule version {decision.rule_version}",
    ]
    return "\n".join(lines)


def _mark(passed: bool | None) -> str:
    return {True: "ok  ", False: "FAIL", None: "?   "}[passed]


def _slice_line(one: SliceResult) -> str:
    none = "–" if one.none is None else f"{100 * one.none:.1f}%"
    return (
        f"{one.name:7} {one.tasks:6} {none:>13} {100 * one.champion:8.1f}% {100 * one.challenger:10.1f}% "
        f"{100 * one.difference:+11.1f} {100 * one.low:+12.1f} … {100 * one.high:+5.1f} {-100 * one.margin:+10.1f}  "
        f"{one.verdict}"
    )


def _test_lines(decision: Decision) -> list[str]:
    test = decision.test
    if test is None:
        return []
    return [
        "",
        f"test     {test.name}, one-sided, exact: better on {test.better} tasks, worse on {test.worse} "
        f"of {test.tasks}; p = {test.p:.3g}",
        f"power    {test.power:.2f} for a gain of {100 * test.effect:.0f} points; about {test.tasks_needed} tasks "
        "for a power of 0.8",
    ]


def _budget_lines(decision: Decision) -> list[str]:
    budget = decision.budget
    paid = "this look spent it" if budget.paid else "this look was not taken, and spent nothing"
    return [
        f"budget   {budget.total:g} false promotions in a life; spent before {budget.spent_before:.4f}; look "
        f"{budget.look} may spend {budget.alpha:.2g}: {paid}",
    ]
