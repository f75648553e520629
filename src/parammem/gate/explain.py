"""A decision in words, for people."""

from __future__ import annotations

from parammem.core.decision import Decision, PairedTest, SliceResult
from parammem.core.escape import shown
from parammem.core.words import count
from parammem.gate.explain_live import live_lines

LONGEST = 2000
"""Characters of a reason."""
ANSWERS = {
    "promote": "PROMOTE: the challenger takes the champion's place",
    "refuse": "REFUSE: the champion stays",
    "undecided": "UNDECIDED: the champion stays, and nothing is settled about the challenger",
    "roll back": "ROLL BACK: the champion leaves its place to the one before it, or to no advice",
}
WATCHED = "HOLDS: nothing shows that the champion does worse than no advice"


def explain(decision: Decision) -> str:
    """Explain a decision: answer, reasons, guards, slices, test and budget, one below the other."""
    champion = decision.champion[:16] or "none yet (no reflector stands in its place)"
    watch = decision.live is not None and decision.live.kind == "watch"
    against = "no advice (holdout)" if watch else decision.challenger[:16]
    lines = [
        WATCHED if watch and decision.answer == "undecided" else ANSWERS[decision.answer],
        *(f"  {shown(reason, LONGEST)}" for reason in decision.reasons),
        "",
        f"domain      {decision.domain}",
        f"champion    {champion}",
        f"{'against' if watch else 'challenger':10}  {against}",
        "",
        "guards",
        *(f"  {_mark(g.passed)} {g.name:20} {shown(g.detail, LONGEST)}" for g in decision.guards),
        "",
        *(live_lines(decision, decision.live) if decision.live else _fixed_lines(decision)),
        "",
        f"decision {decision.digest}, rule version {decision.rule_version}",
    ]
    return "\n".join(lines)


def _fixed_lines(decision: Decision) -> list[str]:
    return [
        "slice    tasks  no reflector  champion  challenger  difference  95% one-sided bounds  tolerated",
        *(_slice_line(one) for one in decision.slices),
        *_test_lines(decision),
        *_budget_lines(decision),
    ]


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
        f"test     {test.name}, one-sided, exact: better on {count(test.better, 'task')}, worse on {test.worse} "
        f"of {test.tasks}; p = {test.p:.3g}",
        *_power_lines(decision, test),
    ]


def _power_lines(decision: Decision, test: PairedTest) -> list[str]:
    if decision.rule_version < 3:
        return [
            f"power    {test.power:.2f} for a gain of {100 * test.effect:.0f} points; about "
            f"{count(test.tasks_needed, 'task')} for a power of 0.8"
        ]
    wanted = f"; {decision.rule['min_power']:g} is demanded" if decision.rule["min_power"] else ""
    if wanted and test.tasks_needed:
        wanted += f", which takes about {count(test.tasks_needed, 'task')} where as large a share of them differs"
    elif wanted:
        wanted += ", which no number of tasks gives as long as none differs"
    return [
        f"power    {test.power:.2f} to find a challenger that wins {50 + 100 * test.effect:.0f} % of the "
        f"{count(test.better + test.worse, 'task')} that differ{wanted}"
    ]


def _budget_lines(decision: Decision) -> list[str]:
    budget = decision.budget
    which = "reserve look" if budget.reserve else "look"
    spends = f"spends {budget.alpha:.2g}" if budget.paid else f"could have spent {budget.alpha:.2g}, and spent nothing"
    return [
        f"budget   chance of any false promotion, ever: at most {budget.total:g}; spent before: "
        f"{budget.spent_before:.4f}; {which} {budget.look} {spends}",
    ]
