"""The generations of a reflector: what each challenger could do, what became of it, what was forgotten, what it cost.

A pure function over the ledger and its decisions, a table in words, and one chart. Ledgers of branches are read in
registry/branch.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from parammem.config import ImproveParams, load_params
from parammem.core.decision import Decision
from parammem.core.event import Decided, Event, Ingested, RolledBack, Trained
from parammem.core.record import Record
from parammem.registry.state import champion, versions

FIRST_NUMBER = re.compile(r"(\d+(?:\.\d+)?) ")


class SliceOf(Record):
    """One slice in one generation; shares of runs solved."""

    none: float | None
    champion: float
    challenger: float
    forgotten: float
    """How much less the challenger solves on it than the best challenger before it did; at least 0. Only the anchor
    slice stays the same, so on the fresh one this is also how the world changed."""


class Challenge(Record):
    """One challenger and what became of it."""

    number: int
    version: int
    """Of the registry."""
    answer: str
    """promote, refuse or undecided. A challenger that went on trial has a second line for what its runs decided."""
    reason: str
    rows: int
    """Reflection rows that it was trained on."""
    new_rows: int
    """Rows of experience that came in since the generation before."""
    slices: dict[str, SliceOf]
    diversity: float | None
    """Distinct pieces of advice per task; None if it was not counted."""
    tokens: float | None
    """Tokens written per task; None if it was not counted."""
    start: str
    """Version of the champion that it was trained on from; empty: it was retrained from the base."""
    seconds: float
    """From its newest experience to the decision."""
    left_later: str
    """Why it was rolled back; empty if it was not."""
    was_champion: bool
    """Whether it is champion after the last event."""


def settings(root: Path) -> ImproveParams:
    """Return the section `improve` of params.yaml; its defaults where there is no such file."""
    file = root / "params.yaml"
    return load_params(file).improve if file.is_file() else ImproveParams()


def generations(events: Sequence[Event], decision: Callable[[str], Decision], domain: str) -> list[Challenge]:
    """Return every decision about a domain, oldest first, one generation each.

    Args:
        decision: gives the record of a digest.
    """
    now = champion(events, domain)
    incumbent = now.number if now else 0
    found: list[Challenge] = []
    best: dict[str, float] = {}
    came, last_ingest = 0, ""
    trained: dict[str, Trained] = {}
    numbers = {v.adapter: v.number for v in versions(events, domain)}
    for event in events:
        fact = event.fact
        if isinstance(fact, Ingested) and fact.domains.get(domain):
            came, last_ingest = came + fact.kept, event.time
        elif isinstance(fact, Trained) and fact.domain == domain:
            trained[fact.adapter] = fact
        elif isinstance(fact, Decided) and fact.domain == domain and fact.challenger:  # not a rollback by runs in use
            record = decision(fact.decision)
            slices = {one.name: _slice(one, best.get(one.name, 0.0)) for one in record.slices}
            found.append(
                Challenge(
                    number=len(found) + 1,
                    version=numbers.get(fact.challenger, 0),
                    answer=fact.answer,
                    reason=record.reasons[0] if record.reasons else "",
                    rows=trained[fact.challenger].rows if fact.challenger in trained else 0,
                    new_rows=came,
                    slices=slices,
                    diversity=_seen(record, "diversity"),
                    tokens=_seen(record, "tokens"),
                    start=_start(record, numbers),
                    seconds=_seconds(last_ingest, event.time),
                    left_later=_left(events, domain, numbers.get(fact.challenger, 0)),
                    was_champion=incumbent == numbers.get(fact.challenger, 0),
                )
            )
            best |= {name: max(best.get(name, 0.0), one.challenger) for name, one in slices.items()}
            came = 0
    return found


def _slice(one: Any, best: float) -> SliceOf:
    return SliceOf(
        none=one.none,
        champion=one.champion,
        challenger=one.challenger,
        forgotten=max(0.0, best - one.challenger),
    )


def _seen(decision: Decision, guard: str) -> float | None:
    """Return the number that a guard's words begin with: the challenger's."""
    detail = next((one.detail for one in decision.guards if one.name == guard), "")
    match = FIRST_NUMBER.match(detail)
    return float(match[1]) if match else None


def _start(decision: Decision, numbers: Mapping[str, int]) -> str:
    adapter = decision.inputs.get("continued from", "")
    return f"v{numbers.get(adapter, 0)}" if adapter else ""


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() if start else 0.0


def _left(events: Sequence[Event], domain: str, version: int) -> str:
    facts = [e.fact for e in events if isinstance(e.fact, RolledBack) and e.fact.domain == domain]
    return next((fact.reason for fact in facts if fact.left == version), "")


def as_text(found: Sequence[Challenge]) -> str:
    """Return a line per generation."""
    if not found:
        return "no challenger was judged yet; `parammem improve` trains one and asks the gate"
    head = (
        "gen  version  answer     rows   new  anchor: none champ chall forgot   fresh: none champ chall forgot  "
        "advice  tokens  seconds"
    )
    return "\n".join([head, *(_line(one) for one in found)])


def _line(one: Challenge) -> str:
    parts = [_shares(one.slices.get(name)) for name in ("anchor", "fresh")]
    end = "  champion" if one.was_champion else f"  rolled back: {one.left_later}" if one.left_later else ""
    end = f"  from {one.start}{end}" if one.start else end
    diversity = "–" if one.diversity is None else f"{one.diversity:.2f}"
    tokens = "–" if one.tokens is None else f"{one.tokens:.0f}"
    return (
        f"{one.number:3}  v{one.version:<6}  {one.answer:9} {one.rows:5} {one.new_rows:5}         {parts[0]}"
        f"          {parts[1]}  {diversity:>6}  {tokens:>6}  {one.seconds:7.0f}{end}"
    )


def _shares(one: SliceOf | None) -> str:
    if one is None:
        return "    –     –     –      –"
    none = "    –" if one.none is None else f"{100 * one.none:4.0f}%"
    return f"{none} {100 * one.champion:4.0f}% {100 * one.challenger:4.0f}% {100 * one.forgotten:5.0f}%"


MARKS = {"promote": ("^", "tab:green"), "refuse": ("X", "tab:red"), "undecided": ("o", "tab:gray")}


def chart(found: Sequence[Challenge], path: Path) -> None:
    """Draw shares solved by generation for both slices, what became of each challenger, diversity and cost, as an
    image."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), constrained_layout=True)
    for axis, name in zip(axes, ("anchor", "fresh"), strict=False):
        _draw_slice(axis, found, name)
    axes[0].legend(fontsize=8, loc="lower right")
    _draw_cost(axes[2], found)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_slice(axis: Any, found: Sequence[Challenge], name: str) -> None:
    having = [one for one in found if name in one.slices]
    x = [one.number for one in having]
    for arm, style in (("none", ":"), ("champion", "--"), ("challenger", "-")):
        y = [getattr(one.slices[name], arm) for one in having]
        shown = [(a, 100 * b) for a, b in zip(x, y, strict=True) if b is not None]
        label = {"none": "no reflector", "champion": "champion", "challenger": "challenger"}[arm]
        axis.plot([a for a, _ in shown], [b for _, b in shown], style, color="tab:blue", alpha=0.7, label=label)
    for answer, (mark, colour) in MARKS.items():
        marked = [one for one in having if one.answer == answer]
        points = [100 * one.slices[name].challenger for one in marked]
        axis.scatter([one.number for one in marked], points, marker=mark, c=colour, s=90, zorder=3, label=answer)
    for one in having:
        note = "rolled back" if one.left_later else "champion" if one.was_champion else ""
        note = f"{note} (from {one.start})".strip() if one.start else note
        axis.annotate(note, (one.number, 100 * one.slices[name].challenger), xytext=(0, 9), textcoords="offset points")
    axis.set(title=f"{name} slice", xlabel="generation", ylabel="solved, %", ylim=(0, 105), xticks=x)


def _draw_cost(axis: Any, found: Sequence[Challenge]) -> None:
    x = [one.number for one in found]
    axis.bar(x, [one.rows for one in found], color="tab:blue", alpha=0.3, label="training rows")
    axis.set(title="cost and diversity", xlabel="generation", ylabel="training rows", xticks=x)
    other = axis.twinx()
    other.plot(x, [one.diversity for one in found], "o-", color="tab:orange", label="distinct advice per task")
    other.plot(x, [(one.tokens or 0) / 100 for one in found], "s-", color="tab:purple", label="tokens per task / 100")
    other.set_ylim(bottom=0)
    lines = [*axis.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
    other.legend(lines, [line.get_label() for line in lines], fontsize=8, loc="lower right")
