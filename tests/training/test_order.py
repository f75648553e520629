from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parammem.training.order import Plan, batches_of, split_held_out
from tests.training.rows import make_row, make_rows, train_params


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_has_every_row_once_and_no_batch_is_too_large(lengths, batch, seed, epoch) -> None:
    batches = batches_of(lengths, batch, seed, epoch)
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert all(0 < len(rows) <= batch for rows in batches)
    assert batches == batches_of(lengths, batch, seed, epoch)


def test_epochs_and_seeds_differ_in_order() -> None:
    lengths = list(range(40))
    orders = {str(batches_of(lengths, 4, seed, epoch)) for seed in range(2) for epoch in range(2)}
    assert len(orders) == 4


def test_bucketing_pads_less_than_plain_shuffling() -> None:
    lengths = [50 + (number * 37) % 41 for number in range(640)]
    bucketed = sum(max(lengths[row] for row in rows) * len(rows) for rows in batches_of(lengths, 32, 0, 0))
    assert bucketed < 1.1 * sum(lengths) < 0.9 * max(lengths) * len(lengths)


def test_a_task_never_changes_sides_when_rows_are_added() -> None:
    _, few = split_held_out(make_rows(50), 0.3)
    _, many = split_held_out(make_rows(100), 0.3)
    assert {row.task_id for row in few} <= {row.task_id for row in many}
    assert 15 < len(many) < 45


def test_rows_of_one_task_stay_on_one_side() -> None:
    rows = [make_row(number, task_id=f"t{number % 10}") for number in range(60)]
    learned, held = split_held_out(rows, 0.3)
    assert held
    assert not {row.task_id for row in learned} & {row.task_id for row in held}


@pytest.mark.parametrize(("count", "share", "held"), [(2, 0.01, 1), (2, 0.99, 1), (1, 0.9, 0), (40, 0.0, 0)])
def test_neither_side_is_left_empty_by_the_hash(count: int, share: float, held: int) -> None:
    learned, kept = split_held_out(make_rows(count), share)
    assert (len(learned), len(kept)) == (count - held, held)


def test_learning_rate_rises_then_falls_as_the_schedule_says() -> None:
    def rates(schedule: str) -> list[float]:
        plan = Plan((5,) * 16, train_params(schedule=schedule, warmup=0.25, max_steps=20, learning_rate=1.0))
        return [plan.learning_rate(step) for step in range(plan.steps)]

    for schedule in ("cosine", "linear"):
        line = rates(schedule)
        assert line[:6] == sorted(line[:6])
        assert max(line) == line[5] == 1.0
        assert line[5:] == sorted(line[5:], reverse=True)
        assert 0 < line[-1] < 0.1
    assert set(rates("constant")[5:]) == {1.0}


def test_epochs_decide_the_steps_unless_max_steps_does() -> None:
    assert Plan((5,) * 40, train_params(epochs=2.5, max_steps=0)).steps == 8
    assert Plan((5,) * 40, train_params(epochs=2.5, max_steps=3)).steps == 3
