"""Facts about bad input: each kind ends with a message and a code of its own, and no file is lost or half written."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from parammem.errors import AdapterMismatchError, AdapterMissingError, EngineError, ModelMissingError, RecordError
from parammem.stages import collect, evaluate, tasks, train
from tests.stages.arena import clone, knowing_everywhere, make_model, parsed, snapshot, write_params
from tests.stages.commands import command, environment, parammem

EVERYTHING = ("data", "models", "reports")


@pytest.fixture
def project(trained, tmp_path, monkeypatch) -> Path:
    copy = clone(trained, tmp_path / "project")
    shutil.rmtree(copy / ".cache", ignore_errors=True)
    monkeypatch.chdir(copy)
    return copy


def test_an_unknown_params_key_ends_before_anything_is_touched(tmp_path):
    write_params(tmp_path)
    text = (tmp_path / "params.yaml").read_text().replace("train:\n", "train:\n  rnak: 3\n", 1)
    (tmp_path / "params.yaml").write_text(text)
    done = parammem(tmp_path, "stage", "tasks", "--domain", "math")
    assert done.returncode == 3
    assert "unknown key; did you mean 'rank'?" in done.stderr or "rnak" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(tmp_path, *EVERYTHING) == {}


@pytest.mark.integration
@pytest.mark.parametrize("line", ['{"task_id": "x"', '{"task_id": "x"}', '"\\udcff"'])
def test_a_broken_line_in_a_task_file_is_named_and_nothing_changes(line, project, monkeypatch):
    file = project / "data/tasks/math/train.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], line, *lines[3:]]) + "\n")
    before = snapshot(project, *EVERYTHING)
    knowing_everywhere(monkeypatch, parsed(), "math")
    with pytest.raises(RecordError, match=r"train\.jsonl:4: not a Task"):
        collect.run(parsed(), "math")
    assert snapshot(project, *EVERYTHING) == before


def test_a_task_file_that_is_not_text_ends_with_a_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = parsed()
    tasks.run(params, "math")
    file = tmp_path / "data/tasks/math/train.jsonl"
    file.write_bytes(file.read_bytes()[:200] + b"\xff\xfe\n")
    knowing_everywhere(monkeypatch, params, "math")
    with pytest.raises(RecordError, match=r"train\.jsonl"):
        collect.run(params, "math")


@pytest.mark.integration
def test_a_missing_adapter_ends_evaluate_with_code_6_and_says_what_to_run(project):
    shutil.rmtree(project / "models/controls/math/shuffled")
    before = snapshot(project, *EVERYTHING)
    done = parammem(project, "stage", "evaluate", "--domain", "math")
    assert done.returncode == AdapterMissingError.exit_code == 6
    assert "models/controls/math/shuffled" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(project, *EVERYTHING) == before


@pytest.mark.integration
def test_another_base_model_than_the_adapters_is_refused(project):
    shutil.rmtree(project / "models/tiny")
    make_model(project, seed=3)
    before = snapshot(project, *EVERYTHING)
    with pytest.raises(AdapterMismatchError):
        evaluate.run(parsed(), "math")
    assert snapshot(project, *EVERYTHING) == before


@pytest.mark.integration
@pytest.mark.parametrize("stage", [collect, train])
def test_a_missing_model_is_named(stage, project):
    shutil.rmtree(project / "models/tiny")
    before = snapshot(project, *EVERYTHING)
    with pytest.raises(ModelMissingError, match="models/tiny"):
        stage.run(parsed(), "math")
    assert snapshot(project, *EVERYTHING) == before


def test_a_full_disk_ends_with_one_line_and_leaves_the_old_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tasks.run(write_params(tmp_path), "math")
    before = snapshot(tmp_path, *EVERYTHING)
    write_params(tmp_path, tasks={"train": 60})
    done = with_small_files(tmp_path, 12_000, "stage", "tasks", "--domain", "math")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "files are as they were: make room" in done.stderr
    assert "Traceback" not in done.stderr
    after = snapshot(tmp_path, *EVERYTHING)
    assert set(after) == set(before), "a temporary file was left behind"
    assert after["data/tasks/math/train.jsonl"] == before["data/tasks/math/train.jsonl"]


@pytest.mark.integration
def test_a_full_disk_under_the_completion_cache_ends_with_code_5_and_loses_nothing(project):
    write_params(project, collect={"label": "self"})
    before = snapshot(project, *EVERYTHING)
    done = with_small_files(project, 60_000, "stage", "collect", "--domain", "math")
    assert done.returncode == EngineError.exit_code == 5, done.stderr
    assert "completion cache" in done.stderr
    assert "what was recorded before is kept" in done.stderr
    assert snapshot(project, *EVERYTHING) == before
    again = parammem(project, "stage", "collect", "--domain", "math")
    assert again.returncode == 0, again.stderr


@pytest.mark.integration
def test_what_a_failed_stage_cost_is_written_down(project, monkeypatch):
    params = parsed(collect={"method": "paramagent"})
    with pytest.raises(Exception, match="needs a reflector"):
        collect.run(params, "math")
    line = json.loads((project / ".cache/work/collect-math.json").read_text())
    assert line["stage"] == "collect math"
    assert line["made"] == 0


def with_small_files(project: Path, limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command on a disk where no file can grow beyond this many bytes."""
    return subprocess.run(
        command(*arguments),
        cwd=project,
        env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
