"""Facts about the gate over a life, simulated with its own code (benchmarks/gate_power.py)."""

from __future__ import annotations

import pytest

from benchmarks.gate_power import night, share, simulate, two_challengers
from parammem.gate import Rule, decide


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_at_most_5_of_100_histories_without_a_difference_ever_promote():
    lives = simulate(histories=200, nights=60, tasks=600, gain=0.0, rule=Rule())
    assert share([life.gate for life in lives], 60) <= 0.05
    # The rules that the gate stands in place of fail on the very same nights.
    assert share([life.higher_wins for life in lives], 60) > 0.99
    assert share([life.nightly_05 for life in lives], 60) > 0.5
    # It is no gate that never looks: nearly every night was paid for.
    assert sum(life.looks for life in lives) > 0.9 * 200 * 60


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_two_challengers_a_night_do_not_wear_out_the_budget():
    nights = [two_challengers(seed, nights=60, tasks=600, rule=Rule()) for seed in range(200)]
    assert share(nights, 60) <= 0.05


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_80_of_100_histories_with_a_true_gain_of_8_points_promote_within_10_nights():
    lives = simulate(histories=200, nights=10, tasks=600, gain=0.08, rule=Rule())
    assert share([life.gate for life in lives], 10) >= 0.8


def test_the_simulation_has_the_gain_that_it_claims():
    import numpy as np

    rng = np.random.default_rng(0)
    gains = []
    for _ in range(30):
        decision = decide(night(rng, 2000, 0.08), Rule(), 0)
        assert decision.test is not None
        gains.append(decision.test.difference)
    assert np.mean(gains) == pytest.approx(0.08, abs=0.006)
