"""Boxes and arrows from data to decision as plain SVG, drawn here, so that it opens anywhere and offline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from parammem.core.escape import MOST, shown

WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 176, 46, 44, 14, 16
COLUMNS = ("experience", "rows", "rules", "adapter", "evaluation", "decision")
FILLS = {"experience": "#e8f1fa", "rows": "#eaf6ea", "rules": "#f6f2e2", "adapter": "#efe6f7", "evaluation": "#fdeee3",
         "decision": "#f3f3f3"}  # fmt: skip


class Box(NamedTuple):
    """One node."""

    key: str
    column: int
    title: str
    said: str
    broken: bool = False


def draw(boxes: Sequence[Box], edges: Sequence[tuple[str, str]], title: str) -> str:
    """Return columns from left to right, boxes from top to bottom, arrows as curves."""
    columns = [[box for box in boxes if box.column == number] for number in range(len(COLUMNS))]
    tall = max(len(column) for column in columns)
    height = 2 * EDGE + 24 + tall * (HEIGHT + GAP_Y)
    width = 2 * EDGE + len(COLUMNS) * WIDTH + (len(COLUMNS) - 1) * GAP_X
    places = {}
    for number, column in enumerate(columns):
        top = EDGE + 24 + (tall - len(column)) * (HEIGHT + GAP_Y) / 2
        for row, box in enumerate(column):
            places[box.key] = (EDGE + number * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{_text(title)}</title>',
    ]
    for number, name in enumerate(COLUMNS):
        x = EDGE + number * (WIDTH + GAP_X) + WIDTH / 2
        parts.append(f'<text x="{x:g}" y="{EDGE + 6}" text-anchor="middle" fill="#667">{name}</text>')
    parts += [_arrow(places[left], places[right]) for left, right in edges if left in places and right in places]
    parts += [_box(box, *places[box.key]) for box in boxes]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _arrow(left: tuple[float, float], right: tuple[float, float]) -> str:
    if left[0] == right[0]:
        x = left[0] + WIDTH / 2
        down = left[1] < right[1]
        y0, y1 = (left[1] + HEIGHT, right[1]) if down else (left[1], right[1] + HEIGHT)
        path = f"M{x:g} {y0:g} L{x:g} {y1:g}"
    else:
        x0, y0, x1, y1 = left[0] + WIDTH, left[1] + HEIGHT / 2, right[0], right[1] + HEIGHT / 2
        bend = (x1 - x0) / 2
        path = f"M{x0:g} {y0:g} C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"
    return f'<path d="{path}" fill="none" stroke="#99a" stroke-width="1.2"/>'


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
