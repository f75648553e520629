"""Counts over runs and draws, on cases small enough to count by hand."""

from __future__ import annotations

import pytest

from parammem.core import Usage
from parammem.evaluation.metrics import (
    advice_accuracy,
    repetition,
    repetition_overall,
    solved_per_iteration,
    token_ratio,
    tokens,
    visible_rate,
)
from parammem.evaluation.runs import AdviceDraws
from tests.evaluation.synthetic import make_run


def draws(*claims: tuple[str, ...], gold: dict[str, str] | None = None, task_id: str = "t", revealed=()) -> AdviceDraws:
    return AdviceDraws(
        domain="code",
        reflector="trained",
        temperature=1.0,
        task_id=task_id,
        texts=tuple(" ".join(c) for c in claims),
        claims=claims,
        gold={"limit": "inside", "empty": "zero"} if gold is None else gold,
        revealed=revealed,
    )


def test_solved_per_iteration_is_cumulative_and_ends_at_the_pass_rate() -> None:
    runs = [make_run(True, solved_at=1), make_run(True, solved_at=3), make_run(False), make_run(True, solved_at=3)]
    assert solved_per_iteration(runs, 5) == [0.25, 0.25, 0.75, 0.75, 0.75]
    assert solved_per_iteration([], 5) == []


def test_visible_rate_leaves_out_tasks_without_a_visible_verdict() -> None:
    runs = [make_run(visible=True), make_run(visible=False), make_run(visible=None)]
    assert visible_rate(runs) == 0.5
    assert visible_rate([make_run(visible=None)]) is None


def test_tokens_sum_the_roles_and_average_the_tasks() -> None:
    usage = {
        "actor": Usage(calls=2, prompt_tokens=100, completion_tokens=10),
        "reflector": Usage(calls=1, prompt_tokens=20, completion_tokens=4),
    }
    spent = tokens([make_run(usage=usage), make_run()])
    assert (spent.prompt, spent.completion, spent.calls) == (60, 7, 1.5)


def test_token_ratio_compares_on_the_tasks_of_base() -> None:
    def with_prompt(task_id: str, count: int):
        return make_run(task_id=task_id, usage={"actor": Usage(calls=1, prompt_tokens=count)})

    ours = [with_prompt("a", 300), with_prompt("b", 9000)]
    assert token_ratio(ours, [with_prompt("a", 100)]) == 3.0
    assert token_ratio(ours, []) is None


def test_a_reflection_repeats_if_its_claims_equal_an_earlier_one() -> None:
    run = make_run(
        advice=((), ("limit=inside",), ("limit=outside",), ("limit=inside",), ()),
        texts=("", "keep the bound", "leave it out", "Bound  is in", "hm"),
    )
    rows = {row.iteration: row for row in repetition([run])}
    assert list(rows) == [3, 4, 5]
    assert [rows[k].claim_equal for k in (3, 4, 5)] == [0.0, 1.0, None]
    assert [rows[k].text_equal for k in (3, 4, 5)] == [0.0, 0.0, 0.0]
    whole = repetition_overall([run])
    assert whole is not None
    assert (whole.reflections, whole.claiming, whole.claim_equal) == (3, 2, 0.5)


def test_equal_texts_repeat_whatever_their_case_and_spaces() -> None:
    run = make_run(advice=((), ()), texts=("Mind the bound.", "mind  the bound."))
    row = repetition([run])[0]
    assert (row.iteration, row.text_equal, row.claim_equal) == (2, 1.0, None)


def test_without_advice_there_is_no_repetition() -> None:
    assert repetition([make_run(texts=("", "", ""))]) == []
    assert repetition_overall([make_run()]) is None


def test_advice_accuracy_counts_a_missing_claim_as_wrong() -> None:
    found = advice_accuracy([draws(("limit=inside",), ("empty=minus", "limit=inside"))])
    assert found is not None
    assert found.value == 0.5
    assert found.among_claimed == pytest.approx(2 / 3)
    assert (found.tasks, found.draws) == (1, 2)


def test_a_draw_that_claims_both_values_takes_no_side() -> None:
    found = advice_accuracy([draws(("limit=inside", "limit=outside"), gold={"limit": "inside"})])
    assert found is not None
    assert (found.value, found.among_claimed) == (0.0, None)


def test_accuracy_on_unrevealed_conventions_is_told_apart() -> None:
    found = advice_accuracy([draws(("limit=inside",), revealed=("limit",))])
    assert found is not None
    assert (found.value, found.unrevealed) == (0.5, 0.0)


def test_advice_accuracy_is_clustered_by_task() -> None:
    items = [
        draws(*([("limit=inside",)] * 50), gold={"limit": value}, task_id=value) for value in ("inside", "outside")
    ]
    found = advice_accuracy(items)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_tasks_without_known_conventions_have_no_advice_accuracy() -> None:
    assert advice_accuracy([draws(("limit=inside",), gold={})]) is None
    found = advice_accuracy([draws(("limit=inside",))])
    assert found is not None
    assert found.value == 0.5
