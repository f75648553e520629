"""Diversity of draws, K*, and correlation with success."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import pdist

from parammem.evaluation.diversity import clusters, correlate, cosine_distance, elbow, entropy, measure, summarise
from parammem.evaluation.runs import AdviceDraws


def draws(*claims: tuple[str, ...]) -> AdviceDraws:
    texts = tuple(f"draw {index}" for index in range(len(claims)))
    return AdviceDraws(domain="qa", reflector="trained", temperature=1.0, task_id="t", texts=texts, claims=claims)


def test_distinct_sets_are_counted_without_regard_to_order_or_empty_draws() -> None:
    found = measure(draws(("a=1", "b=2"), ("b=2", "a=1"), ("a=1",), ()))
    assert (found.distinct, found.draws, found.distance) == (2, 4, None)
    assert found.entropy == pytest.approx(stats.entropy([2, 1], base=2))


def test_opposite_advice_counts_as_diverse_and_repeated_advice_does_not() -> None:
    assert measure(draws(("a=1",), ("a=2",))).distinct == 2
    assert measure(draws(*([("a=1",)] * 10))).entropy == 0.0


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30))
def test_entropy_lies_between_nought_and_the_log_of_the_kinds(items: list[int]) -> None:
    assert -1e-12 <= entropy(items) <= math.log2(max(len(set(items)), 1)) + 1e-9


def test_cosine_distance_equals_scipy() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 16))
    assert cosine_distance(rows) == pytest.approx(float(pdist(rows, "cosine").mean()))


def test_cosine_distance_of_hardly_anything() -> None:
    assert cosine_distance(np.ones((1, 4))) == 0.0
    assert cosine_distance(np.ones((3, 4))) == pytest.approx(0.0, abs=1e-12)
    assert cosine_distance(np.array([[1.0, 0.0], [0.0, 0.0]])) == pytest.approx(1.0)


def test_summarise_averages_what_was_measured() -> None:
    rows = [measure(draws(("a=1",), ("a=2",)), np.eye(2)), measure(draws(("a=1",), ("a=1",)))]
    found = summarise(rows)
    assert found is not None
    assert (found.distinct, found.distance, found.tasks) == (1.5, 1.0, 2)
    assert summarise([]) is None


def blobs(k: int, each: int = 15) -> np.ndarray:
    rng = np.random.default_rng(k)
    centres = np.eye(max(k, 2) + 4)[:k]
    return np.concatenate([centre + 0.03 * rng.normal(size=(each, centres.shape[1])) for centre in centres])


@pytest.mark.parametrize("k", [4, 6])
def test_elbow_finds_planted_clusters(k: int) -> None:
    found = clusters(blobs(k), k_max=12)
    assert found.k_star == k
    assert found.silhouette is not None
    assert found.silhouette > 0.8


def test_clusters_are_deterministic() -> None:
    assert clusters(blobs(4), k_max=8, seed=3) == clusters(blobs(4), k_max=8, seed=3)


@pytest.mark.parametrize("rows", [np.ones((1, 3)), np.ones((5, 3)), np.eye(2), np.zeros((4, 3))])
def test_few_or_equal_texts_give_few_clusters_and_no_error(rows: np.ndarray) -> None:
    found = clusters(rows)
    assert found.k_star == len(np.unique(rows, axis=0))
    assert found.silhouette is None


def test_clusters_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no embeddings"):
        clusters(np.zeros((0, 3)))


def test_elbow_of_a_flat_or_short_curve_is_its_first_k() -> None:
    assert elbow({1: 2.0, 2: 2.0, 3: 2.0}) == 1
    assert elbow({1: 5.0, 2: 1.0}) == 1
    assert elbow({1: 10.0, 2: 1.0, 3: 0.9, 4: 0.8}) == 2


def test_correlation_equals_scipy_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    found = correlate(list(x), list(y), draws=800)
    assert found.pearson == pytest.approx(stats.pearsonr(x, y).statistic)  # pyright: ignore[reportAttributeAccessIssue]
    assert found.spearman == pytest.approx(stats.spearmanr(x, y).statistic)  # pyright: ignore[reportAttributeAccessIssue]
    assert found.pearson is not None
    assert found.pearson_low is not None
    assert found.pearson_high is not None
    assert found.pearson_low < found.pearson < found.pearson_high
    expected = stats.pearsonr(x, y).confidence_interval()
    assert (found.pearson_low, found.pearson_high) == pytest.approx((expected.low, expected.high), abs=0.1)


def test_noise_of_single_precision_breaks_no_ties() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 3, 60).astype(float), rng.integers(0, 2, 60).astype(float)
    noisy = x + rng.normal(0, 1e-7, 60)
    found, plain = correlate(list(noisy), list(y)), correlate(list(x), list(y))
    assert (found.spearman, found.spearman_low) == (plain.spearman, plain.spearman_low)


def test_correlation_with_a_constant_is_none() -> None:
    assert correlate([1, 2, 3, 4], [1, 1, 1, 1]).pearson is None
    assert correlate([1, 2], [1, 0]).spearman is None


def test_correlation_refuses_sides_of_different_length() -> None:
    with pytest.raises(ValueError, match="3 values against 2"):
        correlate([1, 2, 3], [1, 0])
