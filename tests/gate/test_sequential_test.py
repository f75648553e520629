"""Facts about the test that may be looked at after every run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parammem.gate.sequential_test import (
    assignment_log_e_value,
    interval,
    last_log_e_value,
    log_e_values,
    opposite,
    runs_needed,
    scores,
)


def drawn(seed: int, runs: int, gain: float = 0.0, chance: float = 0.5, base=0.5):
    rng = np.random.default_rng(seed)
    treated = rng.random(runs) < chance
    passed = (rng.random(runs) < base + gain * treated).astype(float)
    return treated, np.full(runs, chance), passed, np.zeros(runs, dtype=np.int64)


def reaches(seed: int, alpha: float, **how) -> bool:
    return bool(log_e_values(scores(*drawn(seed, **how))).max() >= math.log(1 / alpha))


@pytest.mark.parametrize("base", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_equal_arms_reach_the_threshold_at_some_time_no_more_often_than_alpha(base, chance):
    found = sum(reaches(seed, 0.05, runs=1500, chance=chance, base=base) for seed in range(200))
    assert found <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05 * 0.95)


def test_equal_arms_stay_below_it_when_the_share_that_passes_drifts():
    base = 0.5 + 0.45 * np.sin(np.arange(1500) / 100)
    assert sum(reaches(seed, 0.05, runs=1500, base=base) for seed in range(200)) <= 19


def test_a_mean_effect_that_turns_from_good_to_bad_counts_as_it_was_so_far():
    effect = np.where(np.arange(3000) < 1500, 0.2, -0.2)
    treated, chance, _, group = drawn(5, 3000)
    passed = (np.random.default_rng(6).random(3000) < 0.5 + effect * treated).astype(float)
    logs = log_e_values(scores(treated, chance, passed, group))
    assert logs[:1500].max() > math.log(100)
    assert logs[-1] < math.log(20)


def test_a_better_arm_is_found_and_a_worse_one_by_the_opposite_test():
    better = scores(*drawn(1, 4000, gain=0.1))
    worse = scores(*drawn(1, 4000, gain=-0.1))
    assert log_e_values(better)[-1] > math.log(100)
    assert log_e_values(opposite(better))[-1] < 0
    assert log_e_values(opposite(worse))[-1] > math.log(100)
    assert log_e_values(opposite(worse), 0.2)[-1] < 0


def test_the_last_value_is_the_end_of_the_path():
    given = scores(*drawn(2, 800, gain=0.05))
    for null in (-0.05, 0.0, 0.2):
        assert last_log_e_value(given, null) == pytest.approx(log_e_values(given, null)[-1])


def test_a_run_without_an_outcome_plays_no_part():
    treated, chance, passed, group = drawn(3, 600, gain=0.1)
    gone = np.random.default_rng(4).random(600) < 0.4
    with_gaps = scores(treated, chance, np.where(gone, np.nan, passed), group)
    without = scores(treated[~gone], chance[~gone], passed[~gone], group[~gone])
    assert with_gaps.score[~gone] == pytest.approx(without.score)
    assert log_e_values(with_gaps)[-1] == pytest.approx(log_e_values(without)[-1])


def test_what_a_run_scores_does_not_depend_on_later_runs():
    treated, chance, passed, group = drawn(3, 400)
    group = np.arange(400) % 3
    before = scores(treated, chance, passed, group)
    changed = scores(treated, chance, np.where(np.arange(400) < 200, passed, 1 - passed), group)
    assert before.score[:200] == pytest.approx(changed.score[:200])
    assert before.score[200:] != pytest.approx(changed.score[200:])


def test_guesses_by_group_of_tasks_find_a_gain_with_fewer_runs():
    rng = np.random.default_rng(0)
    group, treated = rng.integers(0, 2, 3000), rng.random(3000) < 0.5
    passed = (rng.random(3000) < np.array([0.05, 0.85])[group] + 0.08 * treated).astype(float)
    chance = np.full(3000, 0.5)
    with_groups = log_e_values(scores(treated, chance, passed, group))[-1]
    assert with_groups > log_e_values(scores(treated, chance, passed, np.zeros(3000, dtype=np.int64)))[-1]


def test_the_interval_holds_the_true_difference_at_every_look_in_95_of_100_histories():
    outside = 0
    for seed in range(60):
        treated, chance, passed, group = drawn(seed, 1000, gain=0.1, chance=0.3)
        looks = range(50, 1001, 50)
        bounds = [interval(scores(treated[:n], chance[:n], passed[:n], group[:n])) for n in looks]
        outside += any(not low <= 0.1 <= high for low, high in bounds)
    assert outside <= 60 * 0.05 + 3 * math.sqrt(60 * 0.05 * 0.95)


def test_differences_and_intervals_stay_within_one_for_arms_as_unlike_as_can_be():
    for runs in (1, 2, 5, 40, 400):
        treated, chance, _, group = drawn(0, runs)
        for outcome in (treated.astype(float), (~treated).astype(float)):
            given = scores(treated, chance, outcome, group)
            low, high = interval(given)
            assert -1 <= low <= given.estimate <= high <= 1


def test_the_interval_narrows_and_is_all_there_is_without_runs():
    assert interval(scores(*drawn(0, 0))) == (-1.0, 1.0)
    widths = [high - low for low, high in (interval(scores(*drawn(0, n, gain=0.1))) for n in (30, 300, 3000))]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.15


def test_an_arm_that_gets_more_of_one_group_of_tasks_is_found_out():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, 2000)
    chance = np.full(2000, 0.5)
    even = rng.random(2000) < 0.5
    uneven = rng.random(2000) < np.array([0.65, 0.45, 0.45, 0.45])[group]
    assert assignment_log_e_value(even, chance, group) < math.log(20)
    assert assignment_log_e_value(uneven, chance, group) > math.log(100)
    assert assignment_log_e_value(rng.random(2000) < 0.4, chance, np.zeros(2000, dtype=np.int64)) > math.log(100)


def test_the_number_of_runs_that_a_gain_needs_is_about_what_it_takes():
    alpha, needed = 0.01, runs_needed(0.1, 0.01, 0.25, 0.25)
    took = []
    for seed in range(40):
        logs = log_e_values(scores(*drawn(seed, 4 * needed, gain=0.1)))
        places = np.flatnonzero(logs >= math.log(1 / alpha))
        took.append(places[0] if len(places) else 4 * needed)
    assert needed / 2 < np.median(took) < needed * 2
