"""The worker process, the official rule, and the domain as a whole; kinds of answers are in test_math_kinds."""

from __future__ import annotations

import time

import pytest

from parammem.core import AnswerKey, Task
from parammem.domains import get_domain
from parammem.domains.math_answer import read_answer
from parammem.domains.math_grader import MathGrader
from parammem.domains.math_text import boxed, official_equal


@pytest.fixture(scope="module")
def grader():
    made = MathGrader()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{1}, and then it is \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("\\fbox{3}", "3"),
        ("it is \\boxed 7$.", "7"),
        ("\\boxed{never closed", ""),
        ("The final answer is $x=3$.", "x=3"),
        ("Answer: **12**.", "12"),
        ("#### 1,200", "1,200"),
        ("It comes to $a+b$ and thus $2b$.", "2b"),
        ("First 3, then 4.5 in all", "4.5"),
        ("no idea", ""),
    ],
)
def test_the_answer_is_what_is_boxed_or_said_last(text, answer):
    assert read_answer(text).answer == answer


def test_a_box_may_hold_braces_and_must_close():
    assert boxed("\\boxed{\\text{a {b} c}}") == "\\text{a {b} c}"
    assert boxed("\\boxed{1} and \\boxed{2") is None


# Pairs of the kind that the official rules were written for.
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("\\dfrac12", "\\frac{1}{2}"), ("\\tfrac1{72}", "\\frac{1}{72}"), ("1/2", "0.5"), (".5", "0.5"),
        ("x=5", "5"), ("10\\text{ cm}", "10"), ("\\sqrt3", "\\sqrt{3}"), ("90^\\circ", "90"), ("50\\%", "50"),
        ("\\left(1, 2\\right)", "(1,2)"), ("\\$3", "3"), ("1\\!000", "1000"),
    ],
)  # fmt: skip
def test_the_official_rules_see_through_spelling(left, right):
    assert official_equal(left, right)


@pytest.mark.parametrize(
    ("left", "right"), [("1", "2"), ("xyz=5", "5"), ("2/4", "1/2"), ("\\frac", "\\sqrt"), ("(1,2)", "(2,1)")]
)
def test_the_official_rules_do_not_calculate(left, right):
    assert not official_equal(left, right)


def test_what_the_official_rules_stumble_over_is_compared_as_it_is():
    twice = "1\\text{ m} 2\\text{ s}"
    assert official_equal(twice, twice)
    assert not official_equal(twice, "1")


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("\\frac{1}{2}", "\\frac{2}{4}", True), ("x^2+2x+1", "(x+1)^2", True), ("0.25", "\\frac{1}{4}", True),
        ("1{,}000", "1000", True), ("\\{1,2\\}", "\\{2,1\\}", True), ("(1,2)", "(2,1)", False),
        ("\\sqrt{8}", "2\\sqrt{2}", True), ("[0,1)", "[0,1]", False), ("\\text{Ann}", "\\text{Bea}", False),
        ("7", "-7", False), ("2\\pi", "6.28", False), ("3", "", False), ("3", "\\frac{", False),
    ],
)  # fmt: skip
@pytest.mark.integration
def test_answers_are_compared_by_value(grader, gold, answer, equal):
    assert grader.compare(gold, answer).equal is equal


def test_whole_numbers_need_no_other_process():
    grader = MathGrader()
    assert [grader.compare("12", answer).equal for answer in ("012", "+12", "13", "-12")] == [True, True, False, False]
    assert grader._process is None


@pytest.mark.integration
def test_an_answer_that_computes_for_ever_is_killed_and_the_next_one_is_judged():
    grader = MathGrader(cpu_seconds=1.5)
    try:
        assert grader.compare("\\frac{1}{2}", "\\frac{2}{4}").equal
        started = time.process_time()
        found = grader.compare("7", "9^{9^{9^{9}}}+(x+y+z+w)^{500}")
        assert not found.equal
        assert time.process_time() - started < 1, "the time is the worker's, not ours"
        assert grader.compare("\\frac{1}{2}", "\\frac{2}{4}").equal
    finally:
        grader.close()


@pytest.mark.integration
def test_a_worker_that_dies_is_replaced(grader):
    assert grader.compare("0.25", "\\frac{1}{4}").equal
    grader._process.kill()
    assert grader.compare("0.25", "\\frac{2}{8}").equal


@pytest.mark.integration
def test_the_same_pair_is_compared_once(grader):
    assert grader.compare("0.25", "\\frac{3}{12}").equal
    grader.close()
    assert grader.compare("0.25", "\\frac{3}{12}").equal
    assert grader._process is None


def test_votes_count_equal_answers_as_one_and_there_is_no_visible_verdict():
    domain = get_domain("math", real=True)
    assert domain.prompts.parse("\\boxed{\\dfrac12}") == domain.prompts.parse("The answer is $0.5$.") == "\\frac{1}{2}"
    task = Task(task_id="t", domain="math", text="?")
    assert [getattr(f, "passed", f) for f in domain.judge.check([(task, "1")])] == [None]
    key = AnswerKey(task_id="t", domain="math", hidden={"answer": "\\frac{1}{2}"}, gold="")
    (score,) = domain.judge.score([(task, key, "\\frac{1}{2}")])
    assert getattr(score, "passed", score) is True


@pytest.mark.parametrize("reading", [1, 2], ids=["while the worker starts", "while it answers"])
def test_an_interrupted_question_leaves_no_answer_for_the_next(reading: int, monkeypatch: pytest.MonkeyPatch):
    grader, read, calls = MathGrader(), MathGrader._read, []

    def interrupted(process, cpu, wall):
        calls.append(cpu)
        if len(calls) == reading:
            raise KeyboardInterrupt
        return read(process, cpu, wall)

    monkeypatch.setattr(MathGrader, "_read", staticmethod(interrupted))
    try:
        with pytest.raises(KeyboardInterrupt):
            grader.compare("x^2+y", "y+x^2")
        assert grader._process is None
        assert not grader.compare("x^2+y", "y+2x^2").equal
        assert grader.compare("x^2+y", "y+x^2").equal
    finally:
        grader.close()
