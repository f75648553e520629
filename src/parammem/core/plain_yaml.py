"""YAML that people write, as plain data within bounds: what is too large, too deep or refers to itself is an error."""

from __future__ import annotations

from typing import Any

import yaml

LARGEST = 2**20
"""Characters of a file."""
MOST, DEEPEST = 100_000, 64
"""Values in all, with what aliases stand for counted each time; and nested in each other."""


def plain_yaml(text: str) -> Any:
    """The data in a YAML text.

    Raises:
        ValueError: says what is wrong with it. YAML's own constructors raise a dozen kinds of error for wrong values.
    """
    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text):,} characters, more than {LARGEST:,}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"a value cannot be read ({type(error).__name__}: {str(error)[:200]})") from None
    _weigh(value, {}, 0)
    return value


def _weigh(value: Any, known: dict[int, int], depth: int) -> int:
    """How many values there are. Raises ValueError: too many, or too deep, as one that contains itself is."""
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep, or refers to itself")
    if isinstance(value, int) and abs(value) >= 10**400:
        raise ValueError("a number has more than 400 digits")
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) not in known:
        inner = [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
        total = 1
        for one in inner:
            total += _weigh(one, known, depth + 1)
            if total > MOST:
                raise ValueError(f"it has more than {MOST:,} values, aliases counted each time")
        known[id(value)] = total
    return known[id(value)]
