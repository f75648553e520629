"""Figures in words and tables: for the terminal (rich), for the page, and as CSV for DVC plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from parammem.core.words import count
from parammem.evaluation import metrics
from parammem.evaluation.benchmarks import in_words, judged
from parammem.evaluation.figures import Tree, find
from parammem.evaluation.inputs import (
    DOMAIN_NAMES,
    REFLECTORS,
    ReportInputs,
    arm_name,
    arms_of,
    domains_of,
    in_order,
    pair_name,
    runs_of,
)
from parammem.evaluation.protocols import protocol_tables
from parammem.evaluation.statistics import Comparison
from parammem.evaluation.summary import TemperatureRow
from parammem.evaluation.uptake import uptake_table

Table = tuple[list[str], list[list[str]]]
"""Head and rows."""


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def number(value: float | None, places: int = 2) -> str:
    return "–" if value is None else f"{value:,.{places}f}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def p_value(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _share_of(share: float | None, count: int | None) -> str:
    """Return a share with what it is a share of: of a few, it says little."""
    return "–" if share is None or not count else f"{round(share * count)} of {count}"


def arms_table(inputs: ReportInputs, tree: Tree, domain: str) -> Table:
    """Return one row per arm of a domain."""
    head = ["arm", "solved", "95% interval", "visible", "unseen", "prompt", "written", "× base", "repeats"]
    rows = []
    repeats = "repetition_text" if inputs.benchmarks else "repetition"  # claims are not parsed out of prose
    for arm in arms_of(run for run in inputs.runs if run.domain == domain):
        found = find(tree, domain, arm) or {}
        rows.append(
            [
                arm_name(arm),
                percent(found.get("pass_rate")),
                _interval(found.get("pass_rate_low"), found.get("pass_rate_high")),
                percent(found.get("visible_pass_rate")),
                percent(found.get("unseen_pass_rate")),
                number(found.get("prompt_tokens"), 0),
                number(found.get("completion_tokens"), 0),
                number(found.get("token_ratio"), 1),
                _share_of(found.get(repeats), found.get(f"{repeats}_of")),
            ]
        )
    if not any(run.slice == "unseen" for run in inputs.runs):
        place = head.index("unseen")
        return head[:place] + head[place + 1 :], [row[:place] + row[place + 1 :] for row in rows]
    return head, rows


def comparisons_table(compared: Sequence[Comparison]) -> Table:
    """Return one row per paired comparison."""
    head = ["domain", "comparison", "points", "95% interval", "p", "p, Holm", "pairs", "discordant"]
    rows = [
        [
            DOMAIN_NAMES.get(c.domain, c.domain),
            pair_name(c.left, c.right),
            points(c.difference),
            f"{points(c.low)} … {points(c.high)}",
            p_value(c.p),
            p_value(c.p_holm),
            str(c.n),
            f"{c.left_only} : {c.right_only}",
        ]
        for c in compared
    ]
    return head, rows


def reflectors_table(inputs: ReportInputs, tree: Tree) -> Table:
    """Return advice accuracy and diversity per domain and reflector; of prose, which claims nothing, how varied it
    is."""
    head = [
        "domain",
        "reflector",
        "accuracy",
        "95% interval",
        "unseen",
        "among claimed",
        "distinct",
        "bits",
        "distance",
        "K*",
    ]
    rows = []
    for domain in domains_of(inputs):
        accuracy, spread = find(tree, domain, "reflector") or {}, find(tree, domain, "diversity") or {}
        for name in in_order({*accuracy, *(set(spread) - {"with_success", "over_methods"})}, REFLECTORS):
            a, d = accuracy.get(name, {}), spread.get(name, {})
            rows.append(
                [
                    DOMAIN_NAMES.get(domain, domain),
                    REFLECTORS.get(name, name),
                    percent(a.get("advice_accuracy")),
                    _interval(a.get("advice_accuracy_low"), a.get("advice_accuracy_high")),
                    percent(a.get("advice_accuracy_unseen")),
                    percent(a.get("advice_accuracy_among_claimed")),
                    number(d.get("distinct"), 1),
                    number(d.get("entropy"), 2),
                    number(d.get("distance"), 3),
                    number(d.get("k_star"), 0),
                ]
            )
    if not any(find(tree, domain, "reflector") for domain in domains_of(inputs)):
        kept = [place for place, name in enumerate(head) if name in ("domain", "reflector", "distance", "K*")]
        return [head[place] for place in kept], [[row[place] for place in kept] for row in rows]
    return head, rows


def ceilings_table(inputs: ReportInputs, tree: Tree) -> Table:
    head = ["domain", "text alone (floor)", "+ visible checks", "+ regularities", "+ both"]
    rows = []
    for domain in domains_of(inputs):
        found = find(tree, domain, "ceiling")
        if found:
            keys = ("spec", "visible", "regularities", "visible_regularities")
            rows.append([DOMAIN_NAMES.get(domain, domain), *(percent(found[key]) for key in keys)])
    return head, rows


def correlation_table(inputs: ReportInputs, tree: Tree) -> Table:
    """Return diversity of a task's draws against success on it."""
    names = {"distinct": "distinct sets of claims", "entropy": "their entropy", "distance": "cosine distance"}
    head = ["domain", "measure", "Pearson", "95% interval", "Spearman", "95% interval", "tasks"]
    rows = []
    for domain in domains_of(inputs):
        for measure, found in (find(tree, domain, "diversity", "with_success") or {}).items():
            if "pearson" not in found and inputs.benchmarks:  # prose claims nothing, so nothing varies
                continue
            if "pearson" not in found:
                rows.append(
                    [DOMAIN_NAMES.get(domain, domain), names[measure], "constant", "–", "–", "–", str(found["n"])]
                )
                continue
            cells = [f"{found['pearson']:+.2f}", _span(found, "pearson"), f"{found['spearman']:+.2f}"]
            rows.append(
                [DOMAIN_NAMES.get(domain, domain), names[measure], *cells, _span(found, "spearman"), str(found["n"])]
            )
    return head, rows


def methods_table(inputs: ReportInputs) -> Table:
    """Return the paper's statistic: diversity of a method's reflections against its score, over methods."""
    names = {"distance": "cosine distance", "distinct": "share of distinct claims"}
    head = ["domain", "measure", "among", "Pearson", "95% interval", "methods"]
    rows = [
        [
            DOMAIN_NAMES.get(one.domain, one.domain),
            names[one.measure],
            "all methods" if one.parametric else "without ParamAgent's",
            f"{one.pearson:+.2f}",
            f"{one.low:+.2f} … {one.high:+.2f}" if one.low is not None and one.high is not None else "–",
            str(len(one.methods)),
        ]
        for one in inputs.over_methods
        if one.pearson is not None
    ]
    return head, rows


def table_text(inputs: ReportInputs, tree: Tree, compared: Sequence[Comparison]) -> str:
    """Return all tables as plain text, at most 118 columns wide."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=118, color_system=None, force_terminal=False)
    about = f"world {inputs.world} · ρ {inputs.rho:g} · " if not inputs.benchmarks else ""
    console.print(
        f"protocol {inputs.protocol} · {about}sandbox {inputs.sandbox_level} · {count(inputs.iterations, 'iteration')}"
    )
    for one in judged(inputs.benchmarks):
        console.print(in_words(one), highlight=False)
    for domain in domains_of(inputs):
        _print(console, DOMAIN_NAMES.get(domain, domain), arms_table(inputs, tree, domain))
    for name, table in protocol_tables(inputs):
        _print(console, f"{name}: protocols side by side, solved (attempts per task)", _paired(table))
    _print(console, "Paired comparisons", comparisons_table(compared))
    _print(console, "The reflectors", reflectors_table(inputs, tree))
    _print(console, "Bayes floor and ceilings", ceilings_table(inputs, tree))
    for one in inputs.uptake:
        name = DOMAIN_NAMES.get(one.domain, one.domain)
        _print(console, f"{name}: advice uptake on {count(one.tasks, 'train task')}", uptake_table(one))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def solved_csv(inputs: ReportInputs) -> str:
    """Return the share solved so far as CSV, a row per domain, arm and iteration (drawn by .dvc/plots/by_arm.json)."""
    rows = [
        [domain, arm, number, round(solved, 6)]
        for domain in domains_of(inputs)
        for arm in arms_of(run for run in inputs.runs if run.domain == domain)
        for number, solved in enumerate(
            metrics.solved_per_iteration(runs_of(inputs, domain, arm), inputs.iterations), 1
        )
    ]
    return _csv(["domain", "arm", "iteration", "solved"], rows)


def temperature_csv(rows: Sequence[TemperatureRow]) -> str:
    """Return a row per domain and temperature. Empty cells where a figure cannot be had."""
    return _csv(
        list(TemperatureRow.model_fields),
        [[round(v, 6) if isinstance(v, float) else v for v in row.model_dump().values()] for row in rows],
    )


def _csv(head: list[str], rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return out.getvalue()


def _paired(table: Table) -> Table:
    """Return a table of protocols with one column for each, as narrow as a terminal wants it."""
    head, rows = table
    names = [name.removesuffix(": solved") for name in head[1::2]]
    return [head[0], *names], [
        [row[0], *(f"{solved} ({calls})" for solved, calls in zip(row[1::2], row[2::2], strict=True))] for row in rows
    ]


def _print(console: Any, title: str, table: Table) -> None:
    from rich import box
    from rich.table import Table as RichTable

    head, rows = table
    if not rows:
        return
    drawn = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    words = 2 if head[0] == "domain" else 1
    for place, name in enumerate(head):
        drawn.add_column(name, justify="left" if place < words else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{100 * low:.0f} … {100 * high:.0f}%"


def _span(found: dict[str, Any], key: str) -> str:
    low, high = found.get(f"{key}_low"), found.get(f"{key}_high")
    return "–" if low is None or high is None else f"{low:+.2f} … {high:+.2f}"
