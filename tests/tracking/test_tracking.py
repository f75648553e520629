"""What is logged, that it is logged once, and that nothing needs an account, a network or a folder outside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from parammem import tracking
from parammem.config import TrackingParams
from parammem.core import Adapter
from parammem.errors import AdapterError, DataError

OFFLINE = TrackingParams(mode="offline", project="test-project")
LOCK = {
    "schema": "2.0",
    "stages": {
        "train@code": {
            "cmd": "x",
            "deps": [{"path": "data/validated/code.jsonl", "hash": "md5", "md5": "d" * 32, "size": 3}],
            "outs": [{"path": "models/reflectors/code", "hash": "md5", "md5": "a" * 32 + ".dir"}],
        },
        "train@math": {"cmd": "x", "outs": [{"path": "models/reflectors/math", "md5": "b" * 32 + ".dir"}]},
        "report": {"cmd": "x", "outs": [{"path": "reports/metrics.json", "md5": "c" * 32}]},
    },
}


def make_adapter(repo: Path, weights: bytes = b"weights", domain: str = "code") -> Path:
    folder = repo / "models" / "reflectors" / domain
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    card = Adapter(
        domain=domain,
        digest=hashlib.sha256(weights).hexdigest(),
        base_model="models/pocket-1m",
        base_digest="e" * 64,
        recipe={"rank": 4},
        data_digest="f" * 64,
        rows=3,
        steps=5,
        held_out_loss=1.5,
    )
    (folder / "adapter.json").write_text(card.model_dump_json())
    return folder


def write_metrics(repo: Path, pass_rate: float) -> None:
    (repo / "reports").mkdir(exist_ok=True)
    metrics = {"code": {"paramagent": {"pass_rate": pass_rate, "note": "text"}}, "math": {"base": {"pass_rate": 0.1}}}
    (repo / "reports" / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    make_adapter(root)
    write_metrics(root, 0.25)
    (root / "dvc.lock").write_text(yaml.safe_dump(LOCK))
    (root / "params.yaml").write_text("train: {rank: 4}\n")
    return root


def records(folder: Path) -> list[list[dict]]:
    """Every offline run below a tracking folder, read back with W&B's own reader."""
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json"]
    runs = sorted(path for path in (folder / "wandb").glob("offline-run-*"))
    read = [subprocess.run([*command, str(run)], capture_output=True, text=True, check=True) for run in runs]
    return [[json.loads(line) for line in done.stdout.splitlines()] for done in read]


def of_type(run: list[dict], kind: str) -> list[dict]:
    return [line[kind] for line in run if line["type"] == kind]


@pytest.mark.integration
def test_offline_run_read_back_has_params_metrics_artifact_and_dvc_digests(repo, tmp_path):
    folder = tmp_path / "tracking"
    (line,) = tracking.track_all(repo, OFFLINE, folder)
    assert (line.kind, line.mode) == ("train", "offline")
    (run,) = records(folder)
    (head,) = of_type(run, "run")
    assert head["run_id"] == line.run_id
    assert head["project"] == "test-project"
    assert '"rank":4' in json.dumps(run, separators=(",", ":"))
    assert of_type(run, "history")[0]["item"]["code.paramagent.pass_rate"] == 0.25
    (artifact,) = of_type(run, "artifact")
    about = json.loads(artifact["metadata"])
    assert artifact["name"] == "reflector-code"
    assert artifact["type"] == "model"
    assert f"digest-{line.adapter[:16]}" in artifact["aliases"]
    assert about["digest"] == hashlib.sha256(b"weights").hexdigest()
    assert about["dvc"]["models/reflectors/code"] == "a" * 32 + ".dir"
    assert about["dvc"]["data/validated/code.jsonl"] == "d" * 32
    assert "models/reflectors/math" not in about["dvc"]
    files = {entry["path"]: Path(entry["local_path"]) for entry in artifact["manifest"]["contents"]}
    assert files["adapter_model.safetensors"].read_bytes() == b"weights"
    assert files["adapter_model.safetensors"].is_relative_to(folder)


@pytest.mark.integration
def test_second_call_logs_nothing_and_new_metrics_log_an_evaluation_alone(repo, tmp_path):
    folder = tmp_path / "tracking"
    assert len(tracking.track_all(repo, OFFLINE, folder)) == 1
    assert tracking.track_all(repo, OFFLINE, folder) == []
    write_metrics(repo, 0.5)
    (line,) = tracking.track_all(repo, OFFLINE, folder)
    assert line.kind == "evaluate"
    assert tracking.track_all(repo, OFFLINE, folder) == []
    runs = records(folder)
    assert len(runs) == 2
    assert sum(len(of_type(run, "artifact")) for run in runs) == 1


@pytest.mark.integration
def test_adapter_restored_from_the_run_cache_is_logged_once(repo, tmp_path):
    """DVC's run-cache puts back old outs without running the stage: only files change, and files are what is read."""
    folder = tmp_path / "tracking"
    tracking.track_all(repo, OFFLINE, folder)
    make_adapter(repo, b"other weights")
    (second,) = tracking.track_all(repo, OFFLINE, folder)
    assert second.adapter == hashlib.sha256(b"other weights").hexdigest()
    make_adapter(repo, b"weights")
    assert tracking.track_all(repo, OFFLINE, folder) == []
    assert [line.kind for line in tracking.logged_runs(folder)] == ["train", "train"]


@pytest.mark.integration
def test_nothing_is_written_outside_the_folder(repo, tmp_path):
    home, folder, work = tmp_path / "home", tmp_path / "tracking", tmp_path / "work"
    for place in (home, work):
        place.mkdir()
    before = sorted(path.relative_to(repo) for path in repo.rglob("*"))
    code = (
        "import sys; from pathlib import Path; from parammem.config import TrackingParams; "
        "from parammem.tracking import track_all; "
        "print(len(track_all(Path(sys.argv[1]), TrackingParams(mode='auto', project='p'), Path(sys.argv[2]))))"
    )
    source = str(Path(tracking.__file__).parents[1])
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": source, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    done = subprocess.run([sys.executable, "-c", code, str(repo), str(folder)], cwd=work, env=env, text=True,
                          capture_output=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "1"
    assert list(home.rglob("*")) == []
    assert list(work.rglob("*")) == []
    assert sorted(path.relative_to(repo) for path in repo.rglob("*")) == before


@pytest.mark.integration
def test_dead_network_falls_back_to_offline_with_a_warning(repo, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "ONLINE_SECONDS", 3)
    folder = tmp_path / "tracking"
    (line,) = tracking.track_all(repo, TrackingParams(mode="online", project="p"), folder)
    assert line.mode == "offline"
    assert "cannot be reached" in caplog.text
    assert len(records(folder)) == 1


def test_mode_auto_follows_key_and_environment(monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert tracking.choose_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert tracking.choose_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert tracking.choose_mode("auto") == "off"
    assert tracking.choose_mode("offline") == "offline"


def test_off_logs_nothing_and_makes_no_folder(repo, tmp_path):
    folder = tmp_path / "tracking"
    assert tracking.track_all(repo, TrackingParams(mode="off", project="p"), folder) == []
    assert not folder.exists()


def test_nothing_trained_is_nothing_to_log(tmp_path):
    assert tracking.track_all(tmp_path, OFFLINE, tmp_path / "tracking") == []


def test_weights_that_are_not_the_cards_are_refused(repo, tmp_path):
    (repo / "models/reflectors/code/adapter_model.safetensors").write_bytes(b"tampered")
    with pytest.raises(AdapterError, match="changed after training"):
        tracking.track_all(repo, OFFLINE, tmp_path / "tracking")
    assert tracking.logged_runs(tmp_path / "tracking") == []


def test_broken_metrics_file_is_named(repo, tmp_path):
    (repo / "reports" / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json"):
        tracking.track_all(repo, OFFLINE, tmp_path / "tracking")


def test_environment_is_put_back_after_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", "mine")
    monkeypatch.delenv("WANDB_DATA_DIR", raising=False)
    with pytest.raises(RuntimeError), tracking._wandb_folders(tmp_path):  # noqa: PT012
        assert os.environ["WANDB_DATA_DIR"].startswith(str(tmp_path))
        raise RuntimeError
    assert os.environ["WANDB_DIR"] == "mine"
    assert "WANDB_DATA_DIR" not in os.environ


def test_missing_adapter_file_says_what_to_do(repo, tmp_path):
    shutil.move(repo / "models/reflectors/code/adapter_model.safetensors", repo / "elsewhere")
    with pytest.raises(AdapterError, match="dvc pull"):
        tracking.track_all(repo, OFFLINE, tmp_path / "tracking")


def test_flat_numbers_keep_numbers_and_their_path():
    assert tracking.flat_numbers({"a": {"b": 1, "c": "x", "d": {"e": 0.5}}}) == {"a.b": 1.0, "a.d.e": 0.5}
