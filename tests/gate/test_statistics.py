"""Facts about the exact paired test, its power, the bounds, and the budget of a life."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.evaluation.statistics import mcnemar
from parammem.gate.paired_test import best_p, better_p, bounds, power, sign_sums, tasks_needed
from parammem.gate.rule import alpha_of_look, spent_after


def by_hand(differences: list[int]) -> float:
    """All patterns of signs, one by one."""
    sizes = [abs(d) for d in differences]
    sums = [
        sum(s * d for s, d in zip(signs, sizes, strict=True)) for signs in itertools.product((1, -1), repeat=len(sizes))
    ]
    return sum(total >= sum(differences) for total in sums) / len(sums)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_p_is_what_counting_every_pattern_of_signs_gives(differences):
    assert better_p(differences) == pytest.approx(by_hand(differences))


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (9, 3), (40, 20), (20, 40), (70, 20)])
def test_with_one_run_per_task_it_is_half_of_the_two_sided_mcnemar_on_the_better_side(better, worse):
    p = better_p([1] * better + [-1] * worse + [0] * 50)
    if better > worse:
        assert p == pytest.approx(mcnemar(better, worse) / 2)
    else:
        assert p >= 0.5


def test_p_of_several_runs_equals_the_binomial_where_sizes_are_alike():
    ones = [1] * 30 + [-1] * 12
    assert better_p([3 * d for d in ones]) == pytest.approx(better_p(ones))


def test_small_p_is_exact_and_not_limited_by_a_number_of_draws():
    assert better_p([1] * 60) == pytest.approx(2.0**-60)
    assert better_p([2] * 40 + [1] * 40) == pytest.approx(2.0**-80, rel=1e-6)


def test_sign_sums_are_a_distribution_centred_where_it_should_be():
    chances = sign_sums([1, 2, 3], 0.7)
    assert chances.sum() == pytest.approx(1.0)
    assert float(chances @ np.arange(-6, 7)) == pytest.approx(0.4 * 6)


@pytest.mark.parametrize("runs", [1, 3])
def test_power_is_what_simulation_finds(runs):
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, runs + 1, 60)
    differences = [*sizes.tolist(), *[0] * 140]
    said = power(differences, 0.12, 0.01)
    plus = 0.5 + 0.12
    drawn = [better_p([int(s) for s in np.where(rng.random(60) < plus, sizes, -sizes)]) <= 0.01 for _ in range(1500)]
    assert np.mean(drawn) == pytest.approx(said, abs=0.04)


def test_power_does_not_depend_on_who_won():
    ours = [1] * 50 + [-1] * 10 + [0] * 100
    assert power(ours, 0.12, 0.01) == power([-d for d in ours], 0.12, 0.01)


def test_power_of_nothing_is_nothing():
    assert power([0] * 100, 0.12, 0.05) == 0.0
    assert power([], 0.12, 0.05) == 0.0


def test_power_counts_only_the_tasks_that_differ():
    ours = [1] * 50 + [-1] * 10
    assert power(ours, 0.12, 0.01) == power([*ours, *[0] * 5000], 0.12, 0.01)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("wanted", [0.2, 0.5, 0.8])
def test_as_many_tasks_as_are_called_for_give_about_the_demanded_power(wanted, runs):
    share, effect, alpha = 0.3, 0.12, 0.01
    few = [runs] * 15 + [-runs] * 15 + [0] * 70
    n = tasks_needed(few, effect, alpha, wanted)
    assert n is not None
    many = [1] * round(n * share) + [0] * (n - round(n * share))
    assert power(many, effect, alpha) == pytest.approx(wanted, abs=0.07)


def test_no_number_of_tasks_is_enough_where_nothing_differs():
    assert tasks_needed([0] * 50, 0.12, 0.01, 0.2) is None


def test_the_best_p_is_that_of_a_win_on_every_task_that_differs():
    assert best_p([1, -1, -1, 0, 0]) == pytest.approx(2.0**-3)
    assert best_p([0, 0]) == 1.0


@pytest.mark.parametrize(("n", "gain"), [(60, 0.0), (200, 0.0), (200, 0.1)])
def test_each_bound_holds_in_about_95_of_100_draws(n, gain):
    rng = np.random.default_rng(3)
    low_holds = high_holds = 0
    for _ in range(1000):
        chances = rng.random(n)
        lift = np.clip(chances + gain, 0, 1)
        differences = (rng.random(n) < lift).astype(int) - (rng.random(n) < chances)
        truth = float((lift - chances).mean())
        _, low, high = bounds([int(d) for d in differences], 1)
        low_holds += low <= truth
        high_holds += high >= truth
    assert low_holds >= 935
    assert high_holds >= 935


def test_bounds_of_few_tasks_are_wide_and_of_none_say_nothing():
    assert bounds([], 1) == (0.0, -1.0, 1.0)
    difference, low, high = bounds([0] * 10, 1)
    assert difference == 0.0
    assert low < -0.1
    assert high > 0.1


def test_bounds_with_several_runs_are_shares():
    difference, low, high = bounds([3, -3, 0, 2], 3)
    assert difference == pytest.approx(2 / 12)
    assert -1 <= low < difference < high <= 1


def test_the_budget_of_a_life_is_never_overdrawn():
    assert spent_after(100_000, 0.05) < 0.05
    assert spent_after(60, 0.05) < 0.05
    assert spent_after(0, 0.05) == 0.0
    reserve = sum(alpha_of_look(look, 0.05, reserve=True) for look in range(1, 100_001))
    assert spent_after(100_000, 0.05) + reserve < 0.05


def test_every_look_gets_something_and_less_than_the_one_before():
    alphas = [alpha_of_look(look, 0.05) for look in range(1, 400)]
    assert alphas == sorted(alphas, reverse=True)
    assert alphas[-1] > 0
    assert math.isclose(sum(alphas), spent_after(399, 0.05))
    with pytest.raises(ValueError, match="counted from 1"):
        alpha_of_look(0, 0.05)
