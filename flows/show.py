"""Pages and tables of a turn for Prefect's artifacts, and its news for Prefect's events. Pure functions; no Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from parammem.core.decision import Decision
from parammem.core.event import Checked, Event, RolledBack
from parammem.improve.turn import Report


def turn_page(report: Report) -> str:
    """A turn in Markdown: the headline, why it trained or not, what it did, and the decisions in words."""
    from parammem.gate.explain import explain

    lines = [f"# {report.headline}", ""]
    if report.reasons:
        lines += ["| domain | new rows | train? | why |", "|---|---|---|---|"]
        lines += [f"| {r.domain} | {r.new_rows} | {'yes' if r.due else 'no'} | {r.why} |" for r in report.reasons]
        lines += [""]
    lines += [f"- {note}" for note in report.notes]
    for decision in report.decisions:
        lines += ["", f"## {decision.domain}", "", "```", explain(decision), "```"]
    if report.commit:
        lines += ["", f"commit {report.commit}"]
    return "\n".join(lines)


def decision_table(decisions: Sequence[Decision]) -> list[dict[str, object]]:
    """A row per decision and slice: shares solved in percent, and the answer."""
    return [
        {
            "domain": decision.domain,
            "answer": decision.answer,
            "slice": one.name,
            "tasks": one.tasks,
            "no reflector": None if one.none is None else round(100 * one.none, 1),
            "champion": round(100 * one.champion, 1),
            "challenger": round(100 * one.challenger, 1),
            "difference": round(100 * one.difference, 1),
            "verdict": one.verdict,
        }
        for decision in decisions
        for one in decision.slices
    ]


PROMOTED = "parammem.champion.promoted"
ROLLED_BACK = "parammem.champion.rolled-back"
CHECK_FAILED = "parammem.champion.check-failed"


class News(NamedTuple):
    """What people want to be told of."""

    event: str
    domain: str
    payload: dict[str, Any]


def news(report: Report, events: Sequence[Event]) -> list[News]:
    """Promotions, nightly checks that failed, and rollbacks, whoever asked for them.

    Args:
        events: what this run wrote into the ledger.
    """
    about = {"commit": report.commit, "headline": report.headline}
    found = [News(PROMOTED, domain, about) for domain in report.promoted]
    for fact in (event.fact for event in events):
        if isinstance(fact, Checked) and fact.holds is False:
            seen = {"version": fact.version, "solved": fact.solved, "expected": fact.expected, "p": fact.p}
            found.append(News(CHECK_FAILED, fact.domain, {**about, **seen, "night": fact.night}))
        elif isinstance(fact, RolledBack):
            moved = {"left": fact.left, "version": fact.version, "reason": fact.reason}
            found.append(News(ROLLED_BACK, fact.domain, {**about, **moved}))
    return found
