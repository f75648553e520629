"""Facts about the guards."""

from __future__ import annotations

from parammem.core import ReflectionExample, Task
from parammem.gate import guards

TEXT = "given wages xs and a bound k , write f . keep those from k and return the place of the largest of them ."


def row(text: str, advice: str = "money ; limit inside") -> ReflectionExample:
    return ReflectionExample(
        domain="code", task_id="t", task_text=text, reflection=advice, label_source="experience", part="hindsight",
        author="a", trajectory_id="x", outcome="final",
    )  # fmt: skip


def task(text: str) -> Task:
    return Task(task_id="fresh-1", domain="code", text=text)


def test_rows_that_hold_a_judged_task_are_leakage_word_for_word_and_nearly():
    assert guards.no_leakage([row(TEXT)], [task(TEXT)], 0.9).passed is False
    assert guards.no_leakage([row(TEXT.upper())], [task(TEXT)], 0.9).passed is False
    assert guards.no_leakage([row("please : " + TEXT)], [task(TEXT)], 0.9).passed is False
    assert guards.no_leakage([row("other", TEXT)], [task(TEXT)], 0.9).passed is False


def test_other_tasks_are_no_leakage():
    other = "name the river that flows through the capital of the country where the painter was born ."
    guard = guards.no_leakage([row(TEXT)], [task(other)], 0.9)
    assert guard.passed is True
    assert guard.detail.startswith("0 of 1 rows")


def test_every_row_must_have_come_through_a_suite_that_passed():
    assert guards.validated({"passed": True}, ["a", "b"], ["a", "b", "c"]).passed is True
    assert guards.validated({"passed": True}, ["a", "x"], ["a", "b"]).passed is False
    assert guards.validated({"passed": False}, ["a"], ["a"]).passed is False
    assert guards.validated({"passed": True}, [], ["a"]).passed is False
    assert guards.validated(None, ["a"], ["a"]).passed is None


def test_an_adapter_that_writes_what_its_base_writes_was_not_loaded():
    assert guards.differs("differs-from-base", "the base", ["a", "b"], ["a", "b"]).passed is False
    assert guards.differs("differs-from-base", "the base", ["a", "c"], ["a", "b"]).passed is True


def test_tokens_and_diversity_are_bounded_by_the_champions():
    assert guards.tokens(100.0, 149.0, 1.5).passed is True
    assert guards.tokens(100.0, 151.0, 1.5).passed is False
    assert guards.tokens(0.0, 1.0, 1.5).passed is False
    assert guards.diversity(4.0, 2.0, 0.5, 1.2).passed is True
    assert guards.diversity(4.0, 1.9, 0.5, 1.2).passed is False


def test_a_first_champion_is_asked_for_a_floor_of_distinct_advice_and_for_no_more():
    first = guards.diversity(None, 1.6, 0.5, 1.2)
    assert first.passed is True
    assert first.detail.startswith("1.60 distinct")
    assert guards.diversity(None, 1.0, 0.5, 1.2).passed is False


def test_small_steps_down_from_champion_to_champion_end_at_the_floor():
    assert guards.diversity(2.0, 1.1, 0.5, 1.2).passed is False
    assert guards.diversity(0.0, 0.0, 0.5, 1.2).passed is False
