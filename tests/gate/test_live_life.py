"""Small lives of the live gate; benchmarks/live_gate.py plays the large ones."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live_gate import World, life, runs_until
from parammem.gate import LiveRule

RULE = LiveRule()
WORLDS = (
    World("equal"),
    World("drift", drift=0.3),
    World("half of the challenger's failures are hidden", hidden_failures=0.5),
    World("late", late=True, missing=0.2),
)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_lives_without_a_difference_see_hardly_ever_a_promotion_or_a_rollback(world):
    lives = [life(seed, world, 1500, RULE) for seed in range(25)]
    assert sum("promote" in one or "roll back" in one for one in lives) <= 3  # of 25; P(4 or more) is 4% at 5%


def test_a_gain_of_eight_points_is_found_within_2500_runs_in_the_median():
    found = [runs_until(seed, World("better"), 2500, 0.08, RULE) or 10_000 for seed in range(21)]
    assert np.median(found) <= 2500
