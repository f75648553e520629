"""A study over worlds and strengths of regularity: its comparisons, its tables and its picture.

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
from parammem.evaluation.inputs import ARMS, DOMAIN_NAMES, PAIRS, REFLECTORS, arm_name, in_order, pair_name
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


def study_json(
    worlds: Sequence[World], protocol: str, seeds: Any, bootstrap: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Return the whole of study.json: the worlds as given, rates and comparisons computed from them, protocol and
    seeds."""
    return {
        "worlds": list(worlds),
        "rates": study_rates(worlds, bootstrap, seed),
        "comparisons": study_comparisons(worlds, bootstrap, seed),
        "protocol": protocol,
        "seeds": seeds,
    }


def study_rates(worlds: Sequence[World], bootstrap: int = 2000, seed: int = 0) -> list[dict[str, Any]]:
    """Return share solved per ρ, domain and arm, with a 95% interval clustered by world."""
    found = []
    for rho, domain, arm in _cells(worlds):
        entries = [e for e in worlds if (e["rho"], e["domain"]) == (rho, domain) and arm in e["vectors"]]
        values = [float(digit) for e in entries for digit in e["vectors"][arm]]
        clusters = [e["world"] for e in entries for _ in e["vectors"][arm]]
        low, high = cluster_bootstrap(values, clusters, bootstrap, seed)
        found.append(
            {
                "rho": rho,
                "domain": domain,
                "arm": arm,
                "pass_rate": round(float(np.mean(values)), 6),
                "low": round(max(0.0, low), 6),
                "high": round(min(1.0, high), 6),
                "tasks": len(values),
                "worlds": len(set(clusters)),
            }
        )
    return found


def study_accuracy(worlds: Sequence[World]) -> list[dict[str, Any]]:
    """Return mean advice accuracy over worlds, per ρ, domain and reflector."""
    names = in_order((name for entry in worlds for name in entry.get("advice_accuracy", {})), REFLECTORS)
    found = []
    for rho, domain in dict.fromkeys((rho, domain) for rho, domain, _ in _cells(worlds)):
        entries = [entry for entry in worlds if (entry["rho"], entry["domain"]) == (rho, domain)]
        for name in names:
            values = [e["advice_accuracy"][name] for e in entries if e.get("advice_accuracy", {}).get(name) is not None]
            if values:
                accuracy = round(float(np.mean(values)), 6)
                found.append({"rho": rho, "domain": domain, "reflector": name, "accuracy": accuracy})
    return found


def check_worlds(worlds: Iterable[World]) -> None:
    """Raises ValueError naming the entry whose vectors and counts disagree."""
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


def study_table(worlds: Sequence[World], bootstrap: int = 2000, seed: int = 0) -> str:
    """Return the study as Markdown: share solved, comparisons and advice accuracy, domains in columns. Raises as
    above."""
    rates, pairs = study_rates(worlds, bootstrap, seed), study_comparisons(worlds, bootstrap, seed)
    accuracy = study_accuracy(worlds)
    blocks: list[str] = []
    for rho in sorted({row["rho"] for row in rates}, reverse=True):
        blocks += [f"**ρ = {rho:g}**", _rates_table([row for row in rates if row["rho"] == rho])]
        blocks += [_pairs_table([row for row in pairs if row["rho"] == rho])]
        blocks += [_accuracy_table([row for row in accuracy if row["rho"] == rho])]
    return "\n\n".join(block for block in blocks if block) + "\n"


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


def _cells(worlds: Sequence[World]) -> list[tuple[float, str, str]]:
    """Return (ρ, domain, arm) in order, for all that was run."""
    found = []
    for rho in sorted({entry["rho"] for entry in worlds}):
        here = [entry for entry in worlds if entry["rho"] == rho]
        for domain in in_order((entry["domain"] for entry in here), DOMAIN_NAMES):
            arms = in_order((arm for entry in here if entry["domain"] == domain for arm in entry["vectors"]), ARMS)
            found.extend((rho, domain, arm) for arm in arms)
    return found


def _against(left: str, right: str) -> str:
    if right.startswith(left + "."):
        return f"− its control: {REFLECTORS.get(right.rpartition('.')[2], right).lower()}"
    return f"{'− ' if left == 'paramagent' else 'Plus − '}{arm_name(right)}"


def _grid(head: str, rows: dict[str, dict[str, str]], domains: list[str]) -> str:
    """Return a Markdown table: a row per key, a column per domain."""
    if not rows:
        return ""
    lines = [f"| {head} | " + " | ".join(DOMAIN_NAMES.get(d, d) for d in domains) + " |"]
    lines.append("|---|" + "---:|" * len(domains))
    lines += [f"| {name} | " + " | ".join(cells.get(d, "–") for d in domains) + " |" for name, cells in rows.items()]
    return "\n".join(lines)


def _rates_table(rows: list[dict[str, Any]]) -> str:
    cells: dict[str, dict[str, str]] = {}
    for arm in in_order((row["arm"] for row in rows), ARMS):
        cells[arm_name(arm)] = {
            row["domain"]: f"{100 * row['pass_rate']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
            for row in rows
            if row["arm"] == arm
        }
    return _grid("% solved [95% interval]", cells, in_order((row["domain"] for row in rows), DOMAIN_NAMES))


def _pairs_table(rows: list[dict[str, Any]]) -> str:
    cells: dict[str, dict[str, str]] = {}
    for left, right in PAIRS:
        found = {
            row["domain"]: f"{_points(row['difference'])} [{_points(row['low'])}, {_points(row['high'])}], "
            f"{row['wins']}–{row['losses']}"
            for row in rows
            if (row["left"], row["right"]) == (left, right)
        }
        if found:
            cells[pair_name(left, right)] = found
    domains = in_order((row["domain"] for row in rows), DOMAIN_NAMES)
    head = "Difference in points [95% interval], worlds won–lost (all domains: each world in each domain)"
    return _grid(head, cells, domains)


def _accuracy_table(rows: list[dict[str, Any]]) -> str:
    cells: dict[str, dict[str, str]] = {}
    for name in in_order((row["reflector"] for row in rows), REFLECTORS):
        cells[REFLECTORS.get(name, name)] = {
            row["domain"]: f"{100 * row['accuracy']:.1f}" for row in rows if row["reflector"] == name
        }
    return _grid("Advice accuracy, %", cells, in_order((row["domain"] for row in rows), DOMAIN_NAMES))


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
