"""The verdict: made here, in the trusted process, from plain values alone."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from parammem.sandbox.inner.rich import Row
from parammem.sandbox.jobs import ExecutionOutcome

_NUMBERS = (bool, int, float, complex, Decimal, Fraction)
_LIKE: dict[type, type] = {
    Counter: dict, OrderedDict: dict, defaultdict: dict, Row: tuple, bytearray: bytes,
}  # fmt: skip
"""Types whose values equal those of a builtin type."""
_BY_THEMSELVES = (
    type({}.keys()), type({}.items()), range, deque, datetime, date, time, timedelta, type, type(...),
)  # fmt: skip
"""Types of the standard library that say themselves what they equal; a child's value is built anew as one of these."""


def equal(outcome: ExecutionOutcome, expected: Any, tolerance: float | None = None, json_values: bool = False) -> bool:
    """Return whether a call returned the expected value, by the rules of plain Python `==` on builtin values.

    A list is not equal to a tuple, unless `json_values` is set: then `expected` came from a JSON file, which has
    no tuples, and a tuple or list returned equals the list expected. NaN equals NaN, for there is no other way to
    expect it. With a tolerance, numbers anywhere inside may differ by that much, relatively or absolutely.
    An outcome of any kind but `value` is never equal.
    """
    try:
        return outcome.kind == "value" and _same(outcome.value, expected, tolerance, json_values)
    except Exception:  # a value that cannot be compared, e.g. a signalling NaN, is not equal
        return False


def _same(value: Any, expected: Any, tolerance: float | None, json_values: bool) -> bool:
    kind, wanted = _LIKE.get(type(value), type(value)), _LIKE.get(type(expected), type(expected))
    if kind in _BY_THEMSELVES:
        return bool(value == expected)
    if kind in _NUMBERS and wanted in _NUMBERS:
        return _same_number(value, expected, tolerance)
    if json_values and {kind, wanted} <= {list, tuple}:
        kind = wanted
    if kind in (set, frozenset) and wanted in (set, frozenset):
        return len(value) == len(expected) and all(item in value for item in expected)
    if kind is not wanted:
        return False
    if kind in (list, tuple):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(_same(v, e, tolerance, json_values) for v, e in pairs)
    if kind is dict:
        return len(value) == len(expected) and all(
            key in value and _same(value[key], item, tolerance, json_values) for key, item in expected.items()
        )
    return kind in (str, bytes, type(None)) and value == expected


def _same_number(value: Any, expected: Any, tolerance: float | None) -> bool:
    if value == expected or (value != value and expected != expected):
        return True
    if tolerance is None:
        return False
    try:
        if isinstance(value, complex) or isinstance(expected, complex):
            return abs(complex(value) - complex(expected)) <= tolerance * max(1.0, abs(expected))
        return math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)
    except (OverflowError, ValueError):
        return False
