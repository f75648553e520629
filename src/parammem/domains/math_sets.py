"""One set of real numbers in its several writings: intervals and their unions, inequalities, what is left out."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

from parammem.domains.math_shape import Shape, is_name, plain_words, shape_of
from parammem.domains.math_units import number

FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}
_ENDS = {"<": ("(", ")"), "\\le": ("[", "]")}
_REALS = ("\\mathbb{R}", "\\mathbb R", "\\Bbb{R}", "\\R", "\\text{R}")
_MINUS = r"\s*(?:\\(?:setminus|backslash)|-|\\)\s*\\\{(?P<points>[^{}]*)\\\}"
_WITHOUT = re.compile(rf"(?:\\mathbb\s?\{{?\s?R\s?\}}?|\\R){_MINUS}")
_LESSENED = re.compile(rf"(?P<whole>[(\[][^()\[\]]+[)\]]){_MINUS}")
_DISTANCE = re.compile(r"\|\s*+(?P<name>[a-zA-Z])\s*+(?:(?P<sign>[-+])\s*+(?P<place>[^|]++))?\|")
_VARIABLE = re.compile(r"(?<!\\)\b[a-zA-Z]\b")
_BELOW, _ABOVE = Shape("value", "-\\infty"), Shape("value", "\\infty")


def left_out(shape: Shape) -> tuple[Shape, ...] | None:
    """Return what a set of real numbers leaves out, in its writings x \\ne 3, R \\ {3}, (-\\infty, 3) \\cup (3,
    \\infty); None for one that leaves out more than points, and for anything else."""
    if shape.text in _REALS or plain_words(shape.text) in ("all real numbers", "all reals"):
        return ()
    if shape.kind == "relation":
        if shape.marks == ("\\in",):
            return left_out(shape.items[1])
        if shape.marks != ("\\ne",) or not is_name(shape.items[0].text):
            return None
        return shape.items[1].items if shape.items[1].kind == "list" else (shape.items[1],)
    if shape.kind == "list":
        parts = [left_out(item) for item in shape.items]
        single = all(part is not None and len(part) == 1 for part in parts)
        return tuple(part[0] for part in parts if part) if single else None
    if shape.kind == "value" and (found := _WITHOUT.fullmatch(shape.text)):
        return shape_of(f"\\{{{found['points']}\\}}").items
    pieces = shape.items if shape.kind == "union" else (shape,)
    if not all(piece.kind == "tuple" and piece.marks == ("(", ")") and len(piece.items) == 2 for piece in pieces):
        return None
    ends = [item.text.replace(" ", "").replace("+", "") for piece in pieces for item in piece.items]
    joined = all(left == right for left, right in zip(ends[1:-1:2], ends[2::2], strict=True))
    whole = ends[0] == "-\\infty" and ends[-1] == "\\infty"
    return tuple(piece.items[1] for piece in pieces[:-1]) if whole and joined else None


def union_of(shape: Shape) -> Shape:
    """Return inequalities as the union of their intervals, `x > 0, x \\ne 1` and `(0, 2) \\setminus \\{1\\}` as (0, 1)
    and what lies above; any other shape as it is."""
    if shape.kind == "value" and (found := _LESSENED.fullmatch(shape.text)):
        return _cut(shape_of(found["whole"]), shape_of(f"\\{{{found['points']}\\}}").items) or shape
    if shape.kind == "relation":
        return _far(shape) or shape
    if shape.kind != "list":
        return shape
    apart = [item for item in shape.items if item.kind == "relation" and item.marks == ("\\ne",)]
    parts = [interval_of(item) for item in shape.items if item not in apart]
    known = tuple(part for part in parts if part is not None)
    if not parts or len(known) != len(parts):
        return shape
    if apart:
        points = [point for item in apart for point in left_out(item) or ()]
        return (_cut(known[0], tuple(points)) if len(known) == 1 else None) or shape
    return Shape("union", shape.text, known)


def interval_of(shape: Shape) -> Shape | None:
    """Return `-2 \\le x < 7` as the interval [-2, 7), `x > 5` as (5, ∞), `|x - 1| < 2` as (-1, 3); None for other
    relations."""
    if shape.kind != "relation":
        return None
    sides, marks = _upwards(shape)
    if not marks or not all(mark in _ENDS for mark in marks):
        return None
    if len(marks) == 2 and is_name(sides[1].text):
        return Shape("tuple", shape.text, (sides[0], sides[2]), (_ENDS[marks[0]][0], _ENDS[marks[1]][1]))
    if len(marks) == 1 and is_name(sides[0].text):
        return Shape("tuple", shape.text, (_BELOW, sides[1]), ("(", _ENDS[marks[0]][1]))
    if len(marks) == 1 and is_name(sides[1].text):
        return Shape("tuple", shape.text, (sides[0], _ABOVE), (_ENDS[marks[0]][0], ")"))
    ends = _ends(sides[0].text, sides[1].text) if len(marks) == 1 else None
    return Shape("tuple", shape.text, ends, _ENDS[marks[0]]) if ends else None


def _upwards(shape: Shape) -> tuple[tuple[Shape, ...], tuple[str, ...]]:
    """Return sides and signs of a relation, read so that its signs point to the right."""
    if shape.marks and all(mark in (">", "\\ge") for mark in shape.marks):
        return shape.items[::-1], tuple(FLIPPED[mark] for mark in shape.marks[::-1])
    return shape.items, shape.marks


def _far(shape: Shape) -> Shape | None:
    """Return `|x - 1| > 2` as the union of (-∞, -1) and (3, ∞); None for other relations."""
    sides, marks = _upwards(shape)
    ends = _ends(sides[1].text, sides[0].text) if len(marks) == 1 and marks[0] in _ENDS else None
    if ends is None:
        return None
    left, right = _ENDS[marks[0]]
    outer = (Shape("tuple", "", (_BELOW, ends[0]), ("(", right)), Shape("tuple", "", (ends[1], _ABOVE), (left, ")")))
    return Shape("union", shape.text, outer)


def _ends(distance: str, size: str) -> tuple[Shape, Shape] | None:
    """Return the two places at this distance, given as `|x - 1|` and a number; None for others."""
    found = _DISTANCE.fullmatch(distance)
    if not found or (number(size) or 1) < 0 or _VARIABLE.search(f"{size} {found['place'] or ''}"):
        return None
    middle = f"{'' if found['sign'] == '-' else '-'}({found['place']})" if found["place"] else "0"
    place, width = number(found["place"] or "0"), number(size)
    if place is None or width is None:
        return shape_of(f"{middle}-({size})"), shape_of(f"{middle}+({size})")
    place = place if found["sign"] == "-" else -place
    return Shape("value", _fraction(place - width)), Shape("value", _fraction(place + width))


def _fraction(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _cut(interval: Shape, points: tuple[Shape, ...]) -> Shape | None:
    """Return an interval without points that lie inside it; None if that cannot be told."""
    if interval.kind != "tuple" or len(interval.items) != 2 or not points:
        return None
    values = {item.text: _place(item) for item in (*interval.items, *points)}
    if None in values.values():
        return None
    inner = sorted(points, key=lambda point: values[point.text] or 0)
    ends = [interval.items[0], *inner, interval.items[1]]
    if not all((values[a.text] or 0) < (values[b.text] or 0) for a, b in itertools.pairwise(ends)):
        return None
    lefts, rights = [interval.marks[0], *("(" for _ in inner)], [*(")" for _ in inner), interval.marks[1]]
    pieces = zip(ends[:-1], ends[1:], lefts, rights, strict=True)
    return Shape(
        "union", interval.text, tuple(Shape("tuple", "", (a, b), (left, right)) for a, b, left, right in pieces)
    )


def _place(shape: Shape) -> Fraction | float | None:
    text = shape.text.replace(" ", "").removeprefix("+")
    return {"-\\infty": float("-inf"), "\\infty": float("inf")}.get(text) or number(text)
