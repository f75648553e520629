"""Facts about train where it goes on from an adapter."""

from __future__ import annotations

import json
import shutil

import pytest

from parammem.checkout.places import Places
from parammem.errors import ConfigError, DataError
from parammem.stages import train
from tests.stages.arena import clone, parsed

DOMAIN = "math"


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    """A project whose reflector is champion, and that has rows which the champion never saw. Its folder, the digest of
    the champion, and the hashes of all rows."""
    root = clone(trained, tmp_path / "project")
    places = Places(root, DOMAIN)
    lines = places.validated.read_text().splitlines()
    places.validated.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    monkeypatch.chdir(root)
    train.run(parsed(), DOMAIN)
    digest = json.loads((places.reflector / "adapter.json").read_text())["digest"]
    shutil.copytree(places.reflector, places.start(digest))
    places.validated.write_text("\n".join(lines) + "\n")
    return root, digest


def test_the_reflector_goes_on_from_the_champion_and_controls_are_left_out(project):
    root, digest = project
    known = set((Places(root, DOMAIN).start(digest) / "rows.txt").read_text().split())
    shutil.rmtree(Places(root, DOMAIN).control(""))  # as DVC does
    train.run(parsed(warm_start={"adapters": {DOMAIN: digest}, "replay": 0.2}), DOMAIN)
    card = json.loads((Places(root, DOMAIN).reflector / "adapter.json").read_text())
    rows = set((Places(root, DOMAIN).reflector / "rows.txt").read_text().split())
    assert card["recipe"]["start"] == digest != card["digest"]
    assert known < rows
    assert card["rows"] == len(rows)
    assert list(Places(root, DOMAIN).control("").iterdir()) == []


def test_other_domains_start_from_the_base(project):
    root, digest = project
    train.run(parsed(warm_start={"adapters": {"code": digest}}), DOMAIN)
    assert "start" not in json.loads((Places(root, DOMAIN).reflector / "adapter.json").read_text())["recipe"]


def test_it_goes_with_one_round(project):
    _, digest = project
    params = parsed(warm_start={"adapters": {DOMAIN: digest}}, reflector={"rounds": 2})
    with pytest.raises(ConfigError, match="goes with one round and one process"):
        train.run(params, DOMAIN)


def test_without_new_rows_there_is_nothing_to_train(trained, tmp_path, monkeypatch):
    root = clone(trained, tmp_path / "project")
    places = Places(root, DOMAIN)
    monkeypatch.chdir(root)
    train.run(parsed(), DOMAIN)
    digest = json.loads((places.reflector / "adapter.json").read_text())["digest"]
    shutil.copytree(places.reflector, places.start(digest))
    with pytest.raises(DataError, match="no row is new"):
        train.run(parsed(warm_start={"adapters": {DOMAIN: digest}}), DOMAIN)
