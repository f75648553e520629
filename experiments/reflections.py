"""Reflections that arms of an evaluation were given, drawn by a seed, as Markdown, so that a reader can judge them.

    python -m experiments.reflections [--folder DIR] [--domain NAME] [--count N] [--seed N] [--arm NAME …]

All arms are shown on the same tasks.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.clones import ROOT
from parammem.checkout.places import Places
from parammem.core import Task, Trajectory, read_jsonl
from parammem.errors import DataError, ParamMemError

ARMS = ("paramagent", "paramagent.untrained")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print them. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.reflections")
    parser.add_argument("--folder", type=Path, default=ROOT, help="the project whose evaluation is read")
    parser.add_argument("--domain", default="code")
    parser.add_argument("--count", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arm", nargs="+", default=list(ARMS))
    given = parser.parse_args(arguments)
    try:
        print(drawn(Places(given.folder, given.domain), given.arm, given.count, given.seed))
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def drawn(places: Places, arms: Sequence[str], count: int, seed: int) -> str:
    """Return as many reflections of each arm, those before its first attempt, as Markdown.

    Raises:
        DataError: there is no evaluation, or it has none of an arm.
    """
    file = places.evaluation / "trajectories.jsonl"
    if not file.is_file():
        raise DataError(f"no {file}; run `dvc repro` there first")
    said: dict[str, dict[str, str]] = {arm: {} for arm in arms}
    for one in read_jsonl(file, Trajectory):
        first = next((r.text for r in one.reflections if r.source == "parametric" and r.iteration == 1), None)
        if one.method in said and first is not None:
            said[one.method][one.task_id] = first
    shared = sorted(set.intersection(*(set(texts) for texts in said.values())))
    if not shared:
        raise DataError(f"{file} has no task on which each of {', '.join(arms)} was given advice")
    questions = {task.task_id: task.text.splitlines()[0] for task in read_jsonl(places.tasks("eval"), Task)}
    chosen = random.Random(f"parammem/reflections/{seed}").sample(shared, min(count, len(shared)))
    parts = []
    for arm in arms:
        parts.append(f"**{arm}**\n")
        parts += [
            f"{number}. *{questions.get(name, name)}* ({name})\n\n   > {quoted(said[arm][name])}\n"
            for number, name in enumerate(chosen, 1)
        ]
    return "\n".join(parts)


def quoted(text: str) -> str:
    """A text as a Markdown quotation on one line: its line ends shown, and nothing in it that formats."""
    plain = " ⏎ ".join(line.strip() for line in text.splitlines() if line.strip())
    for sign in "\\`*_<>|#[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain or "(nothing)"


if __name__ == "__main__":
    sys.exit(main())
