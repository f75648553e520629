"""What the outcome of a check means: reading values and outputs of programs, by plain Python or a contest's rule."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from parammem import sandbox
from parammem.core.python_source import literal_of
from parammem.domains.contest_rules import ContestRule
from parammem.domains.wording import CheckResult, short

_PLACE = re.compile(r"(?<=line )\d+(?=\)\Z)")
"""The number in `ValueError (line 3)` and `invalid syntax (<solution>, line 3)`."""
SHOWN = 200
"""Characters of a value that feedback shows."""


def plain(text: str) -> Any:
    """Return the value of a Python literal. Most are JSON as well, which is read fifty times as fast: a list of a
    million numbers takes `literal_eval` eight seconds."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return literal_of(text)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def placed(outcome: sandbox.ExecutionOutcome, before: int) -> sandbox.ExecutionOutcome:
    """Return the outcome with the line that its error names counted in the candidate, which the agent sees, from 1."""
    if not before or not outcome.error:
        return outcome
    error = _PLACE.sub(lambda line: str(max(1, int(line.group()) - before)), outcome.error)
    return outcome.model_copy(update={"error": error})


def told(check: Mapping[str, Any], verdict: sandbox.Verdict) -> CheckResult:
    return CheckResult(check["name"], ok=verdict.passed, got=short(verdict.detail, SHOWN))


def returned(check: Mapping[str, Any], outcome: sandbox.ExecutionOutcome, rule: ContestRule | None) -> CheckResult:
    wanted = [plain(check[name]) for name in ("expected", "also") if name in check]
    if rule is not None:
        right = outcome.kind == "value" and _holds(rule.same_value, outcome.value, wanted[0])
    else:
        right = any(sandbox.equal(outcome, value, json_values=bool(check.get("json"))) for value in wanted)
    if right:
        return CheckResult(check["name"], ok=True)
    got = _written(outcome.value) if outcome.kind == "value" else f"{outcome.kind}: {outcome.error}"
    return CheckResult(check["name"], ok=False, expected=short(check["expected"], SHOWN), got=short(got, SHOWN))


def _holds(same: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    """Return whether two values are the same; what cannot be compared (two arrays, a signalling NaN) is not."""
    try:
        return same(value, wanted)
    except Exception:
        return False


def _written(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # e.g. an integer of more digits than Python writes
        return f"{type(value).__name__}, too long to be written"


def printed(check: Mapping[str, Any], outcome: sandbox.ExecutionOutcome, rule: ContestRule | None) -> CheckResult:
    """Return whether an exit is a failure: `sys.exit` with another code than 0 is, but not for LiveCodeBench and
    APPS, whose harnesses take it for the end of the program."""
    ended = outcome.kind == "value" or (rule is not None and outcome.exit_code is not None)
    if ended and (rule.same_output if rule else same_output)(outcome.stdout, check["expected"]):
        return CheckResult(check["name"], ok=True)
    got = outcome.stdout if ended else f"{outcome.kind}: {outcome.error}"
    return CheckResult(check["name"], ok=False, expected=short(check["expected"], SHOWN), got=short(got, SHOWN))


def same_output(printed: str, wanted: str) -> bool:
    """Return whether a program printed what it should: line by line, spaces at ends and between words aside; numbers
    that are written differently (`1.0`, `1.00`) are the same."""
    left, right = ([line.split() for line in text.strip().splitlines()] for text in (printed, wanted))
    if left == right:
        return True
    return [len(line) for line in left] == [len(line) for line in right] and all(
        a == b or _same_number(a, b) for x, y in zip(left, right, strict=True) for a, b in zip(x, y, strict=True)
    )


def _same_number(left: str, right: str) -> bool:
    try:
        return Decimal(left) == Decimal(right)
    except InvalidOperation:
        return False
