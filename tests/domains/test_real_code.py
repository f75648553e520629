"""How candidates are found in text, put together with stubs, and how printed output is compared."""

from __future__ import annotations

import pytest

from parammem.core import AnswerKey, Task
from parammem.domains.code_outcomes import same_output
from parammem.domains.real_code import RealCodeJudge, RealCodePrompts, source_of

STUB = 'import math\n\n\ndef helper(n):\n    return n + 1\n\n\ndef target(n):\n    """Doc."""\n'


@pytest.mark.parametrize(
    ("text", "candidate"),
    [
        ("Look:\n```python\ndef f():\n    return 1\n```\nDone.", "def f():\n    return 1"),
        ("```\nx = 1\n```\nthen\n```py\ndef f():\n    pass\n```\nuse:\n```\nf()\n```", "def f():\n    pass"),
        ("```python\ndef f():\n    return 1", "def f():\n    return 1"),
        ("```python\r\nprint(input())\r\n```", "print(input())"),
        ("\ndef f():\n    return 1\n", "def f():\n    return 1"),
        ("    return n", "    return n"),
    ],
)
def test_the_candidate_is_the_last_block_that_is_a_solution(text, candidate):
    assert RealCodePrompts().parse(text) == candidate


def test_a_stub_gives_its_helpers_to_a_whole_function_and_its_head_to_a_body():
    spec = {"entry": "target", "stub": STUB}
    whole, before = source_of(spec, "def target(n):\n    return helper(n)")
    assert whole.count("def target") == 1
    assert "def helper" in whole
    assert whole.splitlines()[before] == "def target(n):"
    body, before = source_of(spec, "    return helper(n)")
    assert before == 0
    for source in (whole, body):
        space: dict = {}
        exec(source, space)
        assert space["target"](1) == 2


@pytest.mark.parametrize(
    ("printed", "wanted", "same"),
    [
        ("1 2\n3\n", "1  2 \n3", True),
        ("1.0\n", "1.00", True),
        ("1e2", "100", True),
        ("YES", "Yes", False),
        ("1\n2", "1 2", False),
        ("1\n\n", "1", True),
        ("", "0", False),
        ("nan", "nan", True),
        ("a.0", "a", False),
    ],
)
def test_output_is_compared_by_lines_words_and_numbers(printed, wanted, same):
    assert same_output(printed, wanted) is same


def test_a_program_that_prints_right_and_then_breaks_has_failed():
    spec = {"entry": "", "checks": [{"name": "a", "stdin": "", "expected": "1"}]}
    task = Task(task_id="t", domain="code", text="?", visible=spec)
    candidates = ["print(1)", "print(1)\nraise ValueError", "print(1)\nimport sys; sys.exit(0)"]
    feedback = RealCodeJudge().check([(task, candidate) for candidate in candidates])
    assert [getattr(f, "passed", f) for f in feedback] == [True, False, True]


def test_a_key_without_tests_judges_nothing():
    key = AnswerKey(task_id="t", domain="code", hidden={"entry": "f", "checks": []}, gold="")
    (score,) = RealCodeJudge().score([(Task(task_id="t", domain="code", text="?"), key, "def f(): pass")])
    assert isinstance(score, ValueError)


def test_one_task_that_cannot_be_judged_harms_no_other():
    broken = Task(task_id="a", domain="code", text="?", visible={"entry": "f", "checks": [{"name": "n", "call": "f("}]})
    sound = Task(
        task_id="b",
        domain="code",
        text="?",
        visible={"entry": "f", "checks": [{"name": "n", "call": "f()", "expected": "1"}]},
    )
    found = RealCodeJudge().check([(broken, "def f(): return 1"), (sound, "def f(): return 1")])
    assert isinstance(found[0], Exception)
    assert getattr(found[1], "passed", None) is True


def feedback_on(*candidates: str, **spec) -> list:
    checks = [{"name": "a", "stdin": "", "expected": "1"}]
    task = Task(task_id="t", domain="code", text="?", visible={"entry": "", "imports": True, "checks": checks} | spec)
    return RealCodeJudge().check([(task, candidate) for candidate in candidates])


@pytest.mark.parametrize("ending", ["exit()", "quit()", "exit(0)", "from sys import exit\nexit()"])
def test_a_program_may_end_by_exit_and_quit_as_under_plain_python(ending):
    found = feedback_on(f"print(1)\n{ending}\nprint(2)", f"print(2)\n{ending}")
    assert [getattr(f, "passed", f) for f in found] == [True, False]


FUTURES = [
    "from __future__ import annotations",
    '# Solution.\n"""Adds."""\nfrom __future__ import annotations',
    '"""Adds é."""; from __future__ import annotations; x = 1',
    "from __future__ import (\n    annotations,\n    division,\n); x = 1",
    "from __future__ import annotations\r\nfrom __future__ import division",
    "from __future__ import annotations, \\\n    division",
]


@pytest.mark.parametrize("head", FUTURES)
def test_future_imports_stay_first_and_lines_of_errors_stay_those_of_the_candidate(head):
    right, broken = f"{head}\nprint(1)", f"{head}\ndef f(a: unknown) -> None: ...\nprint(1)\n1 / 0"
    (passed, failed) = feedback_on(right, broken)
    assert passed.passed is True, passed.text
    line = len(broken.splitlines())
    assert f"ZeroDivisionError: division by zero (line {line})" in failed.text


def test_a_stub_that_is_written_anew_may_have_future_imports_too():
    checks = [{"name": "a", "call": "target(1)", "expected": "2"}]
    spec = {"entry": "target", "stub": STUB, "imports": False, "checks": checks}
    head = "from __future__ import annotations\n"
    (passed, failed) = feedback_on(
        head + "def target(n: unknown):\n    return helper(n)", head + "def target(n):\n    return n / 0", **spec
    )
    assert passed.passed is True, passed.text
    assert "(line 3)" in failed.text


@pytest.mark.parametrize(
    "source",
    [
        "import os\nfrom __future__ import annotations\nprint(1)",
        "print(1)\nfrom __future__ import annotations",
        "from __future__ import nothing\nprint(1)",
        "from __future__ import annotations\nprint(1",
    ],
)
def test_what_plain_python_refuses_is_refused_here(source):
    (found,) = feedback_on(source)
    assert found.passed is False
    assert "SyntaxError" in found.text


def test_the_line_of_a_syntax_error_is_the_candidate_s():
    (found,) = feedback_on("x = 1\nprint((1)\n")
    assert "line 2)" in found.text


def test_future_imports_in_words_alone_change_nothing():
    source = "# from __future__ import annotations\nprint('from __future__ import division')\n"
    assert source_of({"entry": "", "imports": True}, source)[0].endswith(source)


def test_an_answer_too_long_to_be_written_has_failed_and_harms_no_neighbour():
    task = Task(task_id="t", domain="code", text="?")
    checks = [{"name": "a", "call": "f(1)", "expected": "2"}]
    key = AnswerKey(task_id="t", domain="code", hidden={"entry": "f", "checks": checks}, gold="")
    sources = ("def f(x): return 10**5000", "def f(x): return 2")
    found = RealCodeJudge().score([(task, key, source) for source in sources])
    assert [getattr(score, "passed", score) for score in found] == [False, True]
