"""Variants run on the default run's rows, in folders of their own, once."""

from __future__ import annotations

import json

import pytest
import yaml

from experiments import variants
from parammem.evaluation.runs import Point
from tests.stages.arena import clone, knowing_everywhere, snapshot, write_params


@pytest.mark.integration
def test_variants_are_run_once_on_the_rows_that_are_there_and_touch_no_out(trained, tmp_path, monkeypatch):
    project = clone(trained, tmp_path / "project")
    params = write_params(project, train={"controls": []})
    raw = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    (project / "params.yaml").write_text(yaml.safe_dump(raw | {"domains": ["math"]}), encoding="utf-8")
    plan = {
        "shared": {"evaluate": {"methods": ["base", "paramagent"], "curve_tasks": 0, "temperatures": [1.0]}},
        "variants": {
            "sample-efficiency": [{"x": 4, "train": {"select": 4}}],
            "labels": [{"x": 2, "setting": "task-only", "collect": {"label": "task-only"}}],
            "weak-to-strong": [{"x": 9, "engine": {"model": "models/absent"}}],
        },
    }
    (project / "variants.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    monkeypatch.chdir(project)
    knowing_everywhere(monkeypatch, params, "math")
    before = snapshot(project, "data", "models")
    found = variants.run(root=project)
    assert {(p.experiment, p.x, p.domain) for p in found} == {
        ("sample-efficiency", 4.0, "math"),
        ("labels", 2.0, "math"),
    }
    assert {p.setting for p in found if p.experiment == "labels"} == {"task-only"}
    assert {p.arm for p in found} >= {"base", "paramagent"}
    assert all(p.tasks == params.tasks.eval for p in found)
    assert snapshot(project, "data", "models") == before
    written = json.loads((project / "reports/variants.json").read_text(encoding="utf-8"))
    assert [Point.model_validate(one) for one in written] == found
    monkeypatch.setattr(variants.train, "run", lambda *_: pytest.fail("a finished variant is not trained again"))
    assert variants.run(root=project) == found
