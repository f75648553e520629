"""Protocols side by side: what it is worth to let the correctness signal into the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.evaluation.inputs import DOMAIN_NAMES, ReportInputs, arm_name, arms_of, domains_of, in_order
from parammem.evaluation.runs import Run

PROTOCOLS = ("strict", "two-phase", "oracle", "released-code")
"""In the order of every table."""


def protocols_of(inputs: ReportInputs) -> list[str]:
    """Return those that runs were made under; fewer than two leave the comparison out."""
    found = in_order((run.protocol for run in _runs(inputs)), PROTOCOLS)
    return found if len(found) > 1 else []


def protocol_figures(inputs: ReportInputs, domain: str) -> dict[str, Any]:
    """Return protocol → arm → share solved on the eval slice, and actor calls per task. {} with one protocol alone."""
    tree: dict[str, Any] = {}
    for protocol in protocols_of(inputs):
        runs = [r for r in _runs(inputs) if (r.protocol, r.domain, r.slice) == (protocol, domain, "eval")]
        for arm in arms_of(runs):
            mine = [run for run in runs if run.arm == arm]
            tree.setdefault(protocol, {})[arm] = {
                "pass_rate": sum(run.passed for run in mine) / len(mine),
                "actor_calls": sum(_actor_calls(run) for run in mine) / len(mine),
                "tasks": len(mine),
            }
    return tree


def protocol_tables(inputs: ReportInputs) -> list[tuple[str, tuple[list[str], list[list[str]]]]]:
    """Return (domain, table) with a row per arm and a cell per protocol: share solved, and actor calls per task."""
    tables = []
    for domain in domains_of(inputs):
        figures = protocol_figures(inputs, domain)
        if not figures:
            continue
        head = ["arm", *(f"{name}: {what}" for name in figures for what in ("solved", "calls"))]
        arms = arms_of(run for run in _runs(inputs) if run.domain == domain)
        rows = [[arm_name(arm), *(cell for name in figures for cell in _cells(figures[name].get(arm)))] for arm in arms]
        tables.append((DOMAIN_NAMES.get(domain, domain), (head, rows)))
    return tables


def _cells(figures: dict[str, Any] | None) -> list[str]:
    return ["–", "–"] if figures is None else [f"{100 * figures['pass_rate']:.1f}%", f"{figures['actor_calls']:.1f}"]


def _actor_calls(run: Run) -> int:
    used = run.usage.get("actor")
    return used.calls if used else 0


def _runs(inputs: ReportInputs) -> Sequence[Run]:
    return (*inputs.runs, *inputs.protocol_runs)
