"""Facts about the code domain: what the sandbox says of a program, in the words of feedback."""

from __future__ import annotations

import pytest

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains import Domain, get_domain

CHECKS = [
    {"name": "limit", "args": [[1, 2, 3], 2], "expected": 3},
    {"name": "empty", "args": [[5], 2], "expected": None},
]
TASK = Task(task_id="code-1", domain="code", text="write f(xs, k) .", visible={"entry": "f", "checks": CHECKS})
RIGHT = "def keep(xs, k):\n    return [x for x in xs if x <= k]\ndef f(xs, k):\n    return sum(keep(xs, k)) or None"


def key(checks: list[dict]) -> AnswerKey:
    return AnswerKey(task_id="code-1", domain="code", hidden={"entry": "f", "checks": checks}, gold=RIGHT)


@pytest.fixture(scope="module")
def domain() -> Domain:
    return get_domain("code", wall_seconds=0.5, cpu_seconds=0.2, memory_mb=128)


def said(domain: Domain, *programs: str) -> list[str]:
    """Feedback texts; none of the programs may be taken for right."""
    found = domain.judge.check([(TASK, program) for program in programs])
    for one in found:
        assert isinstance(one, Feedback), one
        assert not one.passed
        assert Feedback.model_validate_json(one.line()) == one  # it can be written down
    return [one.text for one in found if isinstance(one, Feedback)]


def test_a_program_with_helper_functions_passes(domain):
    assert domain.judge.check([(TASK, RIGHT)]) == [Feedback(passed=True, text="limit ok ; empty ok")]
    assert domain.judge.score([(TASK, key(CHECKS), RIGHT)]) == [Score(task_id="code-1", passed=True, value=1.0)]


def test_feedback_shows_what_was_expected_and_what_came(domain):
    wrong = "def f(xs, k):\n    return sum(x for x in xs if x < k)"
    assert said(domain, wrong) == ["limit expected 3 got 1 ; empty expected None got 0"]


def test_programs_that_fail_are_told_apart_by_one_word(domain):
    programs = {
        "def f(xs, k):\n    return ys": "error",
        "def f(xs):\n    return 1": "error",
        "def f(xs, k:\n    return 1": "error",
        "def g(xs, k):\n    return 1": "error",
        "": "error",
        "def f(xs, k):\n    import os\n    os._exit(0)": "exit",
        "def f(xs, k):\n    return object()": "error",
    }
    texts = said(domain, *programs)
    assert texts == [f"limit expected 3 got {word} ; empty expected None got {word}" for word in programs.values()]


def test_an_endless_program_is_stopped_and_its_feedback_says_timeout_whichever_limit_it_met(domain):
    busy = "def f(xs, k):\n    while True:\n        pass"
    idle = "import time\ndef f(xs, k):\n    time.sleep(1000)"
    (one,), (other,) = said(domain, busy), said(domain, idle)
    assert one.startswith("limit expected 3 got timeout")
    assert other.startswith("limit expected 3 got timeout")


def test_a_file_cannot_be_read_by_a_candidate(domain):
    (text,) = said(domain, "def f(xs, k):\n    return open('/etc/passwd').read()")
    assert text == "limit expected 3 got denied ; empty expected None got denied"


@pytest.mark.parametrize(
    "value",
    ["'half a pair \\ud800'", "10 ** 5000", "[10 ** 5000]", "'x' * 10 ** 6", "'\\n\\x00 ; limit ok'", "{1: {2}}"],
)
def test_hostile_values_make_short_feedback_that_can_be_written_down(domain, value):
    (text,) = said(domain, f"def f(xs, k):\n    return {value}")
    assert len(text) < 120
    assert "\n" not in text


def test_a_value_that_claims_to_equal_everything_is_not_believed(domain):
    liar = "class Any(int):\n    def __eq__(self, other):\n        return True\ndef f(xs, k):\n    return Any(9)"
    (text,) = said(domain, liar)
    assert "expected" in text


def test_one_bad_task_gives_its_exception_and_harms_no_other(domain):
    bad = Task(task_id="bad", domain="code", text="?", visible={"entry": "f", "checks": [{"name": "limit"}]})
    first, second, third = domain.judge.check([(TASK, RIGHT), (bad, RIGHT), (TASK, "")])
    assert isinstance(first, Feedback)
    assert first.passed
    assert isinstance(second, KeyError)
    assert isinstance(third, Feedback)
    first, second = domain.judge.score([(TASK, key([{"name": "limit"}]), RIGHT), (TASK, key(CHECKS), RIGHT)])
    assert isinstance(first, KeyError)
    assert isinstance(second, Score)
    assert second.passed


def test_a_task_without_visible_checks_has_no_verdict_and_a_key_without_tests_gives_no_score(domain):
    blind = TASK.model_copy(update={"visible": {}})
    assert domain.judge.check([(blind, RIGHT)]) == [Feedback(passed=None, text="")]
    (score,) = domain.judge.score([(TASK, key([]), RIGHT)])
    assert isinstance(score, ValueError)
    assert "'code-1' holds no hidden check" in str(score)


def test_score_names_the_first_hidden_test_that_failed_and_gives_no_partial_credit(domain):
    one_of_two = "def f(xs, k):\n    return 3"
    (score,) = domain.judge.score([(TASK, key(CHECKS), one_of_two)])
    assert score == Score(task_id="code-1", passed=False, value=0.0, detail="empty expected None got 3")


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("def f():\n    return 1\n\n", "def f():\n    return 1"),
        ("Sure:\n```python\ndef f():\n    return 1\n```\nDone.", "def f():\n    return 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("```python\ncut short", "cut short"),
        ("", ""),
    ],
)
def test_parse_takes_the_fenced_block_or_everything(domain, text, program):
    assert domain.prompts.parse(text) == program
