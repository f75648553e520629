"""Facts about the study: its plan lies over params, what is finished is not run again, and a cell is the pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from experiments import study
from parammem.config import parse_params
from parammem.errors import ConfigError
from tests.stages.arena import ROOT, knowing_everywhere, make_model, parsed, small_params

PLAN = {"worlds": [7], "rhos": [0.5], "processes": 1, "params": {"tasks": {"train": 12}, "engine": {"batch": 4}}}


def test_a_cell_lays_the_plan_and_its_world_over_params_and_leaves_both_as_they_were():
    base, plan = small_params(), json.loads(json.dumps(PLAN))
    kept = json.dumps(base)
    cell = study.cell_params(base, plan, 9, 0.25, "qa")
    assert cell["domains"] == ["qa"]
    assert (cell["tasks"]["world"], cell["tasks"]["rho"]) == (9, 0.25)
    assert (cell["tasks"]["train"], cell["engine"]["batch"]) == (12, 4)
    assert cell["tasks"]["eval"] == base["tasks"]["eval"]
    assert json.dumps(base) == kept
    assert plan == PLAN


def test_the_committed_plan_gives_valid_params_with_seeds_of_params_yaml():
    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    plan = yaml.safe_load((ROOT / "study.yaml").read_text())
    for world in plan["worlds"]:
        params = parse_params(study.cell_params(base, plan, world, 0.9, "code"))
        assert params.tasks.world == world > 9, "worlds up to 9 were looked at while this was developed"
        assert (params.collect.seed, params.train.seed, params.evaluate.seed) == tuple(
            base[stage]["seed"] for stage in ("collect", "train", "evaluate")
        )


def test_a_plan_that_does_not_fit_ends_before_the_first_cell(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(small_params()))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**PLAN, "params": {"tasks": {"trian": 3}}}))
    monkeypatch.setattr(study, "run_cell", lambda job: pytest.fail("a cell was begun"))
    with pytest.raises(ConfigError, match=r"tasks\.trian: unknown key; did you mean 'train'"):
        study.run(tmp_path / "study.yaml", tmp_path)
    assert not (tmp_path / ".cache").exists()


def test_a_finished_cell_is_not_run_again(tmp_path, monkeypatch):
    result = study.cell_file(tmp_path, 7, 0.5, "math")
    result.parent.mkdir(parents=True)
    result.write_text('{"world": 7}')
    monkeypatch.setattr(study, "STAGES", ())
    monkeypatch.setattr(study, "summarise", lambda *_: pytest.fail("it was summarised again"))
    assert study.run_cell(((7, 0.5, "math"), {}, tmp_path, tmp_path)) == {"world": 7}


def test_a_cell_that_failed_is_not_taken_for_finished(tmp_path, monkeypatch):
    class Broken:
        @staticmethod
        def run(params, domain):
            raise RuntimeError("no more")

    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "STAGES", (Broken,))
    job = ((7, 0.5, "math"), small_params(), tmp_path / "study", tmp_path)
    with pytest.raises(RuntimeError, match="no more"):
        study.run_cell(job)
    assert not study.cell_file(tmp_path, 7, 0.5, "math").exists()


@pytest.mark.integration
def test_a_cell_is_the_whole_pipeline_in_a_folder_of_its_own(tmp_path, monkeypatch):
    root, folder = tmp_path / "root", tmp_path / "study"
    make_model(root)
    monkeypatch.chdir(tmp_path)  # and back again at the end: a cell changes folder
    raw = study.cell_params(small_params(), PLAN, 7, 0.5, "math")
    knowing_everywhere(monkeypatch, parsed(tasks={"world": 7, "rho": 0.5, "train": 12}), "math")
    entry = study.run_cell(((7, 0.5, "math"), raw, folder.resolve(), root.resolve()))
    assert (entry["world"], entry["rho"], entry["domain"]) == (7, 0.5, "math")
    arms = set(entry["arms"])
    assert {"base", "resample", "paramagent", "paramagent.untrained", "paramagent.shuffled"} <= arms
    for arm, digits in entry["vectors"].items():
        assert entry["arms"][arm] == {"passed": digits.count("1"), "tasks": len(digits)}
        assert len(digits) == raw["tasks"]["eval"]
    assert set(entry["unseen"]["arms"]) == arms
    assert entry["advice_accuracy"]["trained"] == 1.0, "the engine of this test always knows"
    assert entry["rows"] > 0
    assert json.loads(study.cell_file(root, 7, 0.5, "math").read_text()) == entry
    assert Path(folder / "7-0.5/models/tiny/config.json").is_file()
    assert not (root / "data").exists()
