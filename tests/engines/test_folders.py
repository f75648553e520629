"""Facts about where models are found: in folders, and in the hub's local cache by a pin that names a commit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from parammem.engines.digests import model_digest
from parammem.engines.folders import find_model, hub_parts, named_model
from parammem.engines.hf import HfEngine
from parammem.errors import ConfigError, ModelMissingError
from tests.engines.test_openai_server import ask
from tests.tiny import make_tiny_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


def write_pin(path: Path, hub: str = "someone/tiny", revision: str = COMMIT) -> Path:
    path.write_text(json.dumps({"hub": hub, "revision": revision}), encoding="utf-8")
    return path


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """The hub's cache as it lies on a disk, with one model at one commit."""
    from huggingface_hub import constants

    snapshot = tmp_path / "hub" / "models--someone--tiny" / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    shutil.move(make_tiny_model(tmp_path / "made", hidden=16, layers=1), snapshot)
    refs = tmp_path / "hub" / "models--someone--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_a_pin_finds_the_snapshot_of_its_commit_and_no_other(hub_cache, tmp_path):
    assert find_model(write_pin(tmp_path / "pin.json")) == hub_cache
    assert find_model(f"someone/tiny@{COMMIT}") == hub_cache
    with pytest.raises(ModelMissingError, match=f"someone/tiny@{OTHER}"):
        find_model(write_pin(tmp_path / "other.json", revision=OTHER))


def test_an_engine_of_a_pin_is_the_engine_of_its_weights(hub_cache, tmp_path):
    pinned = HfEngine.load(write_pin(tmp_path / "pin.json"), device="cpu")
    here = HfEngine.load(hub_cache, device="cpu")
    assert pinned.digest == here.digest
    assert pinned.complete([ask("Anna")]) == here.complete([ask("Anna")])
    assert len(model_digest(hub_cache)) == 64


def test_params_name_a_pin_and_the_rest_of_the_project_the_model(tmp_path):
    write_pin(tmp_path / "pin.json")
    assert named_model(write_pin(tmp_path / "served.json", "gpt", "").name, tmp_path) == "gpt"
    name = named_model("pin.json", tmp_path)
    assert name == f"someone/tiny@{COMMIT}"
    assert hub_parts(name) == ("someone/tiny", COMMIT)
    assert named_model("models/pocket-1m", tmp_path) == "models/pocket-1m"
    assert hub_parts("models/pocket-1m") == ("models/pocket-1m", "")


@pytest.mark.parametrize("text", ["[]", "{", '{"hub": "someone/tiny", "revision": "main"}', '{"hub": "two words"}'])
def test_a_file_that_is_no_pin_says_what_one_looks_like(tmp_path, text):
    (tmp_path / "pin.json").write_text(text)
    with pytest.raises(ConfigError, match="profile pin"):
        named_model("pin.json", tmp_path)
