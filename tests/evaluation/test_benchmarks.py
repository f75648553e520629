"""A report on real tasks names benchmark, version and sample; one on pocket tasks names its world."""

from __future__ import annotations

from typing import Any

import pytest

from parammem.evaluation.benchmarks import benchmarks_table, in_words, judged, read_benchmarks, titles
from parammem.evaluation.report import build_report
from tests.evaluation.synthetic import make_inputs

SHA = "0123456789abcdef" * 4
COMMIT = "fedcba9876543210" * 2 + "fedcba98"


def read(split: str, benchmark: str, taken: int, **more: Any) -> dict[str, Any]:
    source = {"path": "", "hub": "", "config": "", "hub_split": "", "revision": "", "files": "", "where": {}, "take": 0,
              "balance": "", "split": split, "benchmark": benchmark}  # fmt: skip
    top = {key: more.pop(key) for key in ("commit", "digest") if key in more}
    return {"commit": "", "digest": "", "rows": 164, "taken": taken, "wrong": [], **top, "source": source | more}


def facts(*sources: dict[str, Any], contacts: int = 0) -> dict[str, Any]:
    touching = [{"train_id": f"t{n}"} for n in range(contacts)]
    verdict = {"passed": not contacts, "ngram": 13, "near_duplicate": 0.8, "contacts": touching}
    return {"read": list(sources), "left_out": [{"train_id": "a"}, {"train_id": "a"}], "contamination": verdict}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            read("eval", "humaneval", 20, path="HumanEval.jsonl.gz", digest=SHA, take=20),
            f"HumanEval: 20 of 164 tasks, seed 3, sha256 {SHA[:12]}",
        ),
        (
            read("eval", "humaneval", 164, hub="openai/openai_humaneval", commit=COMMIT),
            f"HumanEval: all 164 tasks, revision {COMMIT[:12]}",
        ),
        (
            read("eval", "math", 14, path="math", digest=SHA, take=14, balance="type", where={"level": "5"}),
            f"MATH: 14 of 164 tasks, seed 3, level 5, balanced over type, sha256 {SHA[:12]}",
        ),
    ],
)
def test_what_was_judged_on_is_said_in_one_line(source, words):
    found = read_benchmarks("code", facts(source, read("train", "apps", 50)), 3)
    assert [in_words(one) for one in judged([found])] == [words]


def test_every_source_is_a_row_with_its_whole_version():
    source = read(
        "eval", "hotpotqa", 20, hub="hotpotqa/hotpot_qa", config="distractor", hub_split="train", commit=COMMIT
    )
    found = read_benchmarks("qa", facts(source, read("train", "2wiki", 164, path="2wiki.jsonl", digest=SHA)), 0)
    head, rows = benchmarks_table([found])
    assert {len(row) for row in rows} == {len(head)}
    assert rows[0][:5] == ["qa", "eval", "HotpotQA", "hotpotqa/hotpot_qa distractor train", COMMIT]
    assert rows[1][3:5] == ["2wiki.jsonl", f"sha256 {SHA}"]
    assert titles([found]) == "HotpotQA"


def test_the_page_of_a_real_run_names_it_and_says_nothing_of_worlds():
    inputs = make_inputs(tasks=6, unseen=0, study=False, domains=("math",))
    runs = tuple(run.model_copy(update={"visible_passed": None}) for run in inputs.runs)
    prose = tuple(d.model_copy(update={"gold": {}, "claims": tuple(() for _ in d.texts)}) for d in inputs.draws)
    source = read("eval", "math", 6, path="test.jsonl", digest=SHA, take=6)
    real = inputs.model_copy(
        update={
            "runs": runs,
            "draws": prose,
            "open_tasks": (),
            "diversity": (),
            "benchmarks": (read_benchmarks("math", facts(source, contacts=1), 0),),
        }
    )
    report = build_report(real)
    assert f"MATH: 6 of 164 tasks, seed 0, sha256 {SHA[:12]}" in report.html
    assert "<title>ParamMem report · MATH</title>" in report.html
    assert "Tasks of Math have none" in report.html
    assert "1 training and bank tasks were left out" in report.html
    assert '<p class="warn">math:' in report.html, "what is contaminated stands out"
    assert "unseen" not in report.table
    assert f"world {inputs.world}" not in report.table
    assert "ρ" not in report.table
    pocket = build_report(inputs)
    assert f"world {inputs.world}" in pocket.html
    assert f"ρ {inputs.rho:g}" in pocket.table
