"""What `make study` writes beside the comparisons: study.json with its rates, and the tables of docs/study.md.

The entries of `worlds`, and the comparisons of which the report shows some, are in `parammem.evaluation.study`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from parammem.evaluation.inputs import ARMS, DOMAIN_NAMES, PAIRS, REFLECTORS, arm_name, in_order, pair_name
from parammem.evaluation.statistics import cluster_bootstrap
from parammem.evaluation.study import World, study_comparisons


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


def _cells(worlds: Sequence[World]) -> list[tuple[float, str, str]]:
    """Return (ρ, domain, arm) in order, for all that was run."""
    found = []
    for rho in sorted({entry["rho"] for entry in worlds}):
        here = [entry for entry in worlds if entry["rho"] == rho]
        for domain in in_order((entry["domain"] for entry in here), DOMAIN_NAMES):
            arms = in_order((arm for entry in here if entry["domain"] == domain for arm in entry["vectors"]), ARMS)
            found.extend((rho, domain, arm) for arm in arms)
    return found


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
