"""How far experience in the world of plain English gets: what was solved, and how much of what its labels say is right.

    python -m experiments.english_labels [--folder DIR] [--domain NAME]

Reads what `collect` has left in a folder and compares it with the answer keys, which no labeller saw. Nothing of it is
trained on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.clones import ROOT
from parammem.checkout.places import Places
from parammem.core import AnswerKey, ReflectionExample, Task, Trajectory, read_jsonl
from parammem.core.domain_names import ENGLISH
from parammem.core.record import Record
from parammem.core.words import count
from parammem.domains.conventions import parse_claims
from parammem.domains.english import EnglishJudge
from parammem.errors import DataError, ParamMemError


class LabelCounts(Record):
    """Counts over the train tasks that were collected on."""

    tasks: int
    visible: int
    """Submissions that pass their visible check."""
    solved: int
    """Submissions that pass the final verdict."""
    rows: int
    claimless: int
    """Rows that claim nothing which can be followed."""
    shown: int
    """Rules that a row names, of those that the task's visible check shows."""
    shown_right: int
    hidden: int
    """The same of those that no check shows."""
    hidden_right: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.english_labels")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "english", help="where the pipeline ran")
    parser.add_argument("--domain", default=ENGLISH)
    given = parser.parse_args(arguments)
    try:
        found = counted(Places(given.folder, given.domain))
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{count(found.tasks, 'train task')}: visible check passed {found.visible}, solved {found.solved}")
    print(f"{count(found.rows, 'row')}, of which {found.claimless} claim nothing")
    print(f"of rules that the visible check shows, {found.shown} named, {found.shown_right} of them rightly")
    print(f"of rules that no check shows, {found.hidden} named, {found.hidden_right} of them rightly")
    return 0


def counted(places: Places) -> LabelCounts:
    """Return the counts of a folder. Raises DataError: nothing has been collected there."""
    if not places.reflections.is_file():
        raise DataError(f"no {places.reflections}; run `dvc repro collect@{places.domain}` there first")
    keys = {key.task_id: key for key in read_jsonl(places.keys("train"), AnswerKey)}
    tasks = {task.task_id: task for task in read_jsonl(places.tasks("train"), Task)}
    trajectories = [one for one in read_jsonl(places.trajectories, Trajectory) if one.submitted is not None]
    asked = [(tasks[t.task_id], keys[t.task_id], t.submitted.candidate) for t in trajectories if t.submitted]
    rows = read_jsonl(places.reflections, ReflectionExample)
    claims = [_claims(row, keys[row.task_id]) for row in rows]
    shown = [right for row in claims for seen, right in row if seen]
    hidden = [right for row in claims for seen, right in row if not seen]
    return LabelCounts(
        tasks=len(tasks),
        visible=sum(one.stop == "visible-pass" for one in trajectories),
        solved=sum(getattr(score, "passed", False) for score in EnglishJudge().score(asked)),
        rows=len(rows),
        claimless=sum(not row for row in claims),
        shown=len(shown),
        shown_right=sum(shown),
        hidden=len(hidden),
        hidden_right=sum(hidden),
    )


def _claims(row: ReflectionExample, key: AnswerKey) -> list[tuple[bool, bool]]:
    """Return of each claim about the row's own task whether a check shows its rule, and whether it is right."""
    revealed = key.tags["revealed"].split()
    said = dict(claim.split("=") for claim in parse_claims(ENGLISH, row.reflection))
    return [(name in revealed, key.facts[name] == value) for name, value in said.items() if name in key.facts]


if __name__ == "__main__":
    sys.exit(main())
