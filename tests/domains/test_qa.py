"""Facts about the QA domain: how answers are read and compared, and what sibling questions say of a plan."""

from __future__ import annotations

import pytest

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains import get_domain
from parammem.domains.qa import QaJudge, answer_in, normalise

CHECKS = [
    {
        "name": "home of adam",
        "phrase": "home",
        "expected": "rome",
        "answers": {"lives": "rome", "born": "oslo"},
    }
]
TASK = Task(task_id="qa-1", domain="qa", text="who ?", visible={"checks": CHECKS})
KEY = AnswerKey(task_id="qa-1", domain="qa", hidden={"answer": "zoe"}, gold="answer rome chief zoe")


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The  Cat", "cat"),
        ("a cat, an owl & the dog!", "cat owl dog"),
        ("theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("  Zoe\n", "zoe"),
        ("", ""),
        ("“Zoe”", "“zoe”"),
    ],
)
def test_answers_are_normalised_as_hotpotqa_does(answer, normal):
    assert normalise(answer) == normal
    assert normalise(normalise(answer)) == normal


def test_the_answer_is_the_last_word_of_the_last_answer_line():
    assert answer_in("plan home lives\nanswer rome chief adam\nanswer rome chief zoe") == "zoe"
    assert answer_in("the answer is zoe") == ""
    assert answer_in("") == ""


def test_score_compares_the_answer_alone():
    domain = get_domain("qa")
    good, bad, none = domain.judge.score(
        [(TASK, KEY, "answer ZOE ."[:10]), (TASK, KEY, "answer adam"), (TASK, KEY, "zoe")]
    )
    assert good == Score(task_id="qa-1", passed=True, value=1.0)
    assert bad == Score(task_id="qa-1", passed=False, value=0.0, detail="answer expected zoe got adam")
    assert isinstance(none, Score)
    assert not none.passed


@pytest.mark.parametrize(
    ("candidate", "passed", "text"),
    [
        ("plan home lives ; head chief\nanswer zoe", True, "home of adam ok"),
        ("plan home born\nanswer zoe", False, "home of adam expected rome got oslo"),
        ("plan head chief\nanswer zoe", False, "home of adam expected rome got nothing"),
        ("answer zoe", False, "home of adam expected rome got nothing"),
        ("plan home lives ; home born\nanswer zoe", False, "home of adam expected rome got nothing"),
        ("plan home lives\nplan home born\nanswer zoe", True, "home of adam ok"),
        ("", False, "home of adam expected rome got nothing"),
    ],
)
def test_a_candidate_is_held_to_the_readings_of_its_first_plan_line(candidate, passed, text):
    assert QaJudge().check([(TASK, candidate)]) == [Feedback(passed=passed, text=text)]


def test_one_bad_task_gives_its_exception_and_harms_no_other():
    domain = get_domain("qa")
    bad = TASK.model_copy(update={"visible": {"checks": [{"name": "home"}]}})
    first, second = domain.judge.check([(bad, "plan home lives"), (TASK, "plan home lives")])
    assert isinstance(first, KeyError)
    assert isinstance(second, Feedback)
    lost = KEY.model_copy(update={"hidden": {}})
    first, second = domain.judge.score([(TASK, lost, "answer zoe"), (TASK, KEY, "answer zoe")])
    assert isinstance(first, KeyError)
    assert isinstance(second, Score)


def test_a_task_without_sibling_questions_has_no_verdict():
    blind = TASK.model_copy(update={"visible": {}})
    assert QaJudge().check([(blind, "answer zoe")]) == [Feedback(passed=None, text="")]
