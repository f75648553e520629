"""Intervals and tests against scipy, closed forms and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.evaluation.statistics import (
    cluster_bootstrap,
    compare,
    holm,
    mcnemar,
    rate,
    sign_flip,
    wilson,
    with_holm,
)
from tests.evaluation.synthetic import make_run


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 200))
def test_wilson_equals_its_closed_form(successes: int, failures: int) -> None:
    n = successes + failures
    if n == 0:
        assert wilson(0, 0) == (0.0, 1.0)
        return
    z, share = 1.959963984540054, successes / n
    centre, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    assert wilson(successes, n) == pytest.approx((max(0.0, low), min(1.0, high)), abs=1e-9)


def test_wilson_refuses_more_successes_than_tries() -> None:
    with pytest.raises(ValueError, match="5 successes of 4"):
        wilson(5, 4)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_the_exact_binomial_test(left: int, right: int) -> None:
    n = left + right
    tail = sum(math.comb(n, k) for k in range(min(left, right) + 1))
    expected = min(1.0, 2 * tail / 2**n)
    assert mcnemar(left, right) == pytest.approx(expected, abs=1e-9)
    assert mcnemar(left, right) == mcnemar(right, left)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 7), st.integers(0, 6))
def test_sign_flip_over_single_tasks_is_mcnemars_test(left: int, right: int) -> None:
    values = [1.0] * left + [-1.0] * right + [0.0] * 5
    assert sign_flip(values, list(range(len(values)))) == pytest.approx(mcnemar(left, right), abs=1e-9)


def test_sign_flip_drawn_agrees_with_mcnemar_beyond_the_exact_size() -> None:
    values = [1.0] * 30 + [-1.0] * 14
    assert sign_flip(values, list(range(44)), draws=40000) == pytest.approx(mcnemar(30, 14), abs=0.01)


def test_sign_flip_counts_worlds_and_not_tasks() -> None:
    values = [1.0] * 300
    assert sign_flip(values, [index // 100 for index in range(300)]) == pytest.approx(2 / 2**3)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(after >= before and after <= 1 for before, after in zip(ps, adjusted, strict=True))
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_on_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_bootstrap_interval_lies_within_the_range_of_the_values(values: list[float], seed: int) -> None:
    low, high = cluster_bootstrap(values, list(range(len(values))), draws=200, seed=seed)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_bootstrap_is_the_same_for_the_same_seed_and_wider_by_world() -> None:
    rng = np.random.default_rng(3)
    worlds = np.repeat(np.arange(8), 50)
    values = list(rng.normal(size=8)[worlds] + 0.1 * rng.normal(size=400))
    by_world = cluster_bootstrap(values, list(worlds), seed=1)
    by_task = cluster_bootstrap(values, list(range(400)), seed=1)
    assert by_world == cluster_bootstrap(values, list(worlds), seed=1)
    assert by_world[1] - by_world[0] > 2 * (by_task[1] - by_task[0])


@pytest.mark.parametrize("clusters", [8, 30])
def test_bootstrap_interval_covers_the_truth_about_95_times_in_100(clusters: int) -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for trial in range(400):
        values = np.repeat(rng.normal(size=clusters), 3)
        low, high = cluster_bootstrap(list(values), list(np.repeat(np.arange(clusters), 3)), draws=600, seed=trial)
        hits += low <= 0 <= high
    assert 0.91 <= hits / 400 <= 0.985


def test_one_cluster_says_nothing() -> None:
    assert cluster_bootstrap([0.0, 1.0], ["w", "w"]) == (-math.inf, math.inf)


def test_bootstrap_refuses_values_without_clusters() -> None:
    with pytest.raises(ValueError, match="2 values for 1 cluster:"):
        cluster_bootstrap([0.0, 1.0], ["w"])


def test_rate_uses_wilson_in_one_world_and_the_world_as_unit_in_many() -> None:
    one = rate([make_run(index < 3, task_id=str(index)) for index in range(10)])
    assert (one.value, one.method, (one.low, one.high)) == (0.3, "wilson", wilson(3, 10))
    many = rate(
        [make_run(world % 2 == 0, task_id=str(index), world=world) for world in range(6) for index in range(50)]
    )
    assert many.method == "bootstrap by world"
    assert many.high - many.low > 0.5
    again = rate([make_run(index < 3, task_id=str(index)) for index in range(10) for _ in range(4)])
    assert again.method == "bootstrap by task"


def test_rate_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no runs"):
        rate([])


def test_comparison_pairs_by_task_and_counts_what_had_no_partner() -> None:
    left = [make_run(p, task_id=t, arm="paramagent") for t, p in [("a", True), ("b", True), ("c", False), ("x", True)]]
    right = [make_run(p, task_id=t) for t, p in [("c", True), ("b", False), ("a", False), ("y", True), ("z", True)]]
    found = compare(left, right, draws=200)
    assert found is not None
    assert (found.n, found.unpaired, found.left_only, found.right_only) == (3, 3, 2, 1)
    assert found.difference == pytest.approx(1 / 3)
    assert (found.test, found.p, found.unit) == ("mcnemar", mcnemar(2, 1), "task")


def test_comparison_over_worlds_pairs_equal_task_ids_of_the_same_world_only() -> None:
    left = [make_run(True, task_id="t", arm="paramagent", world=world) for world in range(8)]
    right = [make_run(world == 0, task_id="t", world=world) for world in range(8)]
    found = compare(left, right, draws=500)
    assert found is not None
    assert (found.n, found.clusters, found.wins, found.losses, found.unit) == (8, 8, 7, 0, "world")
    assert found.p == pytest.approx(2 / 2**7)
    assert found.low > 0


def test_comparison_of_strangers_is_none() -> None:
    assert compare([make_run(task_id="a")], [make_run(task_id="b")]) is None


def test_comparison_with_itself_finds_nothing() -> None:
    runs = [make_run(index % 2 == 0, task_id=str(index)) for index in range(20)]
    found = compare(runs, runs)
    assert found is not None
    assert (found.difference, found.p, found.low, found.high) == (0.0, 1.0, 0.0, 0.0)
    assert (found.left_only, found.right_only) == (0, 0)
    assert with_holm([found])[0].p_holm == 1.0


def test_resamples_in_blocks_are_those_drawn_all_at_once(monkeypatch):
    from parammem.evaluation import statistics

    whole = np.random.default_rng(4).integers(0, 70, size=(50, 70))
    monkeypatch.setattr(statistics, "BLOCK", 300)
    assert np.array_equal(np.concatenate(list(statistics.resamples(70, 50, 4))), whole)
    assert sum(statistics.blocks(50, 70)) == 50


def test_exact_test_of_twenty_thousand_pairs_takes_no_time():
    import time

    start = time.process_time()
    assert 0 < mcnemar(9_800, 10_200) < 0.05
    assert time.process_time() - start < 5  # summing binomial coefficients took 19 s
