from __future__ import annotations

import numpy as np
import pytest

from parammem.errors import DataError
from parammem.training.selection import select_diverse


def clusters() -> np.ndarray:
    """Five tight groups of ten points."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(5, 8)) * 10
    return np.concatenate([centre + draw.normal(size=(10, 8)) * 0.01 for centre in centres]).astype(np.float32)


def test_selection_takes_one_row_of_each_cluster() -> None:
    assert sorted(row // 10 for row in select_diverse(clusters(), 5, seed=1)) == [0, 1, 2, 3, 4]


def test_selection_follows_the_seed_and_not_the_moment() -> None:
    draw = np.random.default_rng(1).normal(size=(60, 4))
    assert select_diverse(draw, 7, seed=3) == select_diverse(draw, 7, seed=3)


@pytest.mark.parametrize("n", [1, 7, 49])
def test_selection_gives_n_distinct_rows_even_among_equal_ones(n: int) -> None:
    chosen = select_diverse(np.ones((50, 4), dtype=np.float32), n, seed=0)
    assert len(set(chosen)) == n
    assert chosen == sorted(chosen)


def test_selection_of_more_than_there_is_keeps_all() -> None:
    assert select_diverse(np.eye(3), 5, seed=0) == [0, 1, 2]


def test_selection_of_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match=r"train\.select"):
        select_diverse(np.eye(3), 0, seed=0)
