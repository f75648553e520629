"""Real benchmark rows, where they are at hand: golds score 1, spoilt answers 0, and the official rules agree.

`python -m benchmarks.graders DATA` does the same with every row of every file, and lists what is left over.
"""

from __future__ import annotations

import pytest

from benchmarks import graders
from tests.benchmarks.rows import real_data

pytestmark = pytest.mark.integration
PART = {"humaneval": 164, "apps": 0, "mbpp": 150, "math": 150, "gsm8k": 150}
"""Rows of a file that are tried here; 0 and files not named: all."""
LEFT_OUT = {"mbpp/367", "mbpp/533", "mbpp/601", "mbpp/927", "MbppEval/56"}
"""docs/benchmarks.md says why."""


@pytest.mark.parametrize(("name", "file"), graders.FILES, ids=[file for _, file in graders.FILES])
def test_golds_of_real_rows_score_1_and_spoilt_ones_0(name, file):
    found = graders.golds(real_data(), name, file, PART.get(name, 0))
    assert found.gold_failed == []
    assert found.perturbed_passed == []
    assert found.visible_failed == []
    assert found.gold_passed + len(found.left_out) == found.rows
    assert all(any(known in line for known in LEFT_OUT) for line in found.left_out)


def test_most_of_humaneval_states_visible_checks_in_its_docstrings():
    found = graders.golds(real_data(), "humaneval", "humaneval/HumanEval.jsonl.gz")
    assert found.visible_checks == 148


def test_the_qa_grader_agrees_with_the_official_rule_on_every_dev_question():
    found = graders.hotpot_agreement(real_data())
    assert found.pairs >= 5000
    assert found.not_identical >= 0.3 * found.pairs
    assert found.wrong >= 0.3 * found.pairs
    assert found.disagreements == []


def test_the_math_grader_is_never_stricter_than_the_official_rule():
    """math-verify compares values, so it takes 4.00 for 4, which the official rule does not."""
    found = graders.math_agreement(real_data(), 600)
    assert found.not_identical >= 0.3 * found.pairs
    assert found.wrong >= 0.3 * found.pairs
    assert all(odd["ours"] and not odd["official"] for odd in found.disagreements)
    values = [odd for odd in found.disagreements if odd["answer"].strip().removesuffix(".00") == odd["gold"]]
    assert len(values) == len(found.disagreements)


def test_real_answers_written_otherwise_are_judged_rightly():
    found = graders.math_writings(real_data(), 1500)
    assert {report.right for report in found} == {True, False}
    assert len(found) >= 25
    assert {report.kind: report.missed for report in found if report.missed} == {}
