"""Facts about the pool: shares are kept, old rows leave first, and nothing changes while every dial is off."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.config import PoolParams, WarmStartParams
from parammem.core import ReflectionExample
from parammem.errors import DataError
from parammem.experience.replay import ages, replayed, select


def rows(**batches: int) -> list[ReflectionExample]:
    """So many rows of each origin, in this order."""
    return [
        ReflectionExample(
            domain="code", task_id=f"{origin}-{n}", task_text=f"task {origin} {n}", reflection="advice",
            label_source="experience", part="hindsight", author="a", trajectory_id="t", outcome="final", origin=origin,
        )
        for origin, count in batches.items()
        for n in range(count)
    ]  # fmt: skip


def shares(kept: list[ReflectionExample]) -> Counter[str]:
    return Counter(row.origin for row in kept)


def test_with_every_dial_off_all_rows_stay_as_they_are():
    pool = rows(collect=5, one=50, two=1)
    assert select(pool, PoolParams()) == pool
    assert select(pool, PoolParams(half_life=1.0)) == pool
    assert select([], PoolParams(max_rows=3)) == []


def test_a_full_pool_keeps_its_size_and_the_order_of_rows():
    pool = rows(collect=100, one=100)
    kept = select(pool, PoolParams(max_rows=60))
    assert len(kept) == 60
    assert [pool.index(row) for row in kept] == sorted(pool.index(row) for row in kept)


def test_no_batch_gives_more_than_its_share_however_large_it_is():
    kept = select(rows(collect=100, poisoned=5000, one=80), PoolParams(max_source_share=0.3))
    assert shares(kept)["poisoned"] <= 0.3 * len(kept)
    assert shares(kept)["collect"] == 100
    assert shares(kept)["poisoned"] >= 0.25 * len(kept)


def test_one_batch_alone_may_give_all():
    assert len(select(rows(one=40), PoolParams(max_source_share=0.3))) == 40


def test_the_anchor_keeps_its_share_as_far_as_it_has_rows():
    kept = select(rows(collect=100, one=900, two=900), PoolParams(max_rows=200, min_anchor_share=0.4))
    assert shares(kept)["collect"] >= 80
    few = select(rows(collect=10, one=900), PoolParams(max_rows=200, min_anchor_share=0.4))
    assert shares(few) == {"collect": 10, "one": 190}


def test_older_batches_leave_a_full_pool_first_and_the_anchor_does_not_age():
    pool = rows(collect=300, a=300, b=300, c=300, d=300)
    kept = shares(select(pool, PoolParams(max_rows=500, half_life=1.0)))
    assert kept["a"] < kept["b"] < kept["c"] < kept["d"]
    assert kept["collect"] > kept["c"]
    even = shares(select(pool, PoolParams(max_rows=500)))
    assert max(even.values()) < 1.5 * min(even.values())


def test_age_counts_the_batches_that_came_after():
    assert ages(rows(a=2, collect=1, b=1, c=1)) == {"a": 2, "b": 1, "c": 0, "collect": 0}


def test_a_pool_that_grows_by_a_batch_changes_by_little():
    before = select(rows(collect=200, a=200), PoolParams(max_rows=200))
    after = select(rows(collect=200, a=200, b=20), PoolParams(max_rows=200))
    stayed = {row.row_hash for row in before} & {row.row_hash for row in after}
    assert len(stayed) >= 175


def test_another_seed_keeps_other_rows():
    pool = rows(collect=200)
    assert select(pool, PoolParams(max_rows=50, seed=1)) != select(pool, PoolParams(max_rows=50, seed=2))


@settings(deadline=None, max_examples=80)
@given(
    counts=st.dictionaries(st.sampled_from(["collect", "a", "b", "c"]), st.integers(0, 30), min_size=1),
    most=st.integers(0, 40),
    share=st.sampled_from([0.0, 0.1, 0.4, 0.9]),
    anchor=st.sampled_from([0.0, 0.3, 1.0]),
    half=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_limits_hold_for_any_pool(counts, most, share, anchor, half):
    pool = rows(**counts)
    dials = PoolParams(max_rows=most, max_source_share=share, min_anchor_share=anchor, half_life=half)
    kept = select(pool, dials)
    assert len(kept) <= (most or len(pool))
    assert len({row.row_hash for row in kept}) == len(kept)
    found, sources = shares(kept), {origin for origin, count in counts.items() if count and origin != "collect"}
    if share and sources:
        equal = 0 if counts.get("collect") else -(-len(kept) // len(sources))
        assert all(found[origin] <= max(share * len(kept), equal) for origin in sources)
    assert found["collect"] >= min(counts.get("collect", 0), anchor * len(kept))
    assert select(pool, dials) == kept


@pytest.mark.parametrize("dials", [{"max_rows": -1}, {"max_source_share": 1.5}, {"half_life": -2}])
def test_dials_out_of_range_are_errors(dials):
    with pytest.raises(ValueError, match=r"greater than|less than"):
        PoolParams(**dials)


@pytest.mark.parametrize(("replay", "old"), [(0.0, 0), (0.5, 20), (0.8, 80), (0.99, 100)])
def test_training_on_from_an_adapter_takes_all_that_is_new_and_a_share_of_what_it_knew(replay, old):
    pool = rows(collect=60, one=40, two=20)
    known = {row.row_hash for row in pool if row.origin != "two"}
    learned = replayed(pool, known, WarmStartParams(replay=replay))
    assert sum(row.origin == "two" for row in learned) == 20
    assert sum(row.row_hash in known for row in learned) == old
    assert learned == [row for row in pool if row in learned]
    assert learned == replayed(pool, known, WarmStartParams(replay=replay))
    if 0 < old < 100:
        assert learned != replayed(pool, known, WarmStartParams(replay=replay, seed=1))


def test_nothing_new_is_nothing_to_train_on():
    pool = rows(one=3)
    with pytest.raises(DataError, match="no row is new"):
        replayed(pool, {row.row_hash for row in pool}, WarmStartParams())
