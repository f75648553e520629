"""One quantity said in two units: `2.5 hours, or 150 minutes`, `3 dozen (36 eggs)`, `75% or 3/4`."""

from __future__ import annotations

import re
from fractions import Fraction

from parammem.domains.math_tidy import tidy
from parammem.domains.math_units import named_unit, number

LONGEST = 200
"""Characters of such an answer."""
_SIZES: dict[str, tuple[str, Fraction]] = {
    name: (kind, Fraction(size))
    for kind, sizes in {
        "time": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800"},
        "length": {"mm": "1", "cm": "10", "m": "1000", "km": "1000000"},
        "imperial": {"inch": "1", "foot": "12", "yard": "36", "mile": "63360"},
        "mass": {"mg": "1", "g": "1000", "kg": "1000000"},
        "pounds": {"ounce": "1", "pound": "16"},
        "volume": {"ml": "1", "liter": "1000"},
        "money": {"cent": "1", "dollar": "100"},
        "count": {"percent": "1/100", "": "1", "other": "1"},
    }.items()
    for name, size in sizes.items()
}
"""Unit → what it measures, and how many of the smallest unit it is."""
_NUMBER = r"[-+]?(?:\\frac\{\d{1,9}\}\{\d{1,9}\}|\d[\d,]{0,20}(?:\.\d{1,20})?(?:\s?/\s?\d{1,9})?)"
_UNIT = r"(?:%|[A-Za-z]{1,20}(?:\s[a-z]{1,20})?)"
TWICE = re.compile(
    rf"(?P<first>{_NUMBER}\s?{_UNIT}?),?\s?"
    rf"(?:(?:or|i\.e\.,?|that is,?|which is|=)\s(?P<second>{_NUMBER}\s?{_UNIT}?)|\((?P<aside>{_NUMBER}\s?{_UNIT}?)\))"
)
_AREA = re.compile(r"\^|\b(?:square|sq|cubic|cu|per)\b|/[a-z ]")
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})\s?(?P<unit>{_UNIT})?")


def said_twice(answer: str) -> tuple[str, ...]:
    """Return both numbers of an answer that says one quantity twice; empty for any other answer."""
    if len(answer) > LONGEST:
        return ()
    plain = re.sub(r"\\text\{([^{}]*)\}", r" \1", answer).replace("\\%", "%")
    found = TWICE.fullmatch(" ".join(plain.split()).rstrip("."))
    if not found:
        return ()
    sides = [_measured(side) for side in (found["first"], found["second"] or found["aside"])]
    (first, kind, size), (second, kind_there, size_there) = sides
    if first is None or second is None or kind != kind_there or first * size != second * size_there:
        return ()
    return tuple(str(side) for side in (first, second))


def measured(answer: str) -> tuple[str, Fraction] | None:
    """Return what a number with its unit measures, and its size in the smallest unit of that: `2.5 hours`, `2 hours 30
    minutes`; None without a unit that can be put in another one. Areas and volumes, rates and degrees are none."""
    if len(answer) > LONGEST or _AREA.search(answer):
        return None
    plain = " ".join(re.sub(r"\\text\{([^{}]*)\}", r" \1 ", answer).replace("$", " dollar ").split())
    plain = re.sub(r"^dollar (.*)$", r"\1 dollar", plain)
    parts = [_measured(part) for part in re.split(r",? and |, | (?=\d)", plain)]
    kinds = {kind for _, kind, _ in parts}
    if len(kinds) > 1 or kinds & {"", "none", "count"}:
        return None
    return kinds.pop(), sum((value * size for value, _, size in parts if value is not None), Fraction(0))


def _measured(text: str) -> tuple[Fraction | None, str, Fraction]:
    """Return the number of a quantity, what its unit measures and the unit's size."""
    found = _QUANTITY.fullmatch(text.strip())
    if not found:
        return None, "", Fraction(0)
    words = (found["unit"] or "").split()
    if words[:1] in (["dozen"], ["dozens"]):
        return number(tidy(found["number"])), "count", Fraction(12)
    kind, size = _SIZES.get(named_unit(words), ("none", Fraction(0)))
    return number(tidy(found["number"].replace(",", ""))), kind, size
