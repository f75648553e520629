from __future__ import annotations

import numpy as np
import pytest

from parammem.embeddings import DIMENSIONS, embed, nearest

TEXTS = ["round half up", "the limit itself counts", "Anna is the mentor of Ben", "round half up"]


def test_embeddings_are_unit_vectors_in_order_and_equal_for_equal_texts() -> None:
    vectors = embed(TEXTS)
    assert vectors.shape == (4, DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors[0] == vectors[3]).all()
    assert np.allclose(vectors[2], embed([TEXTS[2]])[0], atol=1e-5)


def test_similar_texts_lie_nearer() -> None:
    query = embed(["rounding of halves goes up"])
    assert nearest(query, embed(TEXTS[:3]), 3)[0, 0] == 0


def test_no_texts_give_no_vectors() -> None:
    assert embed([]).shape == (0, DIMENSIONS)


@pytest.mark.parametrize("k", [0, 2, 9])
def test_nearest_gives_at_most_as_many_as_there_are(k: int) -> None:
    keys = np.eye(3, dtype=np.float32)
    assert nearest(keys[:1], keys, k).shape == (1, min(k, 3))


def test_ties_keep_the_order_of_the_keys() -> None:
    keys = np.ones((4, 1), dtype=np.float32)
    assert nearest(keys[:1], keys, 4)[0].tolist() == [0, 1, 2, 3]
