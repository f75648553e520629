"""HumanEval and MBPP rows → items, in every layout that is in use.

Task.visible and AnswerKey.hidden are those of `domains.real_code`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from parammem.benchmarks.examples import assert_check, stated_checks
from parammem.benchmarks.item import Item, Missing, code_item, need
from parammem.core.python_source import parse_python, unparsed
from parammem.domains.added import PASS_TEST
from parammem.sandbox.humaneval import HumanEvalProblem

WRONG_EXAMPLES = {
    "HumanEval/47": ("median([-10, 4, 6, 1000, 10, 20])",),  # says 15.0; the median is 8.0
    "HumanEval/116": (
        "sort_array([1, 5, 2, 3, 4])",
        "sort_array([-2, -3, -4, -5, -6])",
    ),  # sorted by value, not by bits
    "HumanEval/130": ("tri(1)", "tri(2)", "tri(3)", "tri(4)"),  # members of the sequence, written like calls
    "HumanEval/148": ("bf('Earth', 'Mercury')",),  # ("Venus") is no tuple
}
"""Task id → calls of which the docstring states something else than the benchmark's own solution and tests. They are no
visible checks. Found by running the solutions: `python -m benchmarks.graders` does it again."""
NOT_JUDGED = {
    367: "they build trees from the solution's own classes",
    533: "they hand over a type",
    601: "they build pairs from the solution's own class",
    927: "they build trees from the solution's own classes",
}
"""MBPP task id → why its tests cannot be run: what goes to a candidate must be plain values (docs/security.md)."""


def humaneval(row: Mapping[str, Any], number: int) -> Item:
    """Return a row of HumanEval (Chen et al. 2021, arXiv:2107.03374). Visible checks are those that its docstring
    states."""
    task_id, prompt, entry, solution, tests = need(
        dict(row), "task_id", "prompt", "entry_point", "canonical_solution", "test"
    )
    checks = [c for c in stated_checks(prompt, entry) if c["call"] not in WRONG_EXAMPLES.get(task_id, ())]
    return _function_item("humaneval", task_id, prompt, entry, solution, tests, checks)


def mbpp(row: Mapping[str, Any], number: int) -> Item:
    """Return a row of MBPP (Austin et al. 2021, arXiv:2108.07732): the full layout (`text`), the sanitized one
    (`prompt`, with `test_imports`), sanitized as function stubs (`canonical_solution`), or the 397-task layout of
    MultiPL-E (`name`, `tests` or `test`). The first test is visible, all are hidden ones."""
    if "test_list" in row:
        return _mbpp_asserts(row)
    if "canonical_solution" in row:
        task_id, prompt, entry, solution, tests = need(
            dict(row), "task_id", "prompt", "entry_point", "canonical_solution", "test"
        )
        if re.search(r"^def check\(", solution, re.MULTILINE):
            raise Missing(
                f"{task_id} is left out: its tests call a `check` of the solution and are named so themselves"
            )
        return _function_item("mbpp", task_id, prompt, entry.strip(), solution, tests, _first(tests, entry.strip()))
    if "name" in row:
        return _mbpp_multiple(row)
    raise Missing("neither test_list, canonical_solution nor name: none of MBPP's layouts")


def mbpp_part(task_id: int) -> str:
    """Return the official part of MBPP that a task id belongs to."""
    return "prompt" if task_id <= 10 else "test" if task_id <= 510 else "validation" if task_id <= 600 else "train"


def _mbpp_asserts(row: Mapping[str, Any]) -> Item:
    number, tests, code = need(dict(row), "task_id", "test_list", "code")
    text = row.get("text") or row.get("prompt")
    if not text:
        raise Missing("no field 'text' or 'prompt'")
    if int(number) in NOT_JUDGED:
        raise Missing(f"mbpp/{number} is left out: its tests cannot be run: {NOT_JUDGED[int(number)]}")
    every = [*tests, *(row.get("challenge_test_list") or ())]
    entry = entry_of(every, code)
    setup = "\n".join([row.get("test_setup_code") or "", *(row.get("test_imports") or ())]).strip()
    task_id = f"mbpp/{number}"
    shown = f"{text.strip()}\n\n{PASS_TEST}\n```python\n{tests[0].strip()}\n```"
    visible = {"entry": entry, "checks": [_as_check(tests[0], entry, setup)]}
    # The sandbox takes a function `check` of the tests for HumanEval's; a candidate of that name is none.
    tests_text = _program(every, setup) + ("check = None\n" if entry == "check" else "")
    hidden = {"entry": entry, "checks": [{"name": "tests", "tests": tests_text}]}
    gold = code.replace("\r\n", "\n")
    tags = {"benchmark": "mbpp", "part": mbpp_part(int(number)), "visible": "first test"}
    return code_item(task_id, shown, text, visible, hidden, gold, tags)


def _mbpp_multiple(row: Mapping[str, Any]) -> Item:
    """Return an item of a row of MultiPL-E. It has no solutions, so the gold is empty."""
    name, prompt = need(dict(row), "name", "prompt")
    tests = row.get("tests") or row.get("test")
    if not tests:
        raise Missing("no field 'tests' or 'test'")
    entry = row.get("entry_point") or entry_of([tests], prompt)
    tests = re.sub(r"\ndef test_check\(\):.*\Z", "\n", tests, flags=re.DOTALL)  # it would run them under another name
    task_id = "/".join(name.split("_")[:2])
    return _function_item("mbpp", task_id, prompt, entry, "", tests, _first(tests, entry))


def _function_item(
    benchmark: str, task_id: str, prompt: str, entry: str, solution: str, tests: str, checks: list[dict[str, Any]]
) -> Item:
    """Return a problem that is stated as the head of a function."""
    problem = HumanEvalProblem(
        task_id=task_id, prompt=prompt, entry_point=entry, canonical_solution=solution, test=tests
    )
    stub = {"entry": entry, "stub": prompt}
    hidden = stub | {"checks": [{"name": "tests", "tests": tests}]}
    source = "docstring" if benchmark == "humaneval" else "first test"
    tags = {"benchmark": benchmark, "visible": source if checks else "none"}
    number = re.search(r"[/_](\d{1,4})$", task_id)
    if benchmark == "mbpp" and number:
        tags["part"] = mbpp_part(int(number[1]))
    gold = problem.program(solution) if solution else ""
    text = f"```python\n{prompt.strip()}\n```"
    if benchmark == "mbpp" and checks:
        text += f"\n\n{PASS_TEST}\n```python\nassert {_stated(checks[0], entry)}\n```"
    name = re.sub("^(HumanEval|MbppEval)", benchmark, task_id)
    return code_item(name, text, prompt, stub | {"checks": checks}, hidden, gold, tags)


def entry_of(tests: list[str], code: str) -> str:
    """Return the function of `code` that the tests call: the last one that is defined of those that they name.

    Raises:
        Missing: they call none of them.
    """
    tree = parse_python(code)
    if tree is not None:
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    else:
        defined = re.findall(r"^(?:def|class)\s+(\w+)", code, flags=re.MULTILINE)
    called = set(re.findall(r"\b(\w+)\s*\(", "\n".join(tests)))
    named = [name for name in defined if name in called]
    if not named:
        raise Missing(f"its tests call none of the functions it defines ({', '.join(defined)})")
    return named[-1]


def _first(tests: str, entry: str) -> list[dict[str, Any]]:
    """Return the first assert of a test program's `check` function as a visible check."""
    tree = parse_python(tests)
    if tree is None:
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            asserts = [unparsed(step) for step in node.body if isinstance(step, ast.Assert)]
            check = re.sub(r"\bcandidate\(", lambda _: f"{entry}(", asserts[0]) if asserts else ""
            return [_as_check(check, entry, "")] if asserts else []
    return []


def _as_check(statement: str, entry: str, setup: str) -> dict[str, Any]:
    """Return an assert as a check: a call and its value where it is that, else a small test program."""
    check = None if setup else assert_check(statement, entry)
    return check or {"name": statement.strip().removeprefix("assert ")[:200], "tests": _program([statement], setup)}


def _program(asserts: list[str], setup: str) -> str:
    return "\n".join([setup, *(line.strip().replace("\r\n", "\n") for line in asserts)]).strip() + "\n"


def _stated(check: dict[str, Any], entry: str) -> str:
    return f"{check['call']} == {check['expected']}" if "call" in check else check["name"]
