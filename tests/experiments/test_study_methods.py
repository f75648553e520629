"""Facts about the paper's statistic over the study's worlds: what is kept of a world, and what is computed of many."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from experiments import study, study_methods
from parammem.config import parse_params
from parammem.evaluation.methods import MethodTask, over_methods
from tests.stages.arena import ROOT, small_params

PLAN = {"worlds": [7, 8], "rhos": [0.0, 0.5], "processes": 1, "params": {"tasks": {"train": 12}}}
ARMS = ["reflexion", "dot", "retrieved", "paramagent"]


def drawn_rows(world: int, domain: str = "code", count: int = 40) -> list[MethodTask]:
    """Rows of four methods that differ in diversity and in how much they solve, drawn by a seed."""
    chance = np.random.default_rng(world)
    found = []
    for number, arm in enumerate(ARMS):
        for task in range(count):
            unlike = float(chance.uniform(0, 0.2) + 0.1 * number)
            two = chance.random() < 0.5
            found.append(
                MethodTask(
                    domain=domain,
                    arm=arm,
                    task_id=f"{world}-{task}",
                    passed=bool(chance.random() < 0.2 + 0.2 * number),
                    distance=unlike if two else None,
                    distinct=0.5 if two else None,
                )
            )
    return found


def cell(world: int, domain: str = "code") -> dict:
    methods = study_methods.method_values(drawn_rows(world, domain))
    return {"world": world, "rho": 0.5, "domain": domain, "methods": methods}


def found_for(found, measure="distance", parametric=True) -> dict:
    (one,) = [f for f in found if (f["measure"], f["parametric"]) == (measure, parametric)]
    return one


def test_of_a_method_its_tasks_and_the_sum_of_each_measure_are_kept():
    rows = drawn_rows(1)
    kept = study_methods.method_values(rows)
    mine = [row for row in rows if row.arm == "dot"]
    two = [row.distance for row in mine if row.distance is not None]
    assert list(kept) == ARMS
    assert kept["dot"]["tasks"] == 40
    assert kept["dot"]["passed"] == sum(row.passed for row in mine)
    assert kept["dot"]["distance"]["tasks"] == len(two)
    assert kept["dot"]["distance"]["sum"] == pytest.approx(sum(two), abs=1e-4)


def test_over_worlds_together_it_is_the_statistic_of_the_report():
    found = study_methods.correlations([cell(world) for world in (1, 2, 3)])
    rows = [row for world in (1, 2, 3) for row in drawn_rows(world)]
    for theirs in over_methods(rows, draws=10):
        ours = found_for(found, theirs.measure, theirs.parametric)
        assert tuple(ours["methods"]) == tuple(a for a in ARMS if theirs.parametric or a != "paramagent")
        if theirs.pearson is None:
            assert ours["pearson"] is None, "every method is as distinct as the others"
        else:
            assert ours["pearson"] == pytest.approx(theirs.pearson, abs=1e-4)


def test_the_interval_is_over_worlds():
    same = found_for(study_methods.correlations([cell(1)] * 5))
    assert same["low"] == same["high"] == same["pearson"] == same["mean_of_worlds"]
    other = found_for(study_methods.correlations([cell(world) for world in range(1, 6)]))
    assert other["low"] < other["high"]
    assert other["worlds"] == 5


def test_without_two_reflections_of_a_task_in_three_methods_there_is_no_correlation():
    rows = [
        row if row.arm in ARMS[:2] else row.model_copy(update={"distance": None, "distinct": None})
        for row in drawn_rows(1)
    ]
    one = {"world": 1, "rho": 0.5, "domain": "code", "methods": study_methods.method_values(rows)}
    for found in study_methods.correlations([one, one]):
        assert found["pearson"] is None
        assert found["low"] is None
        assert found["worlds"] == 0
    assert "–" in study_methods.table(study_methods.correlations([one]))


@pytest.fixture
def project(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(small_params()))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(PLAN))
    (tmp_path / study_methods.KEPT).mkdir(parents=True)
    return tmp_path


def test_only_worlds_that_are_finished_in_every_domain_are_summarised(project):
    for world, domains in ((7, ["code", "math", "qa"]), (8, ["code"])):
        for domain in domains:
            file = project / study_methods.KEPT / f"{world}-0.5-{domain}.json"
            file.write_text(json.dumps(cell(world, domain)))
    found = study_methods.finished(project / "study.yaml", project)
    assert {one["domain"] for one in found} == {"code", "math", "qa"}
    kept = json.loads((project / f"{study_methods.KEPT}.json").read_text())
    assert [one["world"] for one in kept["cells"]] == [7, 7, 7]
    assert kept["correlations"] == found


def test_a_finished_cell_is_not_run_again(project, monkeypatch):
    (project / study_methods.KEPT / "7-0.5-math.json").write_text('{"world": 7}')
    monkeypatch.setattr(study_methods, "STAGES", ())
    job = next(job for job in study_methods._jobs(project / "study.yaml", project)[1] if job[1] == "math")
    assert study_methods.run_cell(job) == {"world": 7}


def test_the_committed_plan_runs_the_studys_worlds_with_the_methods_that_reflect():
    _, jobs = study_methods._jobs(ROOT / "study.yaml", ROOT)
    plan = yaml.safe_load((ROOT / "study.yaml").read_text())
    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert len(jobs) == len(plan["worlds"]) * len(base["domains"])
    for raw, domain, _ in jobs:
        params = parse_params(raw)
        whole = parse_params(study.cell_params(base, plan, params.tasks.world, params.tasks.rho, domain))
        assert params.tasks == whole.tasks
        assert params.tasks.rho == max(plan["rhos"])
        assert set(params.evaluate.methods) <= set(whole.evaluate.methods)
        assert params.evaluate.seed == whole.evaluate.seed
