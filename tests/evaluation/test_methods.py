"""The paper's correlation, over methods: diversity of a method's reflections against its score."""

from __future__ import annotations

import numpy as np
import pytest

from parammem.evaluation.methods import MethodTask, method_tasks, over_methods
from parammem.evaluation.runs import Run


def run(arm: str, task: int, passed: bool, *texts: str) -> Run:
    return Run(
        domain="code", arm=arm, task_id=f"t{task}", passed=passed, visible_passed=None, solved_at=None,
        iterations=len(texts), advice=tuple((text,) if text else () for text in texts), advice_texts=texts,
        stop="iterations",
    )  # fmt: skip


def angles(texts):
    """Texts are degrees on a circle."""
    turned = np.radians([float(text) for text in texts])
    return np.stack([np.cos(turned), np.sin(turned)], axis=1)


def test_distance_and_distinct_claims_are_of_one_task_s_reflections():
    same, right_angle, base = method_tasks(
        [run("dot", 1, True, "", "0", "0"), run("reflexion", 1, False, "", "0", "90"), run("base", 1, True, "")], angles
    )
    assert (same.distance, same.distinct) == (pytest.approx(0), 0.5)
    assert (right_angle.distance, right_angle.distinct) == (pytest.approx(1), 1.0)
    assert (base.distance, base.distinct) == (None, None), "no reflections, no diversity"


def test_controls_and_unseen_kinds_are_left_out():
    unseen = run("dot", 2, True, "0", "90").model_copy(update={"slice": "unseen"})
    assert method_tasks([run("paramagent.shuffled", 1, True, "0", "90"), unseen], angles) == []


def row(arm: str, task: int, passed: bool, distance: float | None) -> MethodTask:
    return MethodTask(domain="code", arm=arm, task_id=f"t{task}", passed=passed, distance=distance, distinct=None)


def test_the_coefficient_is_that_of_means_over_methods():
    """Scores are over all tasks, diversity over those that have one."""
    scores = {"reflexion": (0.1, 20), "dot": (0.2, 25), "dot_bank": (0.4, 50), "paramagent": (0.3, 90)}
    rows = [
        row(arm, task, task < solved, distance if task % 2 else None)
        for arm, (distance, solved) in scores.items()
        for task in range(100)
    ]
    found = {(one.measure, one.parametric): one for one in over_methods(rows, draws=300)}
    every, without = found["distance", True], found["distance", False]
    assert every.pearson == pytest.approx(np.corrcoef([0.1, 0.2, 0.4, 0.3], [20, 25, 50, 90])[0, 1])
    assert without.pearson == pytest.approx(np.corrcoef([0.1, 0.2, 0.4], [20, 25, 50])[0, 1])
    assert without.methods == ("reflexion", "dot", "dot_bank")
    assert (every.low or 1) <= (every.pearson or 0) <= (every.high or -1)
    assert found["distinct", True].pearson is None


def test_two_methods_or_a_constant_side_have_no_coefficient():
    two = [row(arm, task, task > at, 0.1 * at) for at, arm in enumerate(("dot", "reflexion")) for task in range(5)]
    assert all(one.pearson is None for one in over_methods(two, draws=20))
    alike = [row(arm, task, bool(task % 2), n / 10) for n, arm in enumerate("abc") for task in range(6)]
    assert all(one.pearson is None for one in over_methods(alike, draws=20))
