"""Variants of the run: success against which labels, how many rows, which round, which agent. Tables and curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.evaluation.canvas import colour, from_zero, legend_below, panels, percent_axis, svg
from parammem.evaluation.inputs import DOMAIN_NAMES, arm_name, in_order
from parammem.evaluation.runs import Point
from parammem.evaluation.statistics import mcnemar, wilson

AXES = {
    "labels": "where the labels come from",
    "sample-efficiency": "rows trained on",
    "self-teaching": "round",
    "weak-to-strong": "reflector and agent, millions of parameters",
}
"""Experiment → what its x is."""
SHOWN = ("base", "reflexion", "paramagent.untrained", "paramagent")
MARKERS = ("s", "^", "o", "o")


Table = tuple[list[str], list[list[str]]]


def variant_tables(points: Sequence[Point]) -> list[tuple[str, Table]]:
    """Return (experiment, table): a row per domain, x and arm."""
    head = [
        "domain",
        "x",
        "arm",
        "solved",
        "95% interval",
        "tasks",
        "advice right",
        "of what it names",
        "distinct",
        "protocol",
    ]
    tables = []
    for name in in_order((p.experiment for p in points), AXES):
        rows = [_row(point) for point in sorted((p for p in points if p.experiment == name), key=_place)]
        tables.append((f"{name} (x: {AXES.get(name, 'setting')})", (head, rows)))
    return tables


def _place(point: Point) -> tuple[str, float, int]:
    return point.domain, point.x, SHOWN.index(point.arm) if point.arm in SHOWN else len(SHOWN)


def _row(point: Point) -> list[str]:
    low, high = wilson(point.passed, point.tasks)
    return [
        DOMAIN_NAMES.get(point.domain, point.domain), point.setting or f"{point.x:g}", arm_name(point.arm),
        f"{100 * point.passed / point.tasks:.1f}%", f"{100 * low:.1f} to {100 * high:.1f}%", str(point.tasks),
        _share(point.advice_accuracy), _share(point.among_claimed),
        "–" if point.distinct is None else f"{point.distinct:.2f}", point.protocol,
    ]  # fmt: skip


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def label_findings(points: Sequence[Point]) -> list[str]:
    """Return a sentence per kind of labels: does a reflector trained on them help more than the same one untrained?

    Over all domains together, by McNemar's exact test on the tasks that only one of the two solved.
    """
    mine = [p for p in points if p.experiment == "labels" and p.arm == "paramagent"]
    said = []
    for setting in dict.fromkeys(p.setting for p in sorted(mine, key=lambda p: p.x)):
        these = [p for p in mine if p.setting == setting and p.won is not None and p.lost is not None]
        won, lost = sum(p.won or 0 for p in these), sum(p.lost or 0 for p in these)
        tasks, passed = sum(p.tasks for p in these), sum(p.passed for p in these)
        p_value = mcnemar(won, lost)
        verdict = "no more" if p_value >= 0.05 else "more" if won > lost else "less"
        verdict += f" than the untrained reflector{', as far as these tasks can tell' if p_value >= 0.05 else ''}"
        said.append(
            f"{setting}: helps {verdict}. ParamAgent solves {passed} of {tasks} tasks, with the untrained reflector "
            f"{passed - won + lost}; {won} were solved only with the trained one, {lost} only with the untrained one "
            f"(p = {p_value:.2g}, McNemar)."
        )
    return said


def variant_curves(points: Sequence[Point]) -> str:
    """Return one picture: a panel per experiment and domain, a line per arm, 95% intervals (Wilson). "" without
    points."""
    cells = list(
        dict.fromkeys((p.experiment, p.domain) for p in sorted(points, key=lambda p: (p.experiment, p.domain)))
    )
    if not cells:
        return ""
    columns = min(3, len(cells))
    rows = -(-len(cells) // columns)
    figure, grid = panels(columns, 11, 3.2 * rows + 0.5, rows, sharey=True)
    handles: dict[str, Any] = {}
    for place, (experiment, domain) in enumerate(cells):
        mine = [p for p in points if (p.experiment, p.domain) == (experiment, domain)]
        handles |= _panel(grid[place // columns][place % columns], mine)
    for place in range(len(cells), rows * columns):
        grid[place // columns][place % columns].set_axis_off()
    from_zero(grid[0][0])
    legend_below(figure, list(handles.values()), list(handles), 4)
    return svg(figure, "variants")


def _panel(axes: Any, points: Sequence[Point]) -> dict[str, Any]:
    """Draw one experiment in one domain, return the legend's handles by the arm's name."""
    named = {p.x: p.setting for p in points if p.setting}
    across = max(p.x for p in points) - min(p.x for p in points) or 1.0
    handles: dict[str, Any] = {}
    for number, arm in enumerate(SHOWN):
        line = sorted((p for p in points if p.arm == arm), key=lambda p: p.x)
        if line:
            shares = [p.passed / p.tasks for p in line]
            ends = [wilson(p.passed, p.tasks) for p in line]
            errors = [[s - low for s, (low, _) in zip(shares, ends, strict=True)],
                      [high - s for s, (_, high) in zip(shares, ends, strict=True)]]  # fmt: skip
            aside = (number - (len(SHOWN) - 1) / 2) * across / 60  # equal shares would hide each other
            handles[arm_name(arm)] = axes.errorbar(
                [p.x + aside for p in line], shares, errors, color=colour(arm), linewidth=1.5, markersize=4,
                fmt=MARKERS[number] if named else MARKERS[number] + "-",
                markerfacecolor="white" if arm == "paramagent.untrained" else None,
            )  # fmt: skip
    axes.set_title(f"{DOMAIN_NAMES.get(points[0].domain, points[0].domain)}: {points[0].experiment}", fontsize=10)
    axes.set_xlabel(AXES.get(points[0].experiment, "setting"))
    xs = sorted({p.x for p in points})
    many = len(named) > 3  # names side by side would run into each other
    labels = [(named[x] if many else named[x].replace(" ", "\n")) if x in named else f"{x:g}" for x in xs]
    slanted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if many else {}
    axes.set_xticks(xs, labels, fontsize=8, **slanted)
    axes.margins(x=0.15)
    percent_axis(axes.yaxis)
    return handles
