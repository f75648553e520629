"""Facts about the math domain: formulas mean what Python means by them, in exact fractions; nothing else is read."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains import get_domain
from parammem.domains.math import MAX_FORMULA, MathJudge, evaluate

NAMES = {"p": 7, "n": 3, "c": 2, "f": 0, "zero_free": -5}
CHECKS = [
    {"name": "cut", "instance": {"p": 5, "c": 2}, "expected": 3},
    {"name": "fee", "instance": {"p": 5, "c": 4}, "expected": "5/4"},
]
TASK = Task(task_id="math-1", domain="math", text="find the bill .", visible={"checks": CHECKS})
LEAVES = st.sampled_from(sorted(NAMES)) | st.integers(0, 99).map(str)
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.builds("( {} {} {} )".format, inner, st.sampled_from("+-*/"), inner) | inner.map("-{}".format),
    max_leaves=8,
)


def key(hidden: dict) -> AnswerKey:
    return AnswerKey(task_id="math-1", domain="math", hidden=hidden, gold="answer p - c")


@settings(max_examples=200, deadline=None)
@given(FORMULAS)
def test_a_formula_has_the_value_that_python_gives_it_in_fractions(formula):
    exact = " ".join(f"Fraction({word})" if word.lstrip("-").isdigit() else word for word in _spaced(formula))
    try:
        expected = eval(exact, {"Fraction": Fraction} | {name: Fraction(v) for name, v in NAMES.items()})
    except ZeroDivisionError:
        with pytest.raises(ValueError):
            evaluate(formula, NAMES)
        return
    if len(formula) <= MAX_FORMULA:
        assert evaluate(formula, NAMES) == expected


def _spaced(formula: str) -> list[str]:
    return formula.replace("-", " - ").split()


def test_division_is_exact_and_precedence_is_python_s():
    assert evaluate("1 / 3", {}) == Fraction(1, 3)
    assert evaluate("p - c * 2 - 1", {"p": 9, "c": 2}) == 4
    assert evaluate(" -( p - 1 ) ", {"p": 3}) == -2


HOSTILE = [
    "",
    "q",
    "p p",
    "p ** 2",
    "9 ** 9 ** 9 ** 9",
    "1 << 9999999",
    "p // 2",
    "p % 2",
    "+p",
    "~p",
    "not p",
    "1.5",
    "1e999",
    "1j",
    "True",
    "None",
    "'p'",
    "f'{p}'",
    "p.real",
    "p.__class__",
    "p[0]",
    "[p]",
    "(p, c)",
    "p if p else c",
    "p < c",
    "p and c",
    "(p := 2)",
    "lambda: p",
    "abs(p)",
    "__import__('os').system('true')",
    "().__class__.__bases__",
    "[x for x in (1,)]",
    "p; c",
    "p = 3",
    "p\nc",
    "import os",
    "p\x00",
    "\ud800",
    "(" * 90 + "p",
    "p / 0",
    "p / ( c - c )",
    "1" * (MAX_FORMULA + 1),
    "p" + " + p" * 60,
]


@pytest.mark.parametrize("formula", HOSTILE)
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(ValueError):
        evaluate(formula, {"p": 7, "c": 2})


def test_deep_and_long_formulas_up_to_the_limit_are_read():
    deep = "(" * 90 + "p" + ")" * 90
    assert evaluate(deep, {"p": 7}) == 7
    assert evaluate("-" * 198 + "p", {"p": 7}) == 7
    assert evaluate("9" * MAX_FORMULA, {}) == 10**MAX_FORMULA - 1


def test_feedback_shows_what_was_expected_and_what_came():
    domain = get_domain("math")
    items = [
        (TASK, "plan cut flat\nanswer p - c"),
        (TASK, "answer p / c"),
        (TASK, "answer p - c\nanswer p - c / 1000000000000"),
        (TASK, "no answer"),
        (TASK, "answer p ** c"),
    ]
    assert [f.text for f in domain.judge.check(items) if isinstance(f, Feedback)] == [
        "cut ok ; fee expected 5/4 got 1",
        "cut expected 3 got 5/2 ; fee ok",
        "cut expected 3 got 2499999999999/50... ; fee expected 5/4 got 1249999999999/25...",
        "cut expected 3 got error ; fee expected 5/4 got error",
        "cut expected 3 got error ; fee expected 5/4 got error",
    ]


def test_all_checks_must_pass_and_the_last_answer_line_counts():
    domain = get_domain("math")
    task = TASK.model_copy(update={"visible": {"checks": CHECKS[:1]}})
    passed = [f.passed for f in domain.judge.check([(task, "answer p\nanswer p - c"), (task, "answer p - c\nanswer p")])
              if isinstance(f, Feedback)]  # fmt: skip
    assert passed == [True, False]
    (both,) = domain.judge.check([(TASK, "answer p - c")])
    assert isinstance(both, Feedback)
    assert both.passed is False


def test_equal_value_is_enough_for_the_score():
    domain = get_domain("math")
    hidden = {"checks": CHECKS[:1]}
    assert domain.judge.score([(TASK, key(hidden), "answer 0 - ( c - p )")]) == [
        Score(task_id="math-1", passed=True, value=1.0)
    ]
    assert domain.judge.score([(TASK, key(hidden), "answer p")]) == [
        Score(task_id="math-1", passed=False, value=0.0, detail="cut expected 3 got 5")
    ]


def test_one_bad_task_gives_its_exception_and_harms_no_other():
    domain = get_domain("math")
    bad = Task(task_id="bad", domain="math", text="?", visible={"checks": [{"name": "cut"}]})
    first, second = domain.judge.check([(bad, "answer p"), (TASK, "answer p - c")])
    assert isinstance(first, KeyError)
    assert isinstance(second, Feedback)
    first, second = domain.judge.score(
        [(TASK, key({}), "answer p"), (TASK, key({"checks": CHECKS[:1]}), "answer p - c")]
    )
    assert isinstance(first, ValueError)
    assert isinstance(second, Score)
    assert second.passed


def test_a_task_without_visible_checks_has_no_verdict():
    blind = TASK.model_copy(update={"visible": {}})
    assert MathJudge().check([(blind, "answer p")]) == [Feedback(passed=None, text="")]
