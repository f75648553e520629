"""Facts about the gate over a life, simulated with its own code (benchmarks/gate_power.py)."""

from __future__ import annotations

import pytest

from benchmarks.gate_power import KINDS, night, share, simulate, two_challengers
from parammem.gate import Rule, decide

MANY = KINDS["600 tasks"]


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["600 tasks", "200 tasks, fresh slice of 60 at its ceiling", "60 tasks", "20 tasks"])
def test_at_most_5_of_100_histories_without_a_difference_ever_promote(kind):
    lives = simulate(histories=200, nights=60, kind=KINDS[kind], gain=0.0, rule=Rule())
    assert share([life.gate for life in lives], 60) <= 0.05
    # The rules that the gate stands in place of fail on the very same nights.
    assert share([life.higher_wins for life in lives], 60) > 0.99
    assert share([life.nightly_05 for life in lives], 60) > 0.3


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_nearly_every_night_with_many_tasks_is_a_regular_look():
    lives = simulate(histories=20, nights=60, kind=MANY, gain=0.0, rule=Rule())
    assert sum(life.looks.regular for life in lives) > 0.9 * 20 * 60


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["600 tasks", "600 tasks and 600 ties", "60 tasks"])
def test_two_challengers_a_night_do_not_exceed_the_budget(kind):
    nights = [two_challengers(seed, nights=60, kind=KINDS[kind], rule=Rule()) for seed in range(200)]
    assert share(nights, 60) <= 0.05


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_80_of_100_histories_with_a_true_gain_of_8_points_promote_within_10_nights():
    lives = simulate(histories=200, nights=10, kind=MANY, gain=0.08, rule=Rule())
    assert share([life.gate for life in lives], 10) >= 0.8


def test_ties_beside_the_tasks_change_no_history():
    for plain, tied in (("600 tasks", "600 tasks and 600 ties"), ("60 tasks", "60 tasks and 600 ties")):
        ours = simulate(histories=3, nights=4, kind=KINDS[plain], gain=0.15, rule=Rule())
        theirs = simulate(histories=3, nights=4, kind=KINDS[tied], gain=0.15, rule=Rule())
        assert [life.looks for life in ours] == [life.looks for life in theirs]


def test_the_simulation_has_the_gain_that_it_claims():
    import numpy as np

    rng = np.random.default_rng(0)
    gains = []
    for _ in range(30):
        decision = decide(night(rng, MANY._replace(tasks=2000), 0.08), Rule(), 0)
        assert decision.test is not None
        gains.append(decision.test.difference)
    assert np.mean(gains) == pytest.approx(0.08, abs=0.006)
