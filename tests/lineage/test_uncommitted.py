"""Facts about a person's own `dvc repro` that is not committed yet: it is told, and no link is broken by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from parammem import cli
from parammem.lineage.checks.verify import verify
from tests.lineage.life import Life


@pytest.fixture
def here(original, tmp_path) -> Life:
    """The repository with three generations, to go on with."""
    root = tmp_path / "repo"
    shutil.copytree(original.root, root)
    life = object.__new__(Life)
    life.root, life.truth, life.ledger = root, original.truth, type(original.ledger)(root)
    return life


def told(root: Path) -> dict[str, str]:
    """Path → what is said of it where it is not committed, or behind."""
    return {one.path: one.detail for one in verify(root).findings if one.holds is None}


def edit_rate(root: Path, rate: str) -> None:
    (root / "params.yaml").write_text(f"train:\n  learning_rate: {rate}\n")


def edit_lock(root: Path, stage: str, part: str, **changes: str) -> None:
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    found = lock["stages"][stage]
    found[part] = changes["cmd"] if part == "cmd" else [{**found[part][0], **changes}, *found[part][1:]]
    (root / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))


def test_a_repro_that_is_not_committed_breaks_nothing_and_is_named(here, monkeypatch):
    edit_rate(here.root, "0.25")
    here.run_pipeline()
    said = verify(here.root)
    assert said.broken == ()
    assert told(here.root)["dvc.lock"].startswith("not committed yet: train@code, evaluate@code ran since")
    monkeypatch.chdir(here.root)
    result = CliRunner().invoke(cli.app, ["audit", "verify"])
    assert result.exit_code == 0
    assert "not committed yet" in result.output
    here.git("add", "-A")
    here.git("commit", "-q", "-m", "by hand")
    assert verify(here.root).broken == ()
    assert "dvc.lock" not in told(here.root)


def test_reports_that_git_tracks_are_named_with_the_stage_that_made_them(here):
    here.ingest(4, 7)
    here.run_pipeline()
    assert verify(here.root).broken == ()
    assert told(here.root)["reports/validation/code.json"].startswith("not committed yet: validate@code made it anew")


@pytest.mark.parametrize("stages", [("collect",), ("collect", "validate"), ("collect", "validate", "train")])
def test_a_repro_of_some_stages_leaves_the_others_behind_and_breaks_nothing(here, stages):
    here.ingest(4, 7)
    here.run_pipeline(*stages)
    assert verify(here.root).broken == ()
    assert "`dvc repro` will run" in " ".join(told(here.root).values())
    here.run_pipeline()
    assert verify(here.root).broken == ()


def test_sources_and_params_that_are_edited_after_the_repro_break_nothing(here):
    edit_rate(here.root, "0.25")
    with (here.root / "pipe.py").open("a") as file:
        file.write("# edited\n")
    here.run_pipeline()
    edit_rate(here.root, "0.125")
    with (here.root / "pipe.py").open("a") as file:
        file.write("# and again\n")
    assert verify(here.root).broken == ()


@pytest.mark.parametrize(
    ("stage", "part", "changes"),
    [
        ("train@code", "outs", {"md5": "0" * 32 + ".dir"}),
        ("train@code", "deps", {"md5": "0" * 32}),
        ("collect@code", "deps", {"md5": "0" * 32 + ".dir"}),
        ("evaluate@code", "deps", {"path": "models/reflectors/other"}),
        ("report", "outs", {"md5": "0" * 32}),
        ("report", "cmd", {"cmd": "python other.py"}),
    ],
)
def test_a_lock_that_the_tree_does_not_bear_out_is_broken(here, stage, part, changes):
    edit_lock(here.root, stage, part, **changes)
    assert "dvc.lock" in {one.path for one in verify(here.root).broken}


def test_params_that_nobody_set_and_a_stage_that_is_gone_are_broken(here):
    lock = yaml.safe_load((here.root / "dvc.lock").read_text())
    lock["stages"]["train@code"]["params"]["params.yaml"]["train"]["learning_rate"] = 0.75
    (here.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert "dvc.lock" in {one.path for one in verify(here.root).broken}
    here.git("checkout", "-q", "--", "dvc.lock")
    del lock["stages"]["train@code"]
    (here.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert any("train@code is gone" in one.detail for one in verify(here.root).broken)


def test_a_report_that_no_stage_wrote_is_broken_beside_a_repro_that_is_not_committed(here):
    edit_rate(here.root, "0.25")
    here.run_pipeline()
    path = here.root / "reports/metrics.json"
    path.write_text(path.read_text().replace("0.", "0.9", 1))
    assert "reports/metrics.json" in {one.path for one in verify(here.root).broken}
