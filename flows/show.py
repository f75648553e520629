"""Pages and tables of a turn for Prefect's artifacts, and its news for Prefect's events. Pure functions; no Prefect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from parammem.core.decision import Decision, SliceResult
from parammem.core.escape import markdown, shown
from parammem.core.event import Checked, Event, Published, RolledBack
from parammem.core.words import count
from parammem.improve.turn import TurnReport

NOTE = 500
"""Characters of a note or a cell that a page shows."""
RUN_NAME = 100
SLICE_HEAD = ("slice", "tasks", "no reflector", "champion", "challenger", "verdict")
SAID = {"promote": "promoted", "refuse": "refused", "undecided": "undecided", "roll back": "rolled back"}


def turn_page(report: TurnReport) -> str:
    """Return a turn as Markdown: the headline, why it trained or not, what it did, and the decisions.

    Names of files, domains and adapters in it may come from third parties, so all text is escaped.
    """
    lines = [f"# {markdown(report.headline)}", ""]
    if report.reasons:
        rows = [(r.domain, r.new_rows, "yes" if r.due else "no", r.why) for r in report.reasons]
        lines += [*_table(("domain", "new rows", "train?", "why"), rows), ""]
    lines += [f"- {markdown(note, NOTE)}" for note in report.notes if note != report.headline]
    for decision in report.decisions:
        lines += ["", *decision_page(decision)]
    if report.commit:
        lines += ["", f"commit {report.commit}"]
    return "\n".join(lines)


def decision_page(decision: Decision) -> list[str]:
    """Return a decision as Markdown lines that fit a narrow page: answer, reasons, slices, test, budget, guards."""
    test, budget = decision.test, decision.budget
    lines = [f"## {markdown(decision.domain)}: {decision.answer}", ""]
    lines += [f"- {markdown(reason, NOTE)}" for reason in decision.reasons]
    if decision.live:
        arms = [
            (arm.arm, arm.runs, arm.known, f"{arm.solved:.1%}")
            for arm in (decision.live.treated, decision.live.control)
        ]
        lines += ["", *_table(("arm", "runs in use", "outcomes", "solved"), arms)]
    else:
        lines += ["", *_table(SLICE_HEAD, map(_slice, decision.slices))]
    if test:
        lines += ["", f"Better on {count(test.better, 'task')}, worse on {test.worse}, of {test.tasks}: "
                      f"p = {test.p:.2g}, allowed {budget.alpha:.2g} (look {budget.look}). "
                      f"Power {test.power:.2f}."]  # fmt: skip
    marks = {True: "passed", False: "failed", None: "not evaluated"}
    guards = [(guard.name, marks[guard.passed], guard.detail) for guard in decision.guards]
    lines += ["", *_table(("guard", "result", "what was seen"), guards)]
    lines += ["", f"The whole decision: `parammem gate --show {decision.digest[:12]}`"]
    return lines


def _slice(one: SliceResult) -> tuple[object, ...]:
    shares = (one.none, one.champion, one.challenger)
    return (one.name, one.tasks, *("–" if share is None else f"{100 * share:.1f}%" for share in shares), one.verdict)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(markdown(str(cell), NOTE) for cell in row)} |" for row in rows]


def run_name(kind: str, report: TurnReport, events: Sequence[Event]) -> str:
    """Return what a finished run is called in Prefect's list: what it did, such as `improve code: v4 promoted`.

    Args:
        events: what this run wrote into the ledger.
    """
    facts = [event.fact for event in events]
    versions = {fact.domain: f"v{fact.version} " for fact in facts if isinstance(fact, Published)}
    done = [f"{one.domain}: {versions.get(one.domain, '')}{SAID[one.answer]}" for one in report.decisions]
    return shown(f"{kind} {'; '.join(done)}" if done else f"{kind}: {report.headline}", RUN_NAME)


def decision_table(decisions: Sequence[Decision]) -> list[dict[str, object]]:
    """Return a row per decision and slice: shares solved in percent, and the answer."""
    return [
        {
            "domain": decision.domain,
            "answer": decision.answer,
            "slice": one.name,
            "tasks": one.tasks,
            "none": None if one.none is None else round(100 * one.none, 1),
            "champion": round(100 * one.champion, 1),
            "challenger": round(100 * one.challenger, 1),
            "gain": round(100 * one.difference, 1),
            "verdict": one.verdict,
        }
        for decision in decisions
        for one in decision.slices
    ]


PROMOTED = "parammem.champion.promoted"
ROLLED_BACK = "parammem.champion.rolled-back"
REFUSED = "parammem.challenger.refused"
CHECK_FAILED = "parammem.champion.check-failed"


class News(NamedTuple):
    """What people want to be told of."""

    event: str
    domain: str
    payload: dict[str, Any]


def news(report: TurnReport, events: Sequence[Event]) -> list[News]:
    """Return promotions, refusals, failed nightly checks and all rollbacks of a run, for notifications.

    Args:
        events: what this run wrote into the ledger.
    """
    about = {"commit": report.commit, "headline": report.headline}
    kinds = {"promote": PROMOTED, "refuse": REFUSED}
    found = [
        News(kinds[one.answer], one.domain, {**about, "reasons": list(one.reasons)})
        for one in report.decisions
        if one.answer in kinds
    ]
    for fact in (event.fact for event in events):
        if isinstance(fact, Checked) and fact.holds is False:
            seen = {"version": fact.version, "solved": fact.solved, "expected": fact.expected, "p": fact.p}
            found.append(News(CHECK_FAILED, fact.domain, {**about, **seen, "night": fact.night}))
        elif isinstance(fact, RolledBack):
            moved = {"left": fact.left, "version": fact.version, "reason": fact.reason}
            found.append(News(ROLLED_BACK, fact.domain, {**about, **moved}))
    return found
