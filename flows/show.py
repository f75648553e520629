"""Pages and tables of a turn, for Prefect's artifacts. Pure functions; no Prefect here."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core.decision import Decision
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
