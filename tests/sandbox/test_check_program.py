"""Test programs run outside the child against a proxy; benchmark solutions pass, gutted ones fail."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from parammem.errors import DataError, RecordError
from parammem.sandbox import Limits, Pool, advise_program, asks, check_many
from parammem.sandbox.humaneval import HumanEvalProblem, read_problems
from tests.sandbox.trusting import check_program, checked

LIMITS = Limits(wall_seconds=10, cpu_seconds=10)


def test_loops_and_tolerances_run_against_the_proxy():
    tests = (
        "import math\ndef check(candidate):\n    for n in range(50):\n        assert math.isclose(candidate(n), n / 3)"
    )
    assert check_program("def third(n): return n * (1 / 3)", "third", tests).passed
    verdict = check_program("def third(n): return n * (1 / 3) if n < 40 else 0", "third", tests)
    assert not verdict.passed
    assert "AssertionError" in verdict.detail
    assert "test line 4" in verdict.detail


def test_plain_asserts_may_use_other_functions_and_standard_modules():
    source = "def double(x): return 2 * x\ndef main(x): return double(x) + 1"
    assert check_program(source, "main", "assert main(1) == math.floor(3.5)\nassert double(2) == 4").passed
    assert not check_program(source, "main", "assert triple(2) == 6").passed


def test_expected_exceptions_are_seen():
    tests = "def check(candidate):\n    try:\n        candidate(0)\n    except ZeroDivisionError:\n        return\n    assert False"
    assert check_program("def f(x): return 1 / x", "f", tests).passed
    assert not check_program("def f(x): return 0", "f", tests).passed


@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration", "GeneratorExit"])
@pytest.mark.parametrize(
    "body",
    [
        "assert all(map(lambda p: candidate(p[0]) == p[1], [(1, 2), (3, 4)]))",
        "for got, want in zip(map(candidate, [1, 2]), [2, 3]):\n        assert got == want",
        "assert [x for x in iter(lambda: candidate(1), 5)] == []",
        "assert next(map(candidate, [1]), 2) == 2",
    ],
)
def test_an_exception_that_ends_loops_silently_passes_no_test(name: str, body: str):
    verdict = check_program(f"def f(x): raise {name}('x: y')", "f", f"def check(candidate):\n    {body}")
    assert not verdict.passed
    assert "CandidateError" in verdict.detail


def test_other_exceptions_are_raised_where_protocols_ask():
    tests = "try:\n    {1: 2}.get(f('KeyError'))\nexcept KeyError: pass\nelse: assert False\n"
    tests += "try:\n    getattr(f('AttributeError'), 'x', 1)\nexcept AttributeError: pass\nelse: assert False\n"
    tests += "try:\n    f('IndexError') in map(f, ['IndexError'])\nexcept LookupError: pass\nelse: assert False"
    assert check_program("import builtins\ndef f(x): raise getattr(builtins, x)('no')", "f", tests).passed


@pytest.mark.parametrize(
    ("value", "words"),
    [("10**5000", "AssertionError (its text cannot be shown) at test line 1"), ("'\\ud800'", "\\ud800 at test line 1")],
)
def test_a_value_that_cannot_be_written_down_does_not_spoil_the_verdict(value: str, words: str):
    verdict = check_program(f"def f(x): return {value}", "f", "assert f(1) == 2, f(1)")
    assert not verdict.passed
    assert words in verdict.detail
    assert verdict.model_dump_json()
    assert verdict.line().encode()


def assert_fails_alone(tests: str, limits: Limits) -> None:
    """These tests of a hundred thousand numbers whose hashes collide fail alone, and the next are run."""
    source = "def f(): return [i * (2**61 - 1) for i in range(100_000)]"
    with Pool(1) as own:
        first, second = own.check([checked(source, "f", text) for text in (tests, "assert f()[0] == 0")], limits)
    assert not first.passed
    assert first.outcome is not None
    assert first.outcome.kind == "timeout"
    assert "tests took too long" in first.detail
    assert second.passed


@pytest.mark.integration
def test_tests_that_compute_for_ever_fail_alone():
    assert_fails_alone("assert set(f()) == {4}", Limits(cpu_seconds=0.1))


def test_tests_that_block_for_ever_fail_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asks, "_GRACE", 3)
    assert_fails_alone("f()\nimport time\ntime.sleep(1000)", Limits(wall_seconds=1))


def test_every_candidate_meets_the_same_random_numbers():
    """Tests that draw numbers pass or fail alike, whatever ran before them in this worker."""
    tests = "import random\nfor _ in range(3):\n    n = random.randint(0, 10**9)\n    assert f(n) == 2 * n, n"
    with Pool(1) as pool:
        wrong = checked("def f(n): return n", "f", tests)
        right = checked("def f(n): return 2 * n", "f", tests)
        first, passed, again = pool.check([wrong, right, wrong])
    assert passed.passed
    assert not first.passed
    assert first.detail == again.detail


def test_helpers_of_the_prompt_are_known_to_the_tests():
    preamble = "def helper(x):\n    return x + 1\ndef f(x):\n    'doc'\n"
    assert check_program(
        "def f(x): return x + 2", "f", "def check(c):\n    assert helper(c(1)) == 4", preamble=preamble
    ).passed


def test_an_object_that_is_no_plain_value_has_only_its_truth():
    source = "import re\ndef f(s): return re.match('a', s)"
    assert check_program(source, "f", "assert f('a')\nassert not f('b')").passed
    assert not check_program(source, "f", "assert f('a') == f('a')").passed
    assert not check_program(source, "f", "assert f('a').group() == 'a'").passed


def test_a_program_that_does_not_load_fails_even_without_calls():
    assert not check_program("def f(:", "f", "pass").passed
    assert not check_program("x = 1", "f", "pass").passed


@pytest.mark.parametrize(
    ("source", "kind"), [("def f(): \n  while True: pass", "cpu"), ("import os\ndef f(): os._exit(0)", "exit")]
)
def test_a_stopped_candidate_fails_whatever_the_tests_catch(source: str, kind: str):
    tests = "def check(candidate):\n    try:\n        candidate()\n    except Exception:\n        pass"
    verdict = check_program(source, "f", tests, Limits(cpu_seconds=0.2))
    assert not verdict.passed
    assert verdict.outcome is not None
    assert verdict.outcome.kind == kind
    assert verdict.detail


def test_a_printing_test_harms_nothing():
    assert check_program("def f(): return 1", "f", "print('noise')\nassert f() == 1").passed


def test_advice_is_the_childs_own_word():
    tests = "assert f(1) == 2"
    assert advise_program("def f(x): return x + 1", "f", tests).passed
    assert not advise_program("def f(x): return x", "f", tests).passed
    lie = "class E:\n    def __eq__(self, other): return True\ndef f(x): return E()"
    assert advise_program(lie, "f", tests).passed  # which is why it is advice only
    assert not check_program(lie, "f", tests).passed


def gutted(problem: HumanEvalProblem) -> str:
    indent = "    "
    return f"{indent}return None\n"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "wrong"),
    [("humaneval/HumanEval.jsonl.gz", []), ("mbpp/mbpp_sanitized_for_code_generation.jsonl", ["MbppEval/56"])],
    ids=["humaneval", "mbpp"],
)
def test_canonical_solutions_pass_and_gutted_ones_fail(name: str, wrong: list[str], shared_data: Path):
    """MbppEval/56 fails under plain Python too: its function is called `check`, like its test."""
    problems = read_problems(shared_data / name)
    verdicts = check_many([problem.check(problem.canonical_solution, name) for problem in problems], LIMITS, workers=2)
    assert [p.task_id for p, verdict in zip(problems, verdicts, strict=True) if not verdict.passed] == wrong
    verdicts = check_many([problem.check(gutted(problem), name) for problem in problems], LIMITS, workers=2)
    assert [p.task_id for p, verdict in zip(problems, verdicts, strict=True) if verdict.passed] == []


def test_problem_files_are_read_with_errors_that_name_the_line(tmp_path: Path):
    with pytest.raises(DataError, match="no file"):
        read_problems(tmp_path / "none.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"task_id": "a"}\n')
    with pytest.raises(RecordError, match=r"(?s)broken.jsonl:1: .*prompt"):
        read_problems(broken)


def test_a_candidate_called_check_is_no_test():
    assert check_program("def check(x): return x + 1", "check", "assert check(1) == 2").passed
    assert check_program("def f(x): return x\ndef check(x): return x + 1", "f", "assert check(f(1)) == 2").passed
