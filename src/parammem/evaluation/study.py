"""A study over worlds and strengths of regularity: its comparisons and its picture.

An entry of `worlds` is one (world, rho, domain):
    {"world": 1, "rho": 0.9, "domain": "code",
     "arms": {"reflexion": {"passed": 31, "tasks": 75}, …},
     "vectors": {"reflexion": "0110…", …},              one digit per task, the same order of tasks in every arm
     "advice_accuracy": {"trained": 0.61, "untrained": 0.36, …}}
The vectors let anyone recompute the paired comparisons; the world is the unit of all intervals and tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from parammem.evaluation.canvas import FAINT, INK, legend_below, panels, percent_axis, png, svg
from parammem.evaluation.inputs import DOMAIN_NAMES, PAIRS, REFLECTORS, arm_name, in_order
from parammem.evaluation.statistics import cluster_bootstrap, holm, sign_flip

RHO_COLOURS = ("#b8bec4", "#7fb2e5", "#2f7ed8", "#12407a")

World = dict[str, Any]


def study_comparisons(worlds: Sequence[World], bootstrap: int = 2000, seed: int = 0) -> list[dict[str, Any]]:
    """Return every pair of PAIRS per ρ and domain, and over all domains together ("all", clustered by world and
    domain).

    Each has: rho, domain, left, right, difference, low, high (95%, bootstrap clustered by world), p (sign-flip over
    clusters), p_holm (over the pairs of the same ρ and domain), tasks, worlds, wins, losses (worlds in which left
    solved more, fewer).

    Raises:
        ValueError: an entry's vectors do not agree with its counts, or with each other in length.
    """
    check_worlds(worlds)
    found: list[dict[str, Any]] = []
    for rho in sorted({entry["rho"] for entry in worlds}):
        here = [entry for entry in worlds if entry["rho"] == rho]
        domains = in_order((entry["domain"] for entry in here), DOMAIN_NAMES)
        for domain in [*domains, "all"] if len(domains) > 1 else domains:
            entries = [entry for entry in here if domain in ("all", entry["domain"])]
            rows = [_pair(entries, rho, domain, left, right, bootstrap, seed) for left, right in PAIRS]
            kept = [row for row in rows if row is not None]
            corrected = holm([row["p"] for row in kept])
            found.extend(row | {"p_holm": round(p, 6)} for row, p in zip(kept, corrected, strict=True))
    return found


def check_worlds(worlds: Iterable[World]) -> None:
    """Raise ValueError naming the entry whose vectors and counts disagree."""
    for entry in worlds:
        place = f"world {entry['world']}, rho {entry['rho']}, {entry['domain']}"
        if len({len(vector) for vector in entry["vectors"].values()}) > 1:
            raise ValueError(f"{place}: vectors differ in length; every arm must run the same tasks")
        for arm, vector in entry["vectors"].items():
            counted = {"passed": vector.count("1"), "tasks": len(vector)}
            if entry["arms"].get(arm) != counted or set(vector) - set("01"):
                raise ValueError(
                    f"{place}: arm {arm!r} says {entry['arms'].get(arm)}, its vector {counted}; run it again"
                )


def study_figure(worlds: Sequence[World], bootstrap: int = 2000, seed: int = 0, kind: str = "svg") -> str | bytes:
    """Return differences with intervals, a panel per domain, a colour per ρ.

    kind: "page" (an <svg> element for a page), "svg" (a file's text) or "png" (a file's bytes).
    """
    rows = [row for row in study_comparisons(worlds, bootstrap, seed) if row["domain"] != "all"]
    domains = in_order((row["domain"] for row in rows), DOMAIN_NAMES)
    pairs = [pair for pair in PAIRS if any((row["left"], row["right"]) == pair for row in rows)]
    rhos = sorted({row["rho"] for row in rows})
    figure, [line] = panels(max(len(domains), 1), 11, 1.6 + 0.45 * len(pairs), sharey=True, sharex=True)
    handles: dict[str, Any] = {}
    for axes, domain in zip(line, domains, strict=False):
        axes.axvline(0, color=INK, linewidth=1)
        for row in (row for row in rows if row["domain"] == domain):
            order = rhos.index(row["rho"])
            place = pairs.index((row["left"], row["right"])) + 0.24 * (order - (len(rhos) - 1) / 2)
            handles[f"ρ = {row['rho']:g}"] = _whisker(axes, place, row, RHO_COLOURS[min(order, 3)])
        axes.set_title(DOMAIN_NAMES.get(domain, domain), fontsize=11)
        axes.set_yticks(range(len(pairs)), [_against(*pair) for pair in pairs], color=INK)
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_xlabel("difference in share solved")
        percent_axis(axes.xaxis)
    legend_below(figure, list(handles.values()), list(handles), 4)
    return png(figure) if kind == "png" else svg(figure, "study", for_page=kind == "page")


def _whisker(axes: Any, place: float, row: dict[str, Any], paint: str) -> Any:
    axes.plot([row["low"], row["high"]], [place, place], color=paint, linewidth=2.2, solid_capstyle="round")
    return axes.plot([row["difference"]], [place], "o", color=paint, markeredgecolor=FAINT, markersize=6)[0]


def _pair(
    entries: Sequence[World], rho: float, domain: str, left: str, right: str, bootstrap: int, seed: int
) -> dict[str, Any] | None:
    """Return one comparison, or None where no entry has both arms."""
    values: list[float] = []
    clusters: list[tuple[str, int]] = []
    for entry in entries:
        if left in entry["vectors"] and right in entry["vectors"]:
            ours, theirs = entry["vectors"][left], entry["vectors"][right]
            values.extend(int(a) - int(b) for a, b in zip(ours, theirs, strict=True))
            clusters.extend([(entry["domain"], entry["world"])] * len(ours))
    if not values:
        return None
    low, high = cluster_bootstrap(values, clusters, bootstrap, seed)
    totals = {c: sum(v for v, at in zip(values, clusters, strict=True) if at == c) for c in set(clusters)}
    return {
        "rho": rho,
        "domain": domain,
        "left": left,
        "right": right,
        "difference": round(float(np.mean(values)), 6),
        "low": round(max(-1.0, low), 6),
        "high": round(min(1.0, high), 6),
        "p": round(sign_flip(values, clusters, seed=seed), 6),
        "tasks": len(values),
        "worlds": len(totals),
        "wins": sum(total > 0 for total in totals.values()),
        "losses": sum(total < 0 for total in totals.values()),
    }


def _against(left: str, right: str) -> str:
    if right.startswith(left + "."):
        return f"− its control: {REFLECTORS.get(right.rpartition('.')[2], right).lower()}"
    return f"{'− ' if left == 'paramagent' else 'Plus − '}{arm_name(right)}"
