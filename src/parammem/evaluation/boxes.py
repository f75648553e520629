"""Boxes and arrows from data to decision as plain SVG, drawn here, so that it opens anywhere and offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from parammem.core.escape import MOST, shown

WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 176, 46, 44, 14, 16
COLUMNS = ("experience", "rows", "rules", "adapter", "evaluation", "decision")
FILLS = {"experience": "#e8f1fa", "rows": "#eaf6ea", "rules": "#f6f2e2", "adapter": "#efe6f7", "evaluation": "#fdeee3",
         "decision": "#f3f3f3"}  # fmt: skip

Place = tuple[float, float]
"""x and y; of a box, its upper left corner."""


class Box(NamedTuple):
    """One node."""

    key: str
    column: int
    title: str
    said: str
    broken: bool = False


def draw(boxes: Sequence[Box], edges: Sequence[tuple[str, str]], title: str) -> str:
    """Return a drawing: columns from left to right, boxes from top to bottom, arrows as curves; no empty column."""
    used = sorted({box.column for box in boxes})
    columns = [[box for box in boxes if box.column == number] for number in used]
    tall = max(len(column) for column in columns)
    height = 2 * EDGE + 24 + tall * (HEIGHT + GAP_Y)
    width = 2 * EDGE + len(columns) * WIDTH + (len(columns) - 1) * GAP_X
    places: dict[str, Place] = {}
    for number, column in enumerate(columns):
        top = EDGE + 24 + (tall - len(column)) * (HEIGHT + GAP_Y) / 2
        for row, box in enumerate(column):
            places[box.key] = (EDGE + number * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{_text(title)}</title>',
    ]
    for number, column in enumerate(used):
        x = EDGE + number * (WIDTH + GAP_X) + WIDTH / 2
        parts.append(f'<text x="{x:g}" y="{EDGE + 6}" text-anchor="middle" fill="#667">{COLUMNS[column]}</text>')
    parts += [_arrow(places, left, right) for left, right in edges if left in places and right in places]
    parts += [_box(box, *places[box.key]) for box in boxes]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _arrow(places: Mapping[str, Place], left: str, right: str) -> str:
    """Draw a curve with a head, from a box to one below or above it, or to the right of it."""
    (x0, y0), (x1, y1) = places[left], places[right]
    if x0 == x1:
        x, sign = x0 + WIDTH / 2, 1 if y0 < y1 else -1
        y0, y1 = (y0 + HEIGHT, y1) if sign == 1 else (y0, y1 + HEIGHT)
        path = f"M{x:g} {y0:g} L{x:g} {y1:g}"
        head = f"M{x - 3.5:g} {y1 - 6 * sign:g} L{x:g} {y1:g} L{x + 3.5:g} {y1 - 6 * sign:g} z"
    else:
        start, end = (x0 + WIDTH, y0 + HEIGHT / 2), (x1, y1 + HEIGHT / 2)
        stops = [start, *_around(list(places.values()), start, end), end]
        path = f"M{start[0]:g} {start[1]:g}" + "".join(map(_curve, stops, stops[1:]))
        head = f"M{end[0] - 6:g} {end[1] - 3.5:g} L{end[0]:g} {end[1]:g} L{end[0] - 6:g} {end[1] + 3.5:g} z"
    return (
        f'<path d="{path}" fill="none" stroke="#99a" stroke-width="1.2"/><path d="{head}" fill="#99a" stroke="none"/>'
    )


def _around(boxes: Sequence[Place], start: Place, end: Place) -> list[Place]:
    """Return where an arrow has to pass so that it goes below the boxes in its way; nowhere if there are none."""
    between = [(x, y) for x, y in boxes if start[0] < x and x + WIDTH < end[0]]
    low, high = sorted((start[1], end[1]))
    if not any(y <= high and low <= y + HEIGHT for _, y in between):
        return []
    lane = max(y for _, y in between) + HEIGHT + GAP_Y / 2
    return [(min(x for x, _ in between), lane), (max(x for x, _ in between) + WIDTH, lane)]


def _curve(start: Place, end: Place) -> str:
    bend = (end[0] - start[0]) / 2
    return f" C{start[0] + bend:g} {start[1]:g} {end[0] - bend:g} {end[1]:g} {end[0]:g} {end[1]:g}"


def _box(box: Box, x: float, y: float) -> str:
    stroke, wide = ("#c22", 2.5) if box.broken else ("#889", 1)
    said = f"{box.said}{' BROKEN' if box.broken else ''}"
    middle = x + WIDTH / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{FILLS[COLUMNS[box.column]]}" '
        f'stroke="{stroke}" stroke-width="{wide}"/>'
        f'<text x="{middle:g}" y="{y + 19:g}" text-anchor="middle" fill="#223">{_text(box.title, 26)}</text>'
        f'<text x="{middle:g}" y="{y + 36:g}" text-anchor="middle" fill="#667" font-size="11">{_text(said)}</text>'
    )


def _text(text: str, most: int = MOST) -> str:
    """Return text for an element: one line of signs that XML may hold, since titles are names from outside."""
    return escape(shown(text, most))
