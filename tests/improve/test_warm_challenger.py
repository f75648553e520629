"""Facts about the second challenger, which is trained on from the champion: real git, DVC, remote and tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from parammem.core.event import Decided
from parammem.improve.run import improve
from tests.improve.lab import drop_batch, dvc, git, lab_tools, make_lab, write_params
from tests.improve.settled import BRANCH, assert_clone_is_up_to_date, assert_settled, champion_versions, events

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lab with a second challenger in every turn, a champion, and a second batch in the inbox."""
    root = make_lab(tmp_path)
    write_params(root, warm_start=True)
    git(root, "commit", "-q", "-a", "-m", "warm")
    drop_batch(root, "one")
    assert improve(root, lab_tools()).headline == "code: promote", "without a champion there is one challenger"
    drop_batch(root, "two")
    return root


def weights_of(root: Path, version: int, folder: Path) -> dict:
    """What lies at a version's tag."""
    tag = f"code-reflector@v{version}.0.0"
    dvc(root, "get", "-q", "--rev", tag, ".", "models/reflectors/code", "--out", str(folder / f"v{version}"))
    return json.loads((folder / f"v{version}" / "adapter_model.safetensors").read_bytes())


def champion_digest(root: Path, version: int) -> str:
    return next(e.fact.adapter for e in events(root) if e.fact.kind == "publish" and e.fact.version == version)


def test_both_challengers_are_judged_and_each_version_is_what_its_tag_says(root, tmp_path):
    head = git(root, "rev-parse", "HEAD")
    report = improve(root, lab_tools())
    assert [one.answer for one in report.decisions] == ["undecided", "promote"]
    assert report.decisions[0].reasons[0].startswith("outdone: ")
    assert champion_versions(root) == [1, 3]
    looks = [e.fact.look for e in events(root) if isinstance(e.fact, Decided)]
    assert looks == [1, 2, 3], "each challenger pays for its own look"
    retrained, warm = weights_of(root, 2, tmp_path), weights_of(root, 3, tmp_path)
    assert (retrained["start"], warm["start"]) == ("", champion_digest(root, 1))
    assert retrained["rows"] == warm["rows"]
    assert_settled(root, tmp_path / "ledger", head, {"one.jsonl": 40, "two.jsonl": 40})
    # The branch goes on from the retrained state, and the champion's can be rebuilt at its tag.
    assert yaml.safe_load(git(root, "show", f"{BRANCH}:params.yaml"))["warm_start"]["adapters"] == {}
    at_tag = yaml.safe_load(git(root, "show", "code-reflector@v3.0.0:params.yaml"))
    assert at_tag["warm_start"]["adapters"] == {"code": champion_digest(root, 1)}
    assert_clone_is_up_to_date(root, tmp_path / "clone")
    drop_batch(root, "three")
    assert [one.answer for one in improve(root, lab_tools()).decisions] == ["undecided", "promote"]
    assert champion_versions(root) == [1, 3, 5]
    assert weights_of(root, 5, tmp_path)["start"] == champion_digest(root, 3)


def test_an_arm_that_cannot_be_made_does_not_stop_the_turn(root, tmp_path):
    refuse = (
        "import yaml\nif yaml.safe_load(open('params.yaml'))['warm_start']['adapters']: sys.exit('rank 4 became 8')"
    )
    (root / "behave/train").write_text(refuse)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "another rank")
    head = git(root, "rev-parse", "HEAD")
    report = improve(root, lab_tools())
    assert report.headline == "code: promote"
    assert any("no challenger was trained on" in note and "rank 4 became 8" in note for note in report.notes)
    assert champion_versions(root) == [1, 2]
    assert weights_of(root, 2, tmp_path)["start"] == ""
    assert_settled(root, tmp_path / "ledger", head, {"one.jsonl": 40, "two.jsonl": 40})
    assert_clone_is_up_to_date(root, tmp_path / "clone")
