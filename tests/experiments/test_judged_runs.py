"""Facts about a project's own runs as experience of another: what is written, and that it comes in."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from experiments import judged_runs
from parammem.checkout.places import Places
from parammem.cli import app
from parammem.core import Trajectory, read_jsonl
from parammem.stages import collect, tasks
from tests.stages.arena import knowing_everywhere, make_model, write_params

DOMAIN = "math"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder in which an engine that knows about half of the answers has tried the train tasks."""
    make_model(tmp_path)
    params = write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    knowing_everywhere(monkeypatch, params, DOMAIN)
    tasks.run(params, DOMAIN)
    collect.run(params, DOMAIN)
    return tmp_path


def test_own_runs_come_in_with_their_final_verdicts(project, tmp_path):
    out = tmp_path / "runs.jsonl"
    assert judged_runs.main(["--folder", str(project), "--domain", DOMAIN, "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    runs = read_jsonl(Places(project, DOMAIN).trajectories, Trajectory)
    assert [row["trajectory"]["task_id"] for row in rows] == [run.task_id for run in runs]
    assert all(row["task"]["task_id"] == row["trajectory"]["task_id"] for row in rows)
    assert {row["outcome"] for row in rows} == {True, False}
    visible = {run.trajectory_id: run.stop == "visible-pass" for run in runs}
    assert any(visible[run.trajectory_id] and not row["outcome"] for run, row in zip(runs, rows, strict=True)), (
        "the verdict is the final one, and visible checks show half of it"
    )
    told = CliRunner().invoke(app, ["ingest", str(out), "--domain", DOMAIN, "--dry-run", "--json"])
    assert told.exit_code == 0, told.output
    becomes = [json.loads(line)["becomes"] for line in told.output.splitlines() if line.startswith("{")]
    assert len(becomes) == len(runs)
    assert set(becomes) <= {"batch", "fresh", "duplicate"}, "to learn from, kept for judging, or word for word another"
    assert becomes.count("batch") > len(runs) / 2


def test_the_first_runs_are_taken_where_a_count_is_given(project, tmp_path):
    assert len(list(judged_runs.judged_runs(project, DOMAIN, 3))) == 3


def test_a_folder_without_runs_is_named(tmp_path, capsys):
    assert judged_runs.main(["--folder", str(tmp_path), "--out", str(tmp_path / "runs.jsonl")]) > 0
    assert "run `dvc repro collect@code` there first" in capsys.readouterr().err
