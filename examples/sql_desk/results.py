"""What the arms of the SQL desk solved: read out of the repositories, and shown as one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from desk.english import read
from desk.shop import HOUSE, parse_question
from parammem.checkout.places import Places
from parammem.core import ReflectionExample, read_jsonl
from parammem.core.adapter import read_card
from parammem.evaluation.runs import Run
from parammem.evaluation.statistics import compare, rate

NAME = "sql-desk"
ENDED = "ended.json"
"""In a house's repository: it came to its end."""
ARMS = {
    "base": "no advice (holdout)",
    "paramagent": "ParamMem",
    "paramagent.untrained": "… untrained",
    "paramagent.shuffled": "… trained on shuffled pairs",
}


class House(NamedTuple):
    """What came of one house."""

    number: int
    parts: tuple[str, ...]
    runs: list[Run]
    rows: int
    """Rows that the reflector was trained on."""
    right: dict[str, float]
    """Part of the labels → share of the rules named by its rows that are the house's. No labeller saw the house."""
    answer: str
    """The gate's."""
    minutes: float


def result_of(root: Path, number: int, parts: tuple[str, ...]) -> House:
    """Return what a house's repository says of its evaluation and its decision."""
    runs = read_jsonl(root / "reports" / "evaluation" / NAME / "runs.jsonl", Run)
    facts = [json.loads(line)["fact"] for line in (root / "ledger" / "events.jsonl").read_text().splitlines()]
    answer = [fact["answer"] for fact in facts if fact["kind"] == "decide"][-1]
    minutes = json.loads((root / ENDED).read_text())["minutes"]
    rows = read_card(root / "models" / "reflectors" / NAME).rows
    right = {part: found for part in parts if (found := _right(root, part)) is not None}
    return House(
        number, parts, [run.model_copy(update={"world": number}) for run in runs], rows, right, answer, minutes
    )


def _right(root: Path, part: str) -> float | None:
    """Return the share of rules that rows of one part name rightly; None: they name none."""
    house = json.loads((root / HOUSE).read_text(encoding="utf-8"))
    said: list[bool] = []
    for row in read_jsonl(Places(root, NAME).validated, ReflectionExample):
        question = parse_question(row.task_text)
        if row.part == part and question is not None:
            said += [house[question.department][rule] == value for rule, value in read(row.reflection).items()]
    return sum(said) / len(said) if said else None


def table(houses: Sequence[House]) -> str:
    """Return the table in Markdown: share solved in each house and in all, with 95 % intervals."""
    head = ["share solved, % (95 % interval)", *(f"house {one.number}" for one in houses), "all"]
    lines = [_line(head), _line(["---"] * len(head))]
    for arm, name in ARMS.items():
        runs = [[run for run in one.runs if run.arm == arm] for one in houses]
        lines.append(_line([name, *map(_share, runs), _share([run for part in runs for run in part])]))
    lines.append(_line(["tasks", *(str(_tasks(one)) for one in houses), str(sum(map(_tasks, houses)))]))
    lines.append(_line(["rows learned from", *(str(one.rows) for one in houses), ""]))
    for part in houses[0].parts:
        told = [f"{100 * one.right[part]:.0f}" if part in one.right else "–" for one in houses]
        lines.append(_line([f"rules that {part} rows say rightly, %", *told, ""]))
    lines.append(_line(["the gate", *(one.answer for one in houses), ""]))
    lines.append(_line(["minutes", *(f"{one.minutes:g}" for one in houses), ""]))
    return "\n".join([f"Labels: {', '.join(houses[0].parts)}.", "", *lines, "", *_differences(houses)])


def _differences(houses: Sequence[House]) -> list[str]:
    ours = [run for one in houses for run in one.runs if run.arm == "paramagent"]
    found = []
    for arm, name in ARMS.items():
        other = compare(ours, [run for one in houses for run in one.runs if run.arm == arm])
        if arm != "paramagent" and other:
            found.append(
                f"ParamMem − {name.removeprefix('… ')}: {100 * other.difference:+.1f} points "
                f"[{100 * other.low:+.1f}, {100 * other.high:+.1f}], p = {other.p:.2g} ({other.test}, by {other.unit})"
            )
    return found


def _tasks(house: House) -> int:
    return len({run.task_id for run in house.runs})


def _share(runs: Sequence[Run]) -> str:
    if not runs:
        return "–"
    found = rate(runs)
    return f"{100 * found.value:.0f} ({100 * found.low:.0f}–{100 * found.high:.0f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
