"""Words about numbers."""

from __future__ import annotations


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 fault", "2 faults".

    Args:
        many: the plural, where it is not `one` with an s.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
