"""The paper's other experiments in small: tables and curves from points."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from experiments.variants import PLAN, _jobs, points_of
from parammem.config import parse_params
from parammem.core import write_jsonl
from parammem.evaluation.report import build_report
from parammem.evaluation.runs import AdviceDraws, Point
from parammem.evaluation.variants import label_findings, variant_curves, variant_tables
from tests.evaluation.synthetic import make_run
from tests.evaluation.test_protocols import inputs_of

ROOT = Path(__file__).resolve().parents[2]


def point(experiment: str, x: float, arm: str, passed: int, domain: str = "code") -> Point:
    return Point(experiment=experiment, domain=domain, x=x, arm=arm, passed=passed, tasks=40, advice_accuracy=0.5)


POINTS = [
    point("self-teaching", 3, "paramagent", 30),
    point("self-teaching", 1, "paramagent", 20),
    *(
        point("sample-efficiency", x, arm, 10 + x // 50, domain)
        for x in (50, 400)
        for arm in ("base", "paramagent")
        for domain in ("code", "math")
    ),
]


def test_tables_are_in_the_order_of_domain_x_and_arm():
    (first, (_, rows)), (second, (_, taught)) = variant_tables(POINTS)
    assert first.startswith("sample-efficiency (x: rows")
    assert second.startswith("self-teaching (x: round")
    assert [(row[0], row[1], row[2]) for row in rows[:3]] == [
        ("Code", "50", "Base, one attempt"), ("Code", "50", "ParamAgent"), ("Code", "400", "Base, one attempt"),
    ]  # fmt: skip
    assert [(row[1], row[3], row[-1]) for row in taught] == [("1", "50.0%", "strict"), ("3", "75.0%", "strict")]


def test_the_picture_and_the_page_are_there_only_with_points():
    picture = variant_curves(POINTS)
    assert picture.startswith("<svg")
    assert picture == variant_curves(list(reversed(POINTS))), "the order of the points does not matter"
    assert variant_curves([]) == ""
    with_points = build_report(inputs_of().model_copy(update={"variants": tuple(POINTS)}))
    assert "fewer rows, more rounds" in with_points.html
    assert "fewer rows, more rounds" not in build_report(inputs_of()).html


def test_rounds_become_points_of_one_arm(tmp_path):
    arms = ("base", "paramagent", "paramagent.untrained", "paramagent.round-1", "paramagent.round-2")
    write_jsonl(
        tmp_path / "runs.jsonl", [make_run(n % 2 == 0, arm=arm, task_id=f"t{n}") for arm in arms for n in range(4)]
    )
    shared = {"domain": "code", "temperature": 1.0, "task_id": "t0", "texts": ("a",), "gold": {"k": "v"}}
    said = {"trained": "k=v", "untrained": "k=w", "round-1": "k=w", "round-2": "k=v"}
    draws = [AdviceDraws(reflector=name, claims=((claim,),), **shared) for name, claim in said.items()]
    write_jsonl(tmp_path / "draws.jsonl", draws)
    found = points_of("self-teaching", "code", 3.0, tmp_path)
    assert [(p.won, p.lost) for p in found] == [(None, None), (0, 0), (None, None), (0, 0), (0, 0)]
    assert [(p.arm, p.x, p.passed, p.advice_accuracy) for p in found] == [
        ("base", 3, 2, None),
        ("paramagent", 3, 2, 1.0),
        ("paramagent.untrained", 3, 2, 0.0),
        ("paramagent", 1, 2, 0.0),
        ("paramagent", 2, 2, 1.0),
    ]


def test_every_variant_of_the_plan_fits_params():
    plan = yaml.safe_load((ROOT / PLAN).read_text(encoding="utf-8"))
    base = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    jobs = list(_jobs(plan, base))
    assert {experiment for experiment, *_ in jobs} == {"labels", "sample-efficiency", "self-teaching", "weak-to-strong"}
    assert len({(experiment, domain, x) for experiment, domain, x, *_ in jobs}) == len(jobs)
    untouched = parse_params(base)
    assert all(params.tasks == untouched.tasks for *_, params in jobs), "the rows are the default run's"
    assert json.dumps(base) == json.dumps(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))


def labelled(setting: str, x: float, won: int, lost: int, domain: str = "code") -> Point:
    made = point("labels", x, "paramagent", 30, domain)
    return made.model_copy(update={"setting": setting, "won": won, "lost": lost})


def test_labels_help_only_where_the_paired_test_over_all_domains_says_so():
    points = [
        labelled("task-only", 2, 6, 5),
        labelled("task-only", 2, 4, 5, "math"),
        labelled("experience", 1, 12, 1),
        labelled("experience", 1, 9, 0, "math"),
        labelled("harmful", 3, 0, 9),
        point("labels", 2, "reflexion", 40),
    ]
    good, nothing, bad = label_findings(points)
    assert good.startswith("experience: helps more than the untrained reflector. ParamAgent solves 60 of 80 tasks")
    assert "with the untrained reflector 40; 21 were solved only with the trained one, 1 only" in good
    assert nothing.startswith("task-only: helps no more than the untrained reflector, as far as these tasks can tell.")
    assert "(p = 1, McNemar)" in nothing
    assert bad.startswith("harmful: helps less than")
    assert label_findings(POINTS) == []


def test_the_page_says_which_labels_help():
    inputs = inputs_of().model_copy(update={"variants": (labelled("task-only", 2, 1, 1),)})
    html = build_report(inputs).html
    assert "task-only: helps no more than the untrained reflector, as far as these tasks can tell." in html
