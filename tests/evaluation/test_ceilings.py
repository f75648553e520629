"""Bayes floor and ceilings against hand-made products and a simulated perfect solver."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.evaluation.ceilings import ceilings
from parammem.evaluation.runs import OpenTask


def test_ceilings_of_one_task_by_hand() -> None:
    task = OpenTask(task_id="t", values={"limit": 2, "empty": 3}, revealed=("limit",))
    found = ceilings([task], 0.9)
    assert found.spec == pytest.approx(1 / 6)
    assert found.visible == pytest.approx(1 / 3)
    assert found.regularities == pytest.approx(0.95 * (0.9 + 0.1 / 3))
    assert found.visible_regularities == pytest.approx(0.9 + 0.1 / 3)


def test_unseen_kinds_have_no_regularities_to_know() -> None:
    found = ceilings([OpenTask(task_id="t", values={"limit": 2}, seen_kind=False)], 0.9)
    assert found.regularities == found.spec == 0.5


names = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 4), min_size=1)


@settings(deadline=None)
@given(names, st.sets(st.sampled_from("abcde")), st.floats(0, 1))
def test_more_information_never_lowers_a_ceiling(values: dict[str, int], revealed: set[str], rho: float) -> None:
    found = ceilings([OpenTask(task_id="t", values=values, revealed=tuple(sorted(revealed)))], rho)
    both = found.visible_regularities + 1e-12
    assert found.spec <= min(found.visible, found.regularities) + 1e-12
    assert max(found.visible, found.regularities) <= both
    assert both <= 1 + 1e-9


def test_at_rho_nought_regularities_are_worth_nothing_and_at_one_everything() -> None:
    tasks = [OpenTask(task_id="t", values={"limit": 2, "empty": 3}, revealed=("empty",))]
    assert ceilings(tasks, 0.0).regularities == pytest.approx(ceilings(tasks, 0.0).spec)
    assert ceilings(tasks, 1.0).regularities == pytest.approx(1.0)


def test_a_simulated_perfect_solver_reaches_the_ceiling() -> None:
    rng = random.Random(5)
    task = OpenTask(task_id="t", values={"limit": 2, "empty": 3, "ties": 2}, revealed=("ties",))
    rho, solved, worlds = 0.7, 0, 20000
    for _ in range(worlds):
        drawn = (0 if rng.random() < rho else rng.randrange(k) for name, k in task.values.items() if name != "ties")
        solved += all(value == 0 for value in drawn)  # the solver always says the regular value, 0
    assert solved / worlds == pytest.approx(ceilings([task], rho).visible_regularities, abs=0.015)


@pytest.mark.parametrize(
    ("tasks", "rho", "message"),
    [
        ([], 0.5, "no tasks"),
        ([OpenTask(task_id="t", values={"limit": 2})], 1.5, "rho is 1.5"),
        ([OpenTask(task_id="odd", values={"limit": 0})], 0.5, "'odd'"),
    ],
)
def test_nonsense_is_refused(tasks: list[OpenTask], rho: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ceilings(tasks, rho)
