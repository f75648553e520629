"""The way from experience to decision as a picture: plain SVG, drawn here, so that it opens anywhere and offline."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

from parammem.lineage.events import Life, read_decision, read_life
from parammem.lineage.findings import Verification
from parammem.lineage.history import History
from parammem.lineage.subject import Subject, find_subject
from parammem.lineage.verify import verify_history

WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 176, 46, 44, 14, 16
COLUMNS = ("experience", "rows", "rules", "adapter", "evaluation", "decision")
FILLS = {"experience": "#e8f1fa", "rows": "#eaf6ea", "rules": "#f6f2e2", "adapter": "#efe6f7", "evaluation": "#fdeee3",
         "decision": "#f3f3f3"}  # fmt: skip
MANY = 8
"""More batches than this are drawn as one box."""


class Box(NamedTuple):
    """One node."""

    key: str
    column: int
    title: str
    said: str
    broken: bool = False


def graph_svg(repo: Path, adapter: str | None = None, domain: str = "code") -> str:
    """An adapter's lineage as one `<svg>` element, which can stand in a page. Boxes with a broken link are red.

    Raises:
        AdapterMissingError: there is no such adapter.
    """
    with History.open(repo) as history:
        life = read_life(history.repo)
        subject = find_subject(history, life, adapter, domain)
        boxes, edges = lineage_of(history.repo, life, subject, verify_history(history, life, subject))
        return draw(boxes, edges, f"What made {subject.title}")


def lineage_of(
    repo: Path, life: Life, subject: Subject, checked: Verification
) -> tuple[list[Box], list[tuple[str, str]]]:
    """The boxes and the arrows between them."""
    broken = {found.path for found in checked.broken}
    hit = lambda *starts: any(path.startswith(starts) for path in broken)  # noqa: E731
    domain, state, adapter = subject.domain, subject.snapshot, subject.adapter
    boxes, edges = _batches(life, subject, broken)
    validated = f"data/validated/{domain}.jsonl"
    reflections = f"data/reflections/{domain}.jsonl"
    boxes += [
        Box("reflections", 1, "reflection rows", (state.hash(reflections) or "not recorded")[:16], hit(reflections)),
        Box("validated", 1, "validated rows", (state.hash(validated) or "not recorded")[:16], hit(validated)),
        Box("rules", 2, "validation suite", (state.hash(f"reports/validation/{domain}.json") or "not recorded")[:16],
            hit("reports/validation")),
        Box("base", 2, adapter.base_model, adapter.base_digest[:16], hit(adapter.base_model)),
        Box("adapter", 3, subject.title.partition(" (")[0], adapter.digest[:16], hit(subject.place)),
        Box("evaluation", 4, "evaluation", (state.hash(f"reports/evaluation/{domain}") or "not recorded")[:16],
            hit("reports/evaluation", "reports/metrics")),
    ]  # fmt: skip
    edges += [("reflections", "validated"), ("validated", "rules"), ("validated", "adapter"), ("rules", "adapter"),
              ("base", "adapter"), ("adapter", "evaluation")]  # fmt: skip
    for event in life.of(adapter.digest):
        fact = event.fact
        if fact.kind == "decide" and fact.challenger == adapter.digest:
            record = read_decision(repo, fact.decision)
            key = f"decision {event.number}"
            boxes.append(Box(key, 5, f"decided: {fact.answer}", fact.decision[:16], record is None))
            edges.append(("evaluation", key))
    for reign in life.reigns(domain):
        if reign.adapter == adapter.digest:
            key = f"reign {reign.event}"
            boxes.append(Box(key, 5, f"champion v{reign.version}", f"by {reign.by}, event {reign.event}", hit("tag ")))
            edges.append(("adapter", key))
    return boxes, edges


def _batches(life: Life, subject: Subject, broken: set[str]) -> tuple[list[Box], list[tuple[str, str]]]:
    event = next((e.fact for e in life.of(subject.adapter.digest) if e.fact.kind == "train"), None)
    batches = list(event.batches) if event else []
    hit = {name for name in batches if any(name in path for path in broken)}
    boxes = []
    if len(batches) > MANY:
        boxes.append(Box("batches", 0, f"{len(batches)} experience batches", "data/experience", bool(hit)))
    else:
        for name in batches:
            came = life.batch(name)
            title = str(getattr(came.fact, "name", name[:16])) if came else name[:16]
            boxes.append(Box(name, 0, title, name[:16], name in hit))
    if not boxes:
        boxes.append(Box("collect", 0, "the pipeline's own agents", "data/trajectories"))
    return boxes, [(box.key, "reflections") for box in boxes]


def draw(boxes: list[Box], edges: list[tuple[str, str]], title: str) -> str:
    """Columns from left to right, boxes from top to bottom, arrows as curves."""
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
        f'font-family="system-ui, sans-serif" font-size="12"><title>{escape(title)}</title>',
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
        f'<text x="{middle:g}" y="{y + 19:g}" text-anchor="middle" fill="#223">{escape(_short(box.title))}</text>'
        f'<text x="{middle:g}" y="{y + 36:g}" text-anchor="middle" fill="#667" font-size="11">{escape(said)}</text>'
    )


def _short(text: str, most: int = 26) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
