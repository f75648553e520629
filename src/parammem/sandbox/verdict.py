"""The verdict: made here, in the trusted process, from plain values alone."""

from __future__ import annotations

import math
from typing import Any

from parammem.sandbox.records import Outcome

_NUMBERS = (bool, int, float, complex)


def equal(outcome: Outcome, expected: Any, tolerance: float | None = None, json_values: bool = False) -> bool:
    """Whether a call returned the expected value, by the rules of plain Python `==` on builtin values.

    A list is not equal to a tuple, unless `json_values` is set: then `expected` came from a JSON file, which has
    no tuples, and a tuple or list returned equals the list expected. NaN equals NaN, for there is no other way to
    expect it. With a tolerance, numbers anywhere inside may differ by that much, relatively or absolutely.
    An outcome of any kind but `value` is never equal.
    """
    return outcome.kind == "value" and _same(outcome.value, expected, tolerance, json_values)


def _same(value: Any, expected: Any, tolerance: float | None, json_values: bool) -> bool:
    kind, wanted = type(value), type(expected)
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
            return abs(value - expected) <= tolerance * max(1.0, abs(expected))
        return math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:
        return False
