from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from parammem.core import ReflectionExample, Task, digest_of
from parammem.errors import DataError
from parammem.reflectors.base import TextReflector
from parammem.reflectors.retrieved import Constant, Retrieved


def row(task_text: str, reflection: str) -> ReflectionExample:
    return ReflectionExample(
        domain="code",
        task_id=task_text,
        task_text=task_text,
        reflection=reflection,
        label_source="experience",
        part="hindsight",
        author="a",
        trajectory_id="t",
        outcome="final",
    )


def task(text: str) -> Task:
    return Task(task_id="x", domain="code", text=text)


class Counted:
    """Embeds a text as the direction of its length, and counts the texts."""

    def __init__(self) -> None:
        self.texts = 0

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += len(texts)
        angles = np.array([len(text) / 20 for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


ROWS = [row("aaa", "three"), row("aaa", "three again"), row("aaaaa", "five"), row("aaaaaaaaaa", "ten")]


def test_iteration_k_gets_the_advice_of_the_kth_nearest_distinct_task() -> None:
    retrieved: TextReflector = Retrieved(ROWS, Counted())
    assert [retrieved.text(task("bbbbbb"), k) for k in (1, 2, 3, 4)] == ["five", "three", "ten", "five"]


def test_ranking_is_made_once_a_text_and_in_bulk_when_prepared() -> None:
    embed = Counted()
    retrieved = Retrieved(ROWS, embed)
    tasks = [task("b" * n) for n in (2, 4, 2)]
    retrieved.prepare(tasks)
    for k in (1, 2, 3):
        for one in tasks:
            retrieved.text(one, k)
    assert embed.texts == 3 + 2


def test_author_is_the_digest_of_the_rows() -> None:
    assert Retrieved(ROWS, Counted()).author == digest_of([r.row_hash for r in ROWS])


def test_real_embeddings_find_the_task_about_the_same_thing() -> None:
    rows = [row("Sum the prices of the plums.", "plums"), row("Who is the mentor of Anna?", "mentor")]
    assert Retrieved(rows).text(task("Whom does Ben mentor?"), 1) == "mentor"


def test_constant_advice_is_the_same_for_all() -> None:
    constant: TextReflector = Constant("d")
    assert constant.text(task("x"), 1) == constant.text(task("y"), 4) == "d"


def test_no_rows_is_an_error_at_once() -> None:
    with pytest.raises(DataError, match="no rows"):
        Retrieved([], Counted())


def test_ranking_keeps_few_neighbours_and_is_that_of_a_full_sort(monkeypatch) -> None:
    from parammem import embeddings

    dice = np.random.default_rng(3)
    keys = dice.normal(size=(500, 8)).astype(np.float32)
    keys[100:200] = keys[:100]  # equal similarities keep the order of the keys
    query = dice.normal(size=(40, 8)).astype(np.float32)
    full = np.argsort(-(query @ keys.T), axis=1, kind="stable")
    assert np.array_equal(embeddings.nearest(query, keys, 64), full[:, :64])
    monkeypatch.setattr(embeddings, "_BLOCK", 40 * 500)
    assert embeddings.nearest(query, keys, 9).shape == (40, 9)


def test_iterations_beyond_the_kept_neighbours_go_on_with_the_next_task(monkeypatch) -> None:
    from parammem.reflectors import retrieved as room

    expected = [Retrieved(ROWS, Counted()).text(task("bbbbbb"), k) for k in range(1, 8)]
    monkeypatch.setattr(room, "RANKED", 1)
    short = Retrieved(ROWS, Counted())
    assert [short.text(task("bbbbbb"), k) for k in range(1, 8)] == expected
    assert short._order["bbbbbb"].shape == (1,)
