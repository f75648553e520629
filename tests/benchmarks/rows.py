"""Rows in the benchmarks' own formats, written for these tests; and where the real rows are, if they are here."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

HUMANEVAL = {
    "task_id": "HumanEval/900",
    "prompt": "from typing import List\n\n\ndef half(n: int) -> int:\n    return n // 2\n\n\n"
    'def doubled(values: List[int]) -> List[int]:\n    """ Double each value.\n    >>> doubled([1, 2])\n    [2, 4]\n'
    '    >>> doubled([])\n    []\n    """\n',
    "entry_point": "doubled",
    "canonical_solution": "    return [2 * v for v in values]\n",
    "test": "def check(candidate):\n    assert candidate([1]) == [2]\n    assert candidate([half(6)]) == [6]\n",
}
MBPP = {
    "text": "Write a function to join the two given tuples.",
    "code": "def joined(a, b):\r\n  return a + b",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": [
        "assert joined((1,), (2,)) == (1, 2)",
        "assert joined((), ()) == ()",
        "assert set(joined((1,), ())) == {1}",
    ],
    "challenge_test_list": [],
}
MBPP_SANITIZED = {
    "source_file": "Benchmark",
    "task_id": 12,
    "prompt": "Write a function to find the root of a number.",
    "code": "import math\ndef root(n):\n  return math.sqrt(n)",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(root(4), 2)", "assert math.isclose(root(9), 3)"],
}
MBPP_STUB = {
    "task_id": "MbppEval/13",
    "prompt": "def negated(n):\n    '''\n    Write a function to negate a number.\n    '''\n",
    "entry_point": "negated ",
    "canonical_solution": "  return -n\n",
    "test": "def check(candidate):\n    assert negated(1) == -1\n    assert negated(0) == 0\n",
}
MBPP_397 = {
    "name": "mbpp_14_area_of_square",
    "language": "py",
    "prompt": 'def area_of_square(side: int) -> int:\n    """\n'
    '    Write a python function to find the area of a square.\n    """\n',
    "doctests": "transform",
    "stop_tokens": ["\ndef", "\n#", "\nif", "\nclass"],
    "entry_point": "area_of_square",
    "tests": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(5) == 25\n\ndef test_check():\n"
    "    check(area_of_square)\n\ntest_check()\n",
}


def packed(value: Any) -> str:
    """As LiveCodeBench packs its private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


LCB_STDIN = {
    "question_title": "Sum",
    "question_content": "Read two numbers and print their sum.",
    "platform": "atcoder",
    "question_id": "abc900_a",
    "contest_id": "abc900",
    "contest_date": "2024-05-01T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": packed(json.dumps([{"input": "5 7\n", "output": "12\n", "testtype": "stdin"}])),
    "metadata": "{}",
}
LCB_FUNCTIONAL = LCB_STDIN | {
    "question_id": "9000",
    "platform": "leetcode",
    "starter_code": "class Solution:\n    def pairs(self, nums: List[int], k: int) -> List[List[int]]:\n        ",
    "public_test_cases": json.dumps(
        [{"input": "[1, 2, 3]\n2", "output": "[[1, 2], [2, 3]]", "testtype": "functional"}]
    ),
    "private_test_cases": packed(json.dumps([{"input": "[4]\n2", "output": "[]", "testtype": "functional"}])),
    "metadata": json.dumps({"func_name": "pairs"}),
}
PAIRS = (
    "class Solution:\n    def pairs(self, nums: List[int], k: int) -> List[List[int]]:\n"
    "        return [[a, b] for a, b in zip(nums, nums[1:])]\n"
)
APPS_CALL = {
    "problem_id": 7,
    "question": "Return whether a number is even.",
    "solutions": json.dumps(["def even(n):\n    return n % 2 == 0\n"]),
    "input_output": json.dumps({"fn_name": "even", "inputs": [[2], [3]], "outputs": [[True], [False]]}),
    "difficulty": "introductory",
    "url": "",
    "starter_code": "",
}
APPS_STDIN = APPS_CALL | {
    "problem_id": 8,
    "question": "Print half of the number.",
    "solutions": json.dumps(["print(int(input()) / 2)\n"]),
    "input_output": json.dumps({"inputs": ["3\n", "4\n"], "outputs": ["1.50\n", "2\n"]}),
    "difficulty": "interview",
}
SUBJECTS = (
    "Algebra", "Counting & Probability", "Geometry", "Intermediate Algebra", "Number Theory", "Prealgebra",
    "Precalculus",
)  # fmt: skip


def math_row(number: int, subject: str = "Algebra") -> dict[str, Any]:
    words = ("apples", "bricks", "coins", "drums", "eggs", "flags", "gates")
    return {
        "problem": f"Number {number} of {subject}: {words[number % 7]} come in crates of ${number}$. How many are in "
        f"two crates of {words[number % 5]} and {number + 3} further ones?",
        "level": f"Level {number % 5 + 1}",
        "type": subject,
        "solution": f"Two crates hold ${2 * number}$, so there are $\\boxed{{{3 * number + 3}}}$.",
        "idx": f"{subject.replace(' ', '_')}/{number}",
    }


GSM8K = {
    "question": "Ana has 1,000 stamps and buys 200. How many has she?",
    "answer": "1000+200=<<1000+200=1200>>\n#### 1,200",
}
HOTPOT = {
    "_id": "5a0000000000000000000001",
    "question": "Which painter born in Lenvik taught the sculptor of the Old Gate?",
    "answer": "The Ida Holm",
    "type": "bridge",
    "level": "medium",
    "supporting_facts": [["Old Gate", 0], ["Ida Holm", 1]],
    "context": [
        ["Old Gate", ["The Old Gate was made by Per Lie."]],
        ["Ida Holm", ["A painter.", " She taught Per Lie."]],
    ],
}
HOTPOT_HUB = HOTPOT | {
    "id": HOTPOT["_id"],
    "supporting_facts": {"title": ["Old Gate", "Ida Holm"], "sent_id": [0, 1]},
    "context": {
        "title": ["Old Gate", "Ida Holm"],
        "sentences": [["The Old Gate was made by Per Lie."], ["A painter.", " She taught Per Lie."]],
    },
}
HOTPOT_HUB.pop("_id")


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def real_data() -> Path:
    """The folder of real benchmark rows; skips the test where there is none."""
    places = [os.environ.get("PARAMMEM_SHARED_DATA", ""), str(ROOT.parent / "shared" / "data")]
    for place in filter(None, places):
        if (Path(place) / "humaneval" / "HumanEval.jsonl.gz").is_file():
            return Path(place)
    pytest.skip("no real benchmark rows: set PARAMMEM_SHARED_DATA to a folder that has them")
