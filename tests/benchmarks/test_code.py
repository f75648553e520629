"""HumanEval, MBPP, APPS and LiveCodeBench: each layout is read, its gold scores 1 and something else scores 0."""

from __future__ import annotations

import json

import pytest

from parammem.benchmarks.code import _first
from parammem.benchmarks.examples import assert_check, literal_call, stated_checks
from parammem.benchmarks.item import Missing
from parammem.benchmarks.table import get_benchmark, items_of
from parammem.domains import get_domain
from parammem.domains.real_code import RealCodeJudge
from parammem.errors import ConfigError, DataError
from tests.benchmarks import rows

SUM = "a, b = map(int, input().split())\nprint(a + b)"
SOLUTIONS = [
    ("humaneval", rows.HUMANEVAL, None, "def doubled(values):\n    return values"),
    ("humaneval", rows.HUMANEVAL, "    return [v + v for v in values]", "    return []"),
    ("mbpp", rows.MBPP, None, "def joined(a, b):\n    return list(a + b)"),
    ("mbpp", rows.MBPP_SANITIZED, None, "def root(n):\n    return n"),
    ("mbpp", rows.MBPP_STUB, None, "def negated(n):\n    return n"),
    (
        "mbpp",
        rows.MBPP_397,
        "def area_of_square(side):\n    return side ** 2",
        "def area_of_square(side):\n    return 4",
    ),
    ("livecodebench", rows.LCB_STDIN, SUM, "print(3)"),
    ("livecodebench", rows.LCB_FUNCTIONAL, rows.PAIRS, rows.PAIRS.replace("nums[1:]", "nums")),
    ("apps", rows.APPS_CALL, None, "def even(n):\n    return True"),
    ("apps", rows.APPS_CALL, "class Solution:\n    def even(self, n):\n        return [n % 2 == 0]", "x = 1"),
    ("apps", rows.APPS_STDIN, None, "print(int(input()) // 2)"),
]


@pytest.mark.parametrize(("name", "row", "right", "wrong"), SOLUTIONS)
def test_right_solutions_score_1_and_wrong_ones_0(name, row, right, wrong):
    (item,), bad = items_of(name, [row])
    assert bad == []
    domain = get_domain("code", real=True, cpu_seconds=5, wall_seconds=20)
    candidates = [right or item.key.gold, wrong]
    scores = domain.judge.score([(item.task, item.key, candidate) for candidate in candidates])
    assert [getattr(score, "passed", score) for score in scores] == [True, False]
    assert item.task.task_id == item.key.task_id
    assert item.task.task_id.startswith(f"{name}/")


def test_visible_checks_are_those_that_each_benchmark_has():
    found = {}
    for name, row, *_ in SOLUTIONS:
        (item,), _ = items_of(name, [row])
        found[item.task.task_id] = (item.key.tags["visible"], len(item.task.visible["checks"]))
    assert found["humaneval/900"] == ("docstring", 2)
    assert found["mbpp/11"] == ("first test", 1)
    assert found["mbpp/14"] == ("first test", 1)
    assert found["livecodebench/abc900_a"] == ("public tests", 1)
    assert next(seen for name, seen in found.items() if name.startswith("apps/7-")) == ("none", 0)


def test_a_task_without_visible_checks_has_no_visible_verdict():
    (item,), _ = items_of("apps", [rows.APPS_STDIN])
    (feedback,) = RealCodeJudge().check([(item.task, item.key.gold)])
    assert getattr(feedback, "passed", "error") is None


def test_the_task_holds_no_hidden_test():
    for name, row in (("mbpp", rows.MBPP), ("livecodebench", rows.LCB_STDIN), ("apps", rows.APPS_CALL)):
        (item,), _ = items_of(name, [row])
        shown = item.task.model_dump_json()
        assert "5 7" not in shown
        assert "joined((), ())" not in shown
        assert json.dumps([3]) not in shown


PROMPT = '''def f(a, b=0):
    """Add them.
    >>> f(1, 2)
    3
    >>> f((1,), (2,)) == (1, 2)
    True
    f(2) => 2, and f([1]) ==> [1]
    For a = 5, b = 6 the output should be 11
    Input: 7, 1
    Output: 8
    f(9) == 9 + 0 is arithmetic; f("x\\n") should return "x\\n"; f(a, b) == c names no values
    f(n) is true, other(3) == 4
    """
'''


def test_examples_in_a_docstring_become_checks_and_prose_does_not():
    found = {check["call"]: check["expected"] for check in stated_checks(PROMPT, "f")}
    assert found == {
        "f(1, 2)": "3",
        "f((1,), (2,))": "(1, 2)",
        "f(2)": "2",
        "f([1])": "[1]",
        "f(5, 6)": "11",
        "f(7, 1)": "8",
        "f('x\\n')": "'x\\n'",
    }


def test_only_asserts_of_literals_become_calls():
    assert assert_check("assert f(1) == {1, 2}", "f") == {
        "name": "f(1) == {1, 2}",
        "call": "f(1)",
        "expected": "{1, 2}",
    }
    for other in (
        "assert f(x) == 1",
        "assert g(1) == 1",
        "assert set(f(1)) == {1}",
        "assert f(1) > 0",
        "f(1) ==",
        "assert f(*[1]) == 1",
    ):
        assert assert_check(other, "f") is None


def test_examples_that_contradict_the_benchmark_are_no_checks():
    wrong = rows.HUMANEVAL | {
        "task_id": "HumanEval/47",
        "entry_point": "median",
        "prompt": 'def median(l: list):\n    """Return the median.\n    >>> median([3, 1, 2])\n    2\n'
        '    >>> median([-10, 4, 6, 1000, 10, 20])\n    15.0\n    """\n',
    }
    (item,), _ = items_of("humaneval", [wrong])
    assert [check["call"] for check in item.task.visible["checks"]] == ["median([3, 1, 2])"]


def test_tests_that_need_objects_are_left_out_with_the_reason():
    kept, bad = items_of("mbpp", [rows.MBPP, rows.MBPP | {"task_id": 367}])
    assert [item.task.task_id for item in kept] == ["mbpp/11"]
    assert "trees" in bad[0]


@pytest.mark.parametrize("entry", [r"f\g<0>", r"f\9", "f\\n", "a'b", "f)("])
def test_an_entry_is_put_into_a_check_as_it_is_written(entry):
    (check,) = _first("def check(candidate):\n    assert candidate(1) != 2\n", entry)
    assert check["tests"].startswith(f"assert {entry}(1) != 2")


def test_rows_that_python_cannot_parse_are_bad_rows_and_no_traceback():
    deep = "def check(candidate):\n    assert candidate(1) == " + "-" * 5000 + "1\n"
    for row in ({"test": deep}, {"prompt": "x = " + "(" * 5000 + "\n" + str(rows.HUMANEVAL["prompt"])}):
        kept, bad = items_of("humaneval", [rows.HUMANEVAL, rows.HUMANEVAL | row])
        assert len(kept) + len(bad) == 2
        assert kept


def test_a_file_of_another_format_is_refused():
    with pytest.raises(DataError, match="none of 1 rows is a problem of 'mbpp'"):
        items_of("mbpp", [{"question": "?"}])
    with pytest.raises(ConfigError, match="known: humaneval"):
        get_benchmark("humanevil")
    with pytest.raises(Missing, match="no field 'entry_point'"):
        get_benchmark("humaneval").reader(
            {"task_id": "HumanEval/1", "prompt": "", "canonical_solution": "", "test": ""}, 0
        )


def test_feedback_names_each_visible_test_and_what_came_instead():
    (item,), _ = items_of("humaneval", [rows.HUMANEVAL])
    (feedback,) = RealCodeJudge().check([(item.task, "def doubled(values):\n    return values")])
    assert getattr(feedback, "text", feedback) == (
        "FAILED: doubled([1, 2]) == [2, 4]: expected [2, 4], got [1, 2]\npassed: doubled([]) == []"
    )


@pytest.mark.parametrize(
    "text",
    ["-" * 3000 + "1", "f(" + "(" * 300 + ")" * 300 + ")", "f(1) == " + "1" * 5000, "f(\0)", "f(" + "-" * 3000 + "1)"],
)
def test_source_that_python_cannot_read_states_no_check(text):
    assert literal_call(text, "f") is None
    assert assert_check(f"assert {text}", "f") is None
    assert stated_checks(f'def f(x):\n    """{text}\n    >>> {text}\n    3\n    """\n', "f") == []


@pytest.mark.parametrize("row", [rows.MBPP, rows.MBPP_SANITIZED, rows.MBPP_STUB, rows.MBPP_397])
def test_every_layout_of_mbpp_says_to_which_official_part_a_row_belongs(row):
    (item,), _ = items_of("mbpp", [row])
    assert item.key.tags["part"] == "test", "ids 11 to 510"
