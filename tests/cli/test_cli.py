"""Facts about the command line: codes, messages, and what it does not import."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from parammem import cli, errors
from parammem.cli import doctor, doctor_inputs
from parammem.cli.reflect import as_json_text, numbered, read_task
from parammem.config import parse_params
from parammem.core import Reflection
from parammem.errors import DataError
from tests.engines.local_server import LocalServer

HEAVY = ("torch", "transformers", "peft", "great_expectations", "wandb", "datasets", "sklearn", "pandas", "prefect")


def parammem(*arguments: str, cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    command = [sys.executable, "-m", "parammem.cli", *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True)


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["reflect"],
        ["stage"],
        ["stage", "train"],
        ["audit"],
        ["audit", "show"],
        ["track"],
        ["doctor"],
        ["probe"],
        ["uptake"],
    ],
)
def test_every_command_has_help(command):
    result = CliRunner().invoke(cli.app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_lists_every_exit_code():
    kinds = [getattr(errors, name) for name in dir(errors)]
    codes = {kind.exit_code for kind in kinds if isinstance(kind, type) and issubclass(kind, errors.ParamMemError)}
    listed = {int(code) for code in re.findall(r"(?:^|[:·]) ?(\d+) ", cli.EPILOG)}
    assert codes | {0, 2, cli.INTERRUPTED} == listed


def test_help_does_not_wait_for_heavy_libraries():
    code = f"import sys, parammem.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_pipeline_stage_is_a_command():
    from typer.main import get_command

    stages = get_command(cli.stage.app)
    assert set(stages.commands) == {"code", "tasks", "collect", "validate", "train", "evaluate", "report"}  # pyright: ignore


def test_wrong_params_end_with_code_3_and_name_key_and_fix(tmp_path, repo_root):
    text = (repo_root / "params.yaml").read_text().replace("rank:", "rnak:")
    (tmp_path / "params.yaml").write_text(text)
    done = parammem("stage", "train", "--domain", "code", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert "train.rnak: unknown key; did you mean 'rank'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_params_file_says_where_to_run(tmp_path):
    done = parammem("stage", "report", cwd=tmp_path)
    assert done.returncode == 3
    assert "run from the project's folder" in done.stderr


def test_unknown_domain_is_a_usage_error_that_names_the_known_ones():
    done = parammem("stage", "train", "--domain", "poetry")
    assert done.returncode == 2
    for name in ("code", "math", "qa"):
        assert name in done.stderr


def test_missing_task_file_ends_with_code_4(tmp_path):
    done = parammem("reflect", "nowhere.txt", cwd=tmp_path)
    assert done.returncode == DataError.exit_code
    assert "no file 'nowhere.txt'" in done.stderr


def test_empty_or_binary_task_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is empty"):
        read_task(str(tmp_path / "empty.txt"))
    with pytest.raises(DataError, match="UTF-8"):
        read_task(str(tmp_path / "binary.txt"))


def test_advice_is_numbered_for_people_and_json_for_programs():
    advice = [Reflection(text=text, source="parametric", author="a", iteration=1, temperature=1.0) for text in "xy"]
    assert numbered(advice) == "1. x\n2. y"
    parsed = json.loads(as_json_text("do it", advice, seed=3))
    assert parsed["task"] == "do it"
    assert [row["text"] for row in parsed["reflections"]] == ["x", "y"]


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path):
    program = (
        "import sys, time; from parammem import cli; from parammem.cli import reflect\n"
        "def wait(_): print('waiting', flush=True); time.sleep(60)\n"
        "reflect.read_task = wait; sys.argv = ['parammem', 'reflect', 'T.txt']; cli.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "waiting"
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "To go on, run: parammem reflect T.txt" in err
    assert "Traceback" not in err


def test_interrupted_stage_says_dvc_repro():
    assert cli.resume_hint(["stage", "train", "--domain", "code"]).endswith("dvc repro")


def test_doctor_names_what_is_missing_and_the_fix(tmp_path):
    done = parammem("doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"MISSING\s+project\s+no \.dvc and no dvc\.yaml", done.stdout)
    assert "fix: change to the folder of your clone" in done.stdout


def test_doctor_never_fails_on_a_check_that_cannot_run():
    def broken() -> doctor.Inspection:
        raise ImportError("no module named x")

    finding = doctor.guarded(broken)
    assert not finding.ready
    assert "make setup" in finding.fix


def test_doctor_asks_the_server_for_the_model(repo_root):
    raw = yaml.safe_load((repo_root / "params.yaml").read_text(encoding="utf-8"))
    with LocalServer(models=["base"]) as local:
        for name, there in (("base", True), ("other", False)):
            raw["engine"] |= {"kind": "openai", "model": name, "server": {"base_url": local.url}}
            assert doctor_inputs.model(parse_params(raw)).ready is there
    gone = doctor_inputs.model(parse_params(raw))
    assert not gone.ready
    assert "docs/serving.md" in gone.fix


def hub_params(repo_root, tmp_path, **source):
    """Params with a model that is pinned to a commit, and one source of rows."""
    pin = tmp_path / "pin.json"
    pin.write_text(json.dumps({"hub": "owner/name", "revision": "a" * 40}))
    raw = yaml.safe_load((repo_root / "params.yaml").read_text(encoding="utf-8"))
    raw["engine"]["model"] = str(pin)
    raw["benchmarks"]["sources"] = [{"domain": "code", "split": "eval", "benchmark": "mbpp", **source}]
    return parse_params(raw)


def test_doctor_says_whether_weights_and_rows_of_the_hub_are_here(repo_root, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    params = hub_params(repo_root, tmp_path, hub="owner/rows", revision="b" * 40)
    found = list(doctor_inputs.inputs(params, tmp_path))
    assert [(one.what, one.ready) for one in found] == [("model", False), ("data", False)]
    assert f"hf download owner/name --revision {'a' * 40}" in found[0].fix
    assert f"hf download owner/rows --revision {'b' * 40} --repo-type dataset" in found[1].fix
    weights = tmp_path / "hub/models--owner--name/snapshots" / ("a" * 40) / "model.safetensors"
    weights.parent.mkdir(parents=True)
    assert not doctor_inputs.model(params).ready, "a snapshot without weights, as a tokenizer alone leaves one"
    weights.touch()
    (tmp_path / "hub/datasets--owner--rows/snapshots" / ("b" * 40)).mkdir(parents=True)
    assert all(one.ready for one in doctor_inputs.inputs(params, tmp_path))


def test_doctor_says_whether_rows_of_a_file_are_here(repo_root, tmp_path):
    params = hub_params(repo_root, tmp_path, path="rows.jsonl")
    assert [one.ready for one in doctor_inputs.rows(params, tmp_path)] == [False]
    (tmp_path / "data/benchmarks").mkdir(parents=True)
    (tmp_path / "data/benchmarks/rows.jsonl").touch()
    assert [one.ready for one in doctor_inputs.rows(params, tmp_path)] == [True]


def test_doctor_tells_the_weights_for_training_from_the_server_that_has_the_model(repo_root, tmp_path):
    raw = yaml.safe_load((repo_root / "params.yaml").read_text(encoding="utf-8"))
    assert list(doctor_inputs.weights(parse_params(raw))) == []
    (tmp_path / "config.json").write_text("{}")
    for base, there in ((str(tmp_path), True), (str(tmp_path / "none"), False)):
        raw["reflector"]["base"] = base
        assert [one.ready for one in doctor_inputs.weights(parse_params(raw))] == [there]


def test_doctor_lists_profiles_with_what_is_not_here(repo_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    shutil.copy(repo_root / "params.yaml", tmp_path)
    (tmp_path / "profiles/here.yaml").write_text(f"engine: {{model: {tmp_path}}}\n")
    (tmp_path / "profiles/gone.yaml").write_text("engine: {model: models/none}\n")
    (tmp_path / "config.json").write_text("{}")
    done = CliRunner().invoke(cli.app, ["doctor", "--profiles"])
    assert done.exit_code == 0
    lines = [line.split() for line in done.output.splitlines()]
    assert lines[0] == ["gone", "not", "ready"]
    assert lines[1][:2] == ["model", "no"]
    assert lines[2:] == [["here", "ready"]]
    told = json.loads(CliRunner().invoke(cli.app, ["doctor", "--profiles", "--json"]).output)
    assert [told[name][0]["ready"] for name in ("gone", "here")] == [False, True]


def test_doctor_sees_a_model_folder(tmp_path, repo_root):
    from parammem.config import load_params

    params = load_params(repo_root / "params.yaml")
    engine = params.engine.model_copy(update={"model": str(tmp_path)})
    there = params.model_copy(update={"engine": engine})
    assert not doctor_inputs.model(there).ready
    (tmp_path / "config.json").write_text("{}")
    assert doctor_inputs.model(there).ready
