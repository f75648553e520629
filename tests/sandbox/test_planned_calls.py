"""Calls that a test program is certain to make are sent together; what a verdict says never depends on it."""

from __future__ import annotations

import ast
import marshal
from pathlib import Path

import pytest

from parammem.sandbox import Limits, Pool
from parammem.sandbox.humaneval import read_problems
from parammem.sandbox.inner import planned_calls, wire
from tests.sandbox.trusting import check_program, checked


def planned(tests: str, entry: str = "f") -> tuple[list[object], bool]:
    """Positional arguments of each call, and whether they are all."""
    calls, complete = planned_calls.calls(ast.parse(tests), entry)
    return [marshal.loads(call)[1] for call in calls], complete


def test_assertions_in_a_straight_line_are_planned_in_order():
    tests = "import math\nassert f(1) == 2\nassert abs(f(2, [3]) - f(-4.5)) < 1\n"
    tests += "x = f('a')\nassert len(str(f({1: (2,)}))) > 0\n"
    assert planned(tests) == ([(1,), (2, [3]), (-4.5,), ("a",), ({1: (2,)},)], True)


def test_the_body_of_check_follows_the_module():
    tests = "METADATA = {}\ndef check(g):\n    assert g(1) == 1, 'why'\n    assert True\n"
    tests += "    assert g(x=2) == f(3)\ncandidate(0)\n"
    calls, complete = planned(tests)
    assert (calls, complete) == ([(0,), (1,), (), (3,)], True)


@pytest.mark.parametrize(
    "tail",
    [
        "for i in range(3): f(i)",
        "if f(2): pass",
        "try: f(2)\nexcept ValueError: pass",
        "while f(2): break",
        "x = 1\nassert f(x)",
        "assert list(map(f, [2]))",
        "assert [f(i) for i in (2, 3)]",
        "g = f\nassert g(2)",
        "assert f(*[2])",
        "assert f(**{'x': 2})",
        "assert f({1, 2})",
        "assert 0 and f(2)",
        "assert 1 if True else f(2)",
        "assert 1 < 2 < f(2)",
        "assert (lambda: f(2))()",
        "with f(2): pass",
        "f = abs\nassert f(2)",
        "assert f(object())",
    ],
)
def test_what_is_not_certain_is_not_foreseen(tail: str):
    assert planned(f"assert f(1)\n{tail}\nassert f(9)") == ([(1,)], False)


def counted(pool: Pool, source: str, tests: str) -> tuple[bool, str]:
    verdict = pool.check([checked(source, "f", tests)], Limits(cpu_seconds=0.5))[0]
    return verdict.passed, verdict.detail


def test_a_verdict_is_the_same_when_calls_are_not_those_foreseen():
    """The helper calls the candidate between two calls that are in the text: the state says who called when."""
    source = "seen = []\ndef f(x):\n    seen.append(x)\n    return list(seen)\n"
    helper = "def helper():\n    return f(7)\n"
    right = f"{helper}assert f(1) == [1]\nassert helper() == [1, 7]\nassert f(2) == [1, 7, 2]\n"
    wrong = f"{helper}assert f(1) == [1]\nassert helper() == [1, 7]\nassert f(2) == [1, 2]\n"
    swallowed = (
        f"{helper}def quiet():\n    try:\n        return helper()\n    except BaseException:\n        return None\n"
    )
    swallowed += "assert f(1) == [1]\nassert quiet() == [1, 7]\nassert f(2) == [1, 7, 2]\n"
    extra = f"{helper}assert f(1) == [1]\nassert helper() == [1, 7]\n"
    with Pool(1) as pool:
        for _ in range(2):
            assert counted(pool, source, right) == (True, "")
            assert counted(pool, source, swallowed) == (True, "")
            assert counted(pool, source, extra) == (True, "")
            passed, detail = counted(pool, source, wrong)
            assert not passed
            assert "test line 5" in detail


def test_tests_that_stop_early_are_not_called_wrong():
    tests = "def check(c):\n    assert c(1) == 1\n    return\n    assert c(2) == 1\n"
    assert check_program("def f(x): return 1", "f", tests).passed


def test_what_a_candidate_does_later_does_not_hide_what_it_did_first():
    """The second call never ends; the first was wrong, and that is what is said, at once."""
    source = "def f(x):\n    while x == 2: pass\n    return x\n"
    verdict = check_program(source, "f", "assert f(1) == 5\nassert f(2) == 2", Limits(cpu_seconds=20, wall_seconds=20))
    assert not verdict.passed
    assert "test line 1" in verdict.detail
    assert verdict.cpu_seconds < 5


@pytest.mark.parametrize(
    ("body", "kind"),
    [("while True: pass", "cpu"), ("import os; os._exit(0)", "exit"), ("print('x' * 10**6)", "output"),
     ("import ctypes; ctypes.string_at(0)", "crash"), ("import os; os.closerange(0, 99)", "exit")],
)  # fmt: skip
def test_an_ending_in_the_middle_is_that_of_its_call(body: str, kind: str):
    source = f"def f(x):\n    if x == 2:\n        {body}\n    return x\n"
    limits = Limits(cpu_seconds=0.3, output_bytes=1000)
    verdict = check_program(source, "f", "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3", limits)
    assert not verdict.passed
    assert verdict.outcome is not None
    assert verdict.outcome.kind == kind


def test_an_exception_is_raised_at_its_call():
    source = "def f(x): return 1 // x"
    verdict = check_program(source, "f", "assert f(1) == 1\nassert f(0) == 0\nassert f(2) == 0")
    assert "ZeroDivisionError" in verdict.detail
    assert "test line 2" in verdict.detail


def test_a_stopped_candidate_fails_though_the_tests_swallow_everything():
    tests = "def check(c):\n    try:\n        c()\n    except BaseException:\n        pass"
    assert not check_program("import os\ndef f(): os._exit(0)", "f", tests).passed


def test_equal_calls_are_equal_bytes_and_parts_are_not_shared():
    part = [1]
    assert wire.pack(("f", (part, part), {})) == wire.pack(("f", ([1], [1]), {}))
    first, second = marshal.loads(wire.pack([part, part]))
    assert first is not second
    assert wire.pack("ab" * 2) == wire.pack("abab")
    assert wire.pack(1) != wire.pack(True)
    assert wire.pack(0.0) != wire.pack(-0.0)


def test_most_calls_of_humaneval_are_planned(shared_data: Path):
    problems = read_problems(shared_data / "humaneval" / "HumanEval.jsonl.gz")
    plans = [planned(problem.test, problem.entry_point) for problem in problems]
    assert sum(complete for _, complete in plans) >= 140
    assert sum(len(calls) for calls, _ in plans) >= 1000
