from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from parammem.training.controls import shuffled
from tests.training.rows import make_row


def rows_of(tasks: list[int]):
    return [make_row(n, task_id=f"t{t}", task_text=f"task {t}", reflection=f"{t}/{n}") for n, t in enumerate(tasks)]


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(0, 3))
def test_shuffling_keeps_both_sides_and_parts_every_pair_it_can(tasks: list[int], seed: int) -> None:
    rows = rows_of(tasks)
    after = shuffled(rows, seed)
    assert [row.task_text for row in after] == [row.task_text for row in rows]
    assert Counter(row.reflection for row in after) == Counter(row.reflection for row in rows)
    own = sum(row.reflection.split("/")[0] == row.task_text.split()[1] for row in after)
    assert own == max(0, 2 * max(Counter(tasks).values()) - len(tasks))


def test_shuffling_follows_the_seed() -> None:
    rows = rows_of(list(range(20)))
    assert shuffled(rows, 1) == shuffled(rows, 1) != shuffled(rows, 2)


def test_shuffling_nothing_gives_nothing() -> None:
    assert shuffled([], 0) == []


def test_shuffled_advice_tells_nothing_of_its_kind() -> None:
    """With two advices over many tasks, half of the rows keep their words: neither the truth nor its opposite."""
    rows = [make_row(number) for number in range(400)]
    same = sum(a.reflection == b.reflection for a, b in zip(rows, shuffled(rows, 3), strict=True))
    assert 150 < same < 250
