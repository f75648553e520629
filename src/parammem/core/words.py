"""Words about numbers."""

from __future__ import annotations


def count(number: int, one: str, many: str = "", form: str = "") -> str:
    """Return a number with its noun: "1 fault", "2 faults".

    Args:
        many: the plural, where it is not `one` with an s.
        form: how the number is written, such as "," for 1,234.
    """
    return f"{number:{form}} {one if number == 1 else many or one + 's'}"
