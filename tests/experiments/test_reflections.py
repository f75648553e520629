"""Reflections for people to judge: the same tasks for all arms, drawn by a seed, quoted so that nothing formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.reflections import drawn, main, quoted
from parammem.checkout.places import Places
from parammem.core import Reflection, Task, Trajectory, write_jsonl
from parammem.errors import DataError


def advised(arm: str, number: int) -> Trajectory:
    pieces = tuple(
        Reflection(text=f"{arm} says {number} {k}", source="parametric", author="a", iteration=k, temperature=1.0)
        for k in (1, 2)
    )
    return Trajectory(
        task_id=f"t{number}", domain="code", method=arm, protocol="strict", seed=0, reflections=pieces,
        stop="iterations", submission=None,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path) -> Path:
    places = Places(tmp_path, "code")
    runs = [advised(arm, n) for arm in ("paramagent", "paramagent.untrained", "dot") for n in range(9)]
    write_jsonl(places.evaluation / "trajectories.jsonl", [*runs, advised("paramagent", 99)])
    write_jsonl(places.tasks("eval"), [Task(task_id=f"t{n}", domain="code", text=f"Do {n}.\nmore") for n in range(9)])
    return tmp_path


def test_both_arms_are_shown_on_the_same_tasks_and_a_seed_draws_the_same(project, capsys):
    assert main(["--folder", str(project), "--count", "4", "--seed", "3"]) == 0
    shown = capsys.readouterr().out
    trained, untrained = shown.split("**paramagent.untrained**")
    tasks = [line.split("(")[-1].strip(")") for line in trained.splitlines() if line.startswith(tuple("1234"))]
    assert len(tasks) == 4
    assert "t99" not in tasks
    assert all(f"({name})" in untrained for name in tasks)
    assert "paramagent says" in trained
    assert " 2\n" not in shown.replace("Do 2", ""), "only advice before the first attempt"
    assert drawn(Places(project, "code"), ["paramagent", "paramagent.untrained"], 4, 3) + "\n" == shown


def test_what_would_format_is_escaped_and_lines_are_joined():
    assert quoted("1. `x` <b>\n\n* y_z") == "1. \\`x\\` \\<b\\> ⏎ \\* y\\_z"
    assert quoted(" \n") == "(nothing)"


def test_without_an_evaluation_it_says_what_to_run(tmp_path, project, capsys):
    assert main(["--folder", str(tmp_path / "empty")]) == DataError.exit_code
    assert "dvc repro" in capsys.readouterr().err
    assert main(["--folder", str(project), "--arm", "paramagent", "poet"]) == DataError.exit_code
