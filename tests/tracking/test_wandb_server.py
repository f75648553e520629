"""Facts about what only a W&B server can record, with a stand-in for its interface, and about offline artifacts."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from parammem import tracking
from parammem.config import TrackingParams
from parammem.core import Adapter
from parammem.errors import DataError
from parammem.tracking import wandb_server


class Version:
    """An artifact version as `wandb.Api` gives it."""

    def __init__(self, *aliases: str) -> None:
        self.aliases = list(aliases)
        self.saved: list[str] = []
        self.links: list[str] = []

    def save(self) -> None:
        self.saved = list(self.aliases)

    def link(self, target: str) -> None:
        self.links.append(target)


class Api:
    settings = {"base_url": "https://server"}

    def __init__(self, **versions: Version) -> None:
        self.versions = versions
        self.asked: list[str] = []
        self.down = False

    def artifact(self, name: str) -> Version:
        self.asked.append(name)
        if not self.artifact_exists(name):
            raise ValueError("artifact membership not found")
        return self.versions[name.rpartition(":")[2].replace("-", "_")]

    def artifact_exists(self, name: str) -> bool:
        if self.down:
            raise ConnectionError("nobody answers")
        return name.rpartition(":")[2].replace("-", "_") in self.versions

    def artifact_collection_exists(self, name: str, type: str) -> bool:
        return bool(self.versions)

    def artifacts(self, kind: str, name: str) -> list[Version]:
        return list(self.versions.values())


def write_adapter(root: Path) -> str:
    """An adapter's folder as training leaves it. Returns its digest."""
    folder = root / "models" / "reflectors" / "code"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    adapter = Adapter(
        domain="code", digest=digest, base_model="b", base_digest="b", recipe={}, data_digest="d", rows=1, steps=1,
        held_out_loss=None,
    )  # fmt: skip
    (folder / "adapter.json").write_text(adapter.model_dump_json())
    return digest


def test_aliases_are_added_to_those_that_are_there(tmp_path):
    api = Api(digest_a=Version("digest-a", "v1"))
    made = wandb_server.WandbServer(api, "team/parammem", tmp_path)
    made.set_aliases("reflector-code", "digest-a", ("champion",), ())
    assert api.versions["digest_a"].saved == ["champion", "digest-a", "v1"]
    assert api.asked == ["team/parammem/reflector-code:digest-a"]
    assert made.name == "https://server team/parammem"


def test_an_alias_that_is_gone_is_taken_from_whoever_has_it(tmp_path):
    api = Api(digest_a=Version("digest-a"), digest_b=Version("digest-b", "champion"))
    wandb_server.WandbServer(api, "p", tmp_path).set_aliases("reflector-code", "", (), ("champion",))
    assert api.versions["digest_b"].saved == ["digest-b"]
    assert api.versions["digest_a"].saved == []


def test_champions_are_linked_into_the_registry(tmp_path):
    api = Api(digest_a=Version("digest-a"))
    wandb_server.WandbServer(api, "p", tmp_path).link("reflector-code", "digest-a", "code-reflector")
    assert api.versions["digest_a"].links == ["wandb-registry-model/code-reflector"]


def test_a_version_that_is_not_there_is_told_from_a_server_that_is_not_there(tmp_path):
    api = Api(digest_a=Version("digest-a"))
    made = wandb_server.WandbServer(api, "team/parammem", tmp_path)
    with pytest.raises(wandb_server.ArtifactAbsent, match="reflector-code:digest-b"):
        made.set_aliases("reflector-code", "digest-b", ("v1",), ())
    with pytest.raises(wandb_server.ArtifactAbsent):
        made.link("reflector-code", "digest-b", "code-reflector")
    api.down = True
    with pytest.raises(ConnectionError):
        made.set_aliases("reflector-code", "digest-b", ("v1",), ())


def test_an_alias_is_gone_already_where_no_artifact_ever_was(tmp_path):
    api = Api()
    wandb_server.WandbServer(api, "team/parammem", tmp_path).set_aliases("reflector-code", "", (), ("champion",))
    assert api.asked == [], "there is no version whose alias could be taken away"


class Unlogged:
    """Takes what a tracker takes, and logs nothing."""

    def log_params(self, params) -> None: ...

    def log_metrics(self, metrics) -> None: ...

    def log_summary(self, summary) -> None: ...

    def finish(self) -> None: ...


class Run(Unlogged):
    """A run that a server took; notes what it was begun with."""

    mode = "online"

    def __init__(self, about: dict) -> None:
        self.about = about
        self.artifacts: list[str] = []

    def use_data(self, artifact) -> None:
        self.artifacts.append(artifact.name)

    def log_adapter(self, folder, name, metadata, aliases=()):
        self.artifacts.append(name)


def test_inputs_are_told_to_the_project_of_the_team(tmp_path, monkeypatch):
    """W&B takes no project with a slash in its name."""
    runs: list[Run] = []
    monkeypatch.setattr(wandb_server, "_start", lambda _mode, _folder, about: runs.append(Run(about)) or runs[-1])
    wandb_server.WandbServer(Api(), "team/parammem", tmp_path).use("train-code-a", "rows-code", {})
    assert (runs[0].about["entity"], runs[0].about["project"]) == ("team", "parammem")
    assert runs[0].artifacts == ["rows-code"]


def test_what_the_server_lost_is_logged_although_we_remember_to_have_logged_it(tmp_path, monkeypatch):
    state, folder, runs = tmp_path / "state", tmp_path / "tracking", []
    digest = write_adapter(state)
    monkeypatch.setattr(tracking, "_start", lambda mode, _folder, about: runs.append(Run(about)) or runs[-1])
    made = wandb_server.WandbServer(Api(), "team/parammem", folder)
    made.log(state)
    made.log(state)
    assert [run.about["id"] for run in runs] == [f"train-code-{digest[:16]}"] * 2
    assert [run.artifacts for run in runs] == [["reflector-code"]] * 2
    monkeypatch.setattr(Run, "mode", "offline")
    with pytest.raises(DataError, match="stopped answering"):
        made.log(state)


@pytest.mark.parametrize("mode", ["offline", "off", "auto"])
def test_there_is_no_server_unless_one_is_asked_for(mode, tmp_path):
    assert wandb_server.open_server(TrackingParams(mode=mode, project="p"), tmp_path) is None


def test_offline_runs_that_were_sent_are_not_sent_again(tmp_path, monkeypatch):
    for name, synced in (("offline-run-1", True), ("offline-run-2", False)):
        (tmp_path / "wandb" / name).mkdir(parents=True)
        if synced:
            (tmp_path / "wandb" / name / "run.wandb.synced").touch()
    sent = []

    def run(command, **_):
        sent.extend(command[4:])
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(wandb_server.subprocess, "run", run)
    assert wandb_server.send_offline_runs(tmp_path) == 1
    assert [Path(name).name for name in sent] == ["offline-run-2"]


def test_a_refused_run_is_an_error_that_says_nothing_is_lost(tmp_path, monkeypatch):
    (tmp_path / "wandb" / "offline-run-1").mkdir(parents=True)
    monkeypatch.setattr(wandb_server.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stderr="no key"))
    with pytest.raises(DataError, match=r"no key.*nothing is lost"):
        wandb_server.send_offline_runs(tmp_path)


def test_an_offline_artifact_has_the_aliases_and_the_validation_summary_of_that_moment(tmp_path, monkeypatch):
    digest = write_adapter(tmp_path)
    (tmp_path / "reports" / "validation").mkdir(parents=True)
    report = {"passed": True, "suite_digest": "s", "quarantined": [1, 2, 3]}
    (tmp_path / "reports" / "validation" / "code.json").write_text(json.dumps(report))
    logged = {}

    class Noting(Unlogged):
        mode = "offline"

        def log_adapter(self, folder, name, metadata, aliases=()):
            logged.update(name=name, metadata=metadata, aliases=aliases)

    @contextmanager
    def noting(*_, **__):
        yield Noting()

    monkeypatch.setattr(tracking, "make_tracker", noting)
    params = TrackingParams(mode="offline", project="p")
    tracking.track_all(tmp_path, params, tmp_path / "folder", {digest: ("champion", "v1")})
    assert logged["name"] == "reflector-code"
    assert logged["aliases"] == (f"digest-{digest[:16]}", "champion", "v1")
    assert logged["metadata"]["validation"] == {"passed": True, "suite_digest": "s"}
