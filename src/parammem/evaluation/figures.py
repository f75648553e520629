"""The pictures of the report. Each takes the inputs (and the figures read from them) and gives an SVG element, or ""
where there is nothing to draw."""

from __future__ import annotations

from typing import Any

from parammem.evaluation import metrics
from parammem.evaluation.canvas import (
    DOMAIN_COLOURS,
    FAINT,
    INK,
    colour,
    from_zero,
    legend_below,
    panels,
    percent_axis,
    plain_axis,
    svg,
)
from parammem.evaluation.inputs import (
    DOMAIN_NAMES,
    REFLECTORS,
    ReportInputs,
    arm_name,
    arms_of,
    domains_of,
    in_order,
    runs_of,
)
from parammem.evaluation.summary import TemperatureRow

CEILINGS = {
    "spec": ("Floor: the text alone", ":"),
    "visible": ("Ceiling: + visible checks", "--"),
    "visible_regularities": ("Ceiling: + visible checks and regularities", "-"),
}

Tree = dict[str, Any]
"""What `summary.metrics_json` gives."""


def find(tree: Tree, *path: str) -> Any:
    """Return the figure at a path (an arm's dots are steps of their own), or None."""
    for part in ".".join(path).split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None  # type: ignore[assignment]
    return tree


def pass_rates(inputs: ReportInputs, tree: Tree) -> str:
    """Return hidden pass rate of every arm with its interval; floor and ceilings as lines."""
    domains = domains_of(inputs)
    arms = [arm for arm in arms_of(inputs.runs) if any(runs_of(inputs, domain, arm) for domain in domains)]
    if not arms:
        return ""
    figure, [row] = panels(len(domains), 11, 1.5 + 0.3 * len(arms), sharey=True)
    lines: dict[str, Any] = {}
    for axes, domain in zip(row, domains, strict=True):
        for place, arm in enumerate(arms):
            _dot(axes, place, find(tree, domain, arm), colour(arm))
        for key, (label, style) in CEILINGS.items():
            value = find(tree, domain, "ceiling", key)
            if value is not None:
                lines[label] = axes.axvline(value, color=INK, linestyle=style, linewidth=1.2, zorder=1)
        axes.set_title(DOMAIN_NAMES.get(domain, domain), fontsize=11)
        axes.set_xlim(0, 1.02)
        percent_axis(axes.xaxis)
        axes.set_yticks(range(len(arms)), [arm_name(arm) for arm in arms], color=INK)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_xlabel("tasks solved (hidden verdict)")
    legend_below(figure, list(lines.values()), list(lines), 3)
    return svg(figure, "pass")


def solved_curves(inputs: ReportInputs) -> str:
    """Return share of tasks solved by the end of each iteration, per arm."""
    return _arm_lines(
        inputs,
        "solved",
        "tasks solved so far",
        lambda runs: list(enumerate(metrics.solved_per_iteration(runs, inputs.iterations), 1)),
        inputs.iterations,
        [arm for arm in arms_of(inputs.runs) if arm != "base"],
    )


def repetition_curves(inputs: ReportInputs) -> str:
    """Return share of reflections that repeat the claims of an earlier one, by iteration."""
    arms = [arm for arm in arms_of(inputs.runs) if any(metrics.repetition(r for r in inputs.runs if r.arm == arm))]
    return _arm_lines(
        inputs,
        "repeat",
        "reflections that repeat\nearlier claims",
        lambda runs: [
            (row.iteration, row.claim_equal) for row in metrics.repetition(runs) if row.claim_equal is not None
        ],
        inputs.iterations,
        arms,
    )


def temperature_curves(inputs: ReportInputs, rows: list[TemperatureRow]) -> str:
    """Return diversity and success against reflector temperature."""
    if not rows:
        return ""
    shown = [
        ("distinct", "distinct sets of claims\nper task"),
        ("distance", "mean cosine distance"),
        ("advice_accuracy", "advice accuracy"),
        ("solved", "tasks solved"),
    ]
    shown = [(key, label) for key, label in shown if any(getattr(row, key) is not None for row in rows)]
    figure, [line] = panels(len(shown), 11, 3.3)
    handles: dict[str, Any] = {}
    for axes, (key, label) in zip(line, shown, strict=True):
        for domain in domains_of(inputs):
            points = [(r.temperature, getattr(r, key)) for r in rows if r.domain == domain]
            points = [(x, y) for x, y in points if y is not None]
            if points:
                name = DOMAIN_NAMES.get(domain, domain)
                handles[name] = axes.plot(*zip(*points, strict=True), "o-", color=_domain(domain), markersize=4)[0]
        axes.set_xlabel("reflector temperature")
        axes.set_title(label, fontsize=10)
        from_zero(axes)
        if key in ("advice_accuracy", "solved"):
            percent_axis(axes.yaxis)
    legend_below(figure, list(handles.values()), list(handles), 4)
    return svg(figure, "temperature")


def accuracy_bars(inputs: ReportInputs, tree: Tree) -> str:
    """Return advice accuracy of each reflector on seen (filled) and unseen (hollow) kinds."""
    domains = [domain for domain in domains_of(inputs) if find(tree, domain, "reflector")]
    names = in_order((name for domain in domains for name in find(tree, domain, "reflector")), REFLECTORS)
    if not names:
        return ""
    figure, [row] = panels(len(domains), 11, 1.5 + 0.42 * len(names), sharey=True)
    handles: dict[str, Any] = {}
    for axes, domain in zip(row, domains, strict=True):
        for place, name in enumerate(names):
            found = find(tree, domain, "reflector", name) or {}
            for key, label, shift, fill in (("", "kinds seen", -0.13, True), ("_unseen", "unseen kinds", 0.13, False)):
                value = {k: found.get(f"advice_accuracy{key}{s}") for k, s in _ENDS.items()}
                mark = _dot(axes, place + shift, value, colour(name), fill)
                if mark is not None:
                    handles.setdefault(label, mark)
        axes.set_title(DOMAIN_NAMES.get(domain, domain), fontsize=11)
        axes.set_xlim(0, 1.02)
        percent_axis(axes.xaxis)
        axes.set_yticks(range(len(names)), [REFLECTORS.get(name, name) for name in names], color=INK)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("open conventions named rightly")
    legend_below(figure, list(handles.values()), list(handles), 2)
    return svg(figure, "accuracy")


def cost(inputs: ReportInputs, tree: Tree) -> str:
    """Return prompt and completion tokens per task against tasks solved."""
    domains = domains_of(inputs)
    arms = [arm for arm in arms_of(inputs.runs) if "." not in arm]
    figure, [row] = panels(len(domains), 11, 3.6)
    handles: dict[str, Any] = {}
    for axes, domain in zip(row, domains, strict=True):
        for arm in arms:
            found = find(tree, domain, arm) or {}
            if "pass_rate" not in found:
                continue
            spent = found["prompt_tokens"] + found["completion_tokens"]
            handles[arm_name(arm)] = axes.scatter([max(spent, 1)], [found["pass_rate"]], color=colour(arm), s=48)
        axes.set_xscale("log")
        plain_axis(axes.xaxis)
        axes.set_title(DOMAIN_NAMES.get(domain, domain), fontsize=11)
        axes.set_xlabel("tokens per task (log scale)")
        from_zero(axes)
        percent_axis(axes.yaxis)
    row[0].set_ylabel("tasks solved")
    legend_below(figure, list(handles.values()), list(handles), 4)
    return svg(figure, "cost") if handles else ""


def losses(inputs: ReportInputs) -> str:
    """Return training and held-out loss of every adapter."""
    domains = in_order((point.domain for point in inputs.losses), DOMAIN_NAMES)
    if not domains:
        return ""
    figure, [row] = panels(len(domains), 11, 3.4)
    handles: dict[str, Any] = {}
    for axes, domain in zip(row, domains, strict=True):
        here = [point for point in inputs.losses if point.domain == domain]
        for name in in_order((point.adapter for point in here), REFLECTORS):
            for held_out, style, label in ((False, "-", "training"), (True, "o--", "held out")):
                points = [(p.step, p.loss) for p in here if (p.adapter, p.held_out) == (name, held_out)]
                if points:
                    drawn = axes.plot(
                        *zip(*points, strict=True), style, color=colour(name), linewidth=1.3, markersize=3
                    )
                    handles[f"{REFLECTORS.get(name, name)}, {label}"] = drawn[0]
        axes.set_title(DOMAIN_NAMES.get(domain, domain), fontsize=11)
        axes.set_xlabel("optimiser step")
        from_zero(axes)
    row[0].set_ylabel("loss, nats per token")
    legend_below(figure, list(handles.values()), list(handles), 3)
    return svg(figure, "loss")


_ENDS = {"pass_rate": "", "pass_rate_low": "_low", "pass_rate_high": "_high"}


def _dot(axes: Any, place: float, found: Tree | None, paint: str, fill: bool = True) -> Any:
    """Return a value with its interval on a horizontal scale; None if there is no value."""
    if not found or found.get("pass_rate") is None:
        return None
    low, high = found["pass_rate_low"], found["pass_rate_high"]
    axes.plot([low, high], [place, place], color=paint, linewidth=2, alpha=0.75, solid_capstyle="round")
    face = paint if fill else "none"
    return axes.plot([found["pass_rate"]], [place], "o", color=paint, markerfacecolor=face, markersize=6)[0]


def _arm_lines(inputs: ReportInputs, name: str, label: str, points: Any, last: int, arms: list[str]) -> str:
    """Return a line per arm, a panel per domain; `points` gives (iteration, share) of an arm's runs."""
    domains = domains_of(inputs)
    if not arms:
        return ""
    figure, [row] = panels(len(domains), 11, 4.0, sharey=True)
    handles: dict[str, Any] = {}
    for axes, domain in zip(row, domains, strict=True):
        for arm in arms:
            found = points(runs_of(inputs, domain, arm))
            if found:
                x, y = zip(*found, strict=True)
                style = ":" if "." in arm else "-"
                handles[arm_name(arm)] = axes.plot(x, y, f"o{style}", color=colour(arm), markersize=4, linewidth=1.6)[0]
        axes.set_title(DOMAIN_NAMES.get(domain, domain), fontsize=11)
        axes.set_xlabel("iteration")
        axes.set_xticks(range(1, last + 1))
        axes.set_xlim(0.8, last + 0.2)
        percent_axis(axes.yaxis)
    from_zero(row[0])  # only now: the limits are shared, and setting one ends the scaling to later panels
    row[0].set_ylabel(label)
    ordered = [arm_name(arm) for arm in arms if arm_name(arm) in handles]
    legend_below(figure, [handles[label] for label in ordered], ordered, 4)
    return svg(figure, name) if handles else ""


def _domain(domain: str) -> str:
    return DOMAIN_COLOURS.get(domain, FAINT)
