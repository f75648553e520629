"""Which checks and keys of a third party's task we judge by: plain data that our own comparison reads, and no programs.

A benchmark's test program runs outside the sandbox with this account's rights, so it is never taken from a row.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from parammem.core import AnswerKey, Task
from parammem.core.python_source import literal_of, parse_expression

LONGEST = 100_000
"""Characters of a call, of its arguments or of an expected value: they are parsed here."""
CHECKS = 1000
"""Checks of one task."""
_NAME = re.compile(r"(?:[^\W\d]\w{0,99})(?:\.[^\W\d]\w{0,99}){0,3}")
_NUMBER = re.compile(r"-?\d{1,100}(?:[./]\d{1,100})?")
WANTED = "give calls with literal arguments and expected values, or inputs and outputs, or leave it out"


def fault_of(task: Task, key: AnswerKey | None, kind: str = "") -> str:
    """Return why a task of a third party, with its key, cannot be judged as plain data; empty if it can. Holds no
    value of it.

    Args:
        kind: of its domain; empty: the domain's name.
    """
    kind = kind or task.domain
    found = _fault(kind, task.visible)
    if found:
        return f"task.visible: {found}"
    found = _fault(kind, key.hidden) if key else ""
    return f"key.hidden: {found}" if found else ""


def can_judge(task: Task, key: AnswerKey | None, real: bool, kind: str = "") -> bool:
    """Return whether the domain in use has a verdict on such a task: on its key, or else on its visible checks.

    Rows of older batches may hold test programs. Those are run in the candidate's own child, as advice.

    Args:
        real: the domain is that of real benchmarks, whose forms are others than those of pocket tasks.
        kind: of its domain; empty: the domain's name.
    """
    kind = kind or task.domain
    if kind == "open":  # what its agent or judge says needs no checks
        return True
    specs = [task.visible, *([key.hidden] if key else [])]
    if any(_fault(kind, _without_programs(spec)) for spec in specs):
        return False
    checks = [check for spec in specs for check in spec.get("checks", ())]
    if kind == "code" and any(isinstance(check.get("args"), list) == real for check in checks):
        return False
    judged = key.hidden if key else task.visible
    return bool(judged.get("checks") or (key and judged.get("answer")))


def _without_programs(spec: Mapping[str, Any]) -> dict[str, Any]:
    checks = spec.get("checks", [])
    if not isinstance(checks, list):
        return dict(spec)
    plain = [check for check in checks if not (isinstance(check, dict) and isinstance(check.get("tests"), str))]
    return {**spec, "checks": plain}


def _fault(domain: str, spec: Mapping[str, Any]) -> str:
    checks = spec.get("checks", [])
    if not isinstance(checks, list) or len(checks) > CHECKS:
        return f"checks: not a list of at most {CHECKS}"
    if any(not isinstance(check, dict) for check in checks):
        return "checks: one is not an object"
    if any("tests" in check for check in checks):
        return f"checks: test programs of strangers are not run; {WANTED}"
    judge = {"code": _code, "math": _math, "qa": _qa}.get(domain)
    return judge(spec, checks) if judge else ""


def _code(spec: Mapping[str, Any], checks: list[dict[str, Any]]) -> str:
    entry, stub = spec.get("entry", ""), spec.get("stub", "")
    if not isinstance(entry, str) or (entry and not _NAME.fullmatch(entry)):
        return "entry: not the name of a function"
    if not isinstance(stub, str) or len(stub) > LONGEST:
        return f"stub: not a text of at most {LONGEST} characters"
    if (stub or any("stdin" not in check for check in checks)) and not entry:
        return "entry: missing; name the function that is called"
    if all(_is_call(check) or _is_run(check) for check in checks):
        return ""
    return f"checks: one is no call with its value, and no input with its output; {WANTED}"


def _is_call(check: Mapping[str, Any]) -> bool:
    """Return whether a check is a call and its value: in source text, or (pocket tasks) as JSON values."""
    if "call" in check:
        return _is_literal_call(check["call"]) and _is_literal(check.get("expected"))
    if isinstance(check.get("args"), str):
        values = [check["args"], *(check[name] for name in ("expected", "also") if name in check)]
        return "expected" in check and all(map(_is_literal, values))
    return isinstance(check.get("args"), list) and "expected" in check and _fits(check, 30)


def _is_run(check: Mapping[str, Any]) -> bool:
    texts = (check.get("stdin"), check.get("expected"))
    return all(isinstance(text, str) for text in texts) and "call" not in check and "args" not in check


def _is_literal_call(text: Any) -> bool:
    node = _parsed(text)
    if not isinstance(node, ast.Call) or not all(keyword.arg for keyword in node.keywords):
        return False
    return all(map(_is_plain, [*node.args, *(keyword.value for keyword in node.keywords)]))


def _is_literal(text: Any) -> bool:
    node = _parsed(text)
    return node is not None and _is_plain(node)


def _parsed(text: Any) -> ast.expr | None:
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    return parse_expression(text.strip())


def _is_plain(node: ast.expr) -> bool:
    try:
        literal_of(node)
    except ValueError:
        return False
    return True


def _fits(value: Any, depth: int) -> bool:
    """Return whether a JSON value is nested no deeper than this."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_fits(one, depth - 1) for one in inner)


def _math(spec: Mapping[str, Any], checks: list[dict[str, Any]]) -> str:
    answer = spec.get("answer", "")
    if not isinstance(answer, str) or len(answer) > LONGEST:
        return f"answer: not a text of at most {LONGEST} characters"
    instances = [check.get("instance") for check in checks]
    if not all(isinstance(one, dict) and all(map(_is_number, one.values())) for one in instances):
        return "checks: one has no `instance` of names and whole numbers"
    if not all(_is_number(check.get("expected")) for check in checks):
        return "checks: one has no number as `expected`"
    return ""


def _is_number(value: Any) -> bool:
    """Return whether a number is quickly made exact: `1e999999999` would have a billion digits."""
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and abs(value) < 10**100


def _qa(spec: Mapping[str, Any], checks: list[dict[str, Any]]) -> str:
    answer = spec.get("answer", "")
    if not isinstance(answer, str) or len(answer) > LONGEST:
        return f"answer: not a text of at most {LONGEST} characters"
    for check in checks:
        answers = check.get("answers")
        texts = [
            check.get("phrase"),
            check.get("expected"),
            *(answers.values() if isinstance(answers, dict) else [None]),
        ]
        if not all(isinstance(text, str) for text in texts):
            return "checks: one has not `phrase`, `expected` and `answers` as texts"
    return ""
