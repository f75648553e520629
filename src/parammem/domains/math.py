"""Formulas over named quantities, judged by their exact value on instances of the problem.

Task.visible and AnswerKey.hidden: {"checks": [{"name", "instance": {letter: int}, "expected": int | "a/b"}, …]}.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.domains.wording import CheckResult, each, feedback_of, score_of, short

MAX_FORMULA = 200
"""Characters; longer ones are not read, so that no formula can make evaluation expensive."""
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class MathJudge:
    """Judges candidates that end in a line `answer FORMULA`."""

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return each(lambda item: feedback_of(_results(item[0].visible, item[1])), items)

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        return each(lambda item: score_of(item[0].task_id, _results(item[1].hidden, item[2])), items)


def evaluate(formula: str, instance: dict[str, int]) -> Fraction:
    """Return exact value of a formula of names, whole numbers, + - * / and brackets.

    Raises:
        ValueError: it is no such formula, a name is unknown, or it divides by zero.
    """
    if len(formula) > MAX_FORMULA:
        raise ValueError("too long")
    try:
        return _value(ast.parse(formula.strip(), mode="eval").body, instance)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error


def _value(node: ast.expr, instance: dict[str, int]) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_value(node.left, instance), _value(node.right, instance))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, instance)
    if isinstance(node, ast.Name) and node.id in instance:
        return Fraction(instance[node.id])
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return Fraction(node.value)
    raise ValueError(f"cannot read {ast.unparse(node)[:20]!r}")


def _results(spec: dict[str, Any], candidate: str) -> list[CheckResult]:
    lines = [line for line in candidate.splitlines() if line.startswith("answer ")]
    formula = lines[-1].removeprefix("answer ") if lines else ""
    return [_judge(check, formula) for check in spec.get("checks", [])]


def _judge(check: dict[str, Any], formula: str) -> CheckResult:
    expected = check["expected"]
    try:
        got = evaluate(formula, check["instance"])
    except ValueError:
        return CheckResult(check["name"], ok=False, expected=expected, got="error")
    return CheckResult(check["name"], ok=got == Fraction(expected), expected=expected, got=short(got))
