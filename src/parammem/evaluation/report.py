"""The report: metrics.json, one offline page, a table for the terminal, and CSV files for DVC plots.

report = build_report(inputs)      # pure
write_report(report, "reports")    # metrics.json, headline.json, report.html, table.txt, plots/*.csv
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from parammem.checkout.places import EVALUATION
from parammem.core.jsonl import write_text
from parammem.core.record import Record
from parammem.core.words import count
from parammem.evaluation import figures, study, tables
from parammem.evaluation.benchmarks import benchmarks_table, in_words, judged, titles
from parammem.evaluation.boxes import Box, draw
from parammem.evaluation.inputs import DOMAIN_NAMES, Made, ReportInputs, arm_name, domains_of, pair_name, runs_of
from parammem.evaluation.protocols import protocol_tables
from parammem.evaluation.statistics import Comparison
from parammem.evaluation.summary import comparisons, metrics_json, temperature_rows
from parammem.evaluation.uptake import uptake_table
from parammem.evaluation.variants import label_findings, variant_curves, variant_tables

HERE = Path(__file__).parent
HEADLINE = {
    "paramagent": ("paramagent",),
    "untrained": ("paramagent", "untrained"),
    "reflexion": ("reflexion",),
}
"""Name in headline.json → place of the arm in metrics.json."""


class Report(Record):
    """A finished report. Equal inputs give equal bytes."""

    metrics: dict[str, Any]
    html: str
    table: str
    plots: dict[str, str]
    """File name → CSV."""


def build_report(inputs: ReportInputs) -> Report:
    """Compute every figure and draw every picture.

    Raises:
        ValueError: there are no runs, or parts of the inputs contradict each other.
    """
    if not inputs.runs and inputs.notes:
        return _unmeasured(inputs)
    if not inputs.runs:
        raise ValueError("no runs to report; the evaluate stage has to come first")
    tree = metrics_json(inputs)
    compared = comparisons(inputs)
    curve = temperature_rows(inputs)
    return Report(
        metrics=tree,
        html=_page(inputs, tree, compared, curve),
        table=tables.table_text(inputs, tree, compared),
        plots={
            "solved_per_iteration.csv": tables.solved_csv(inputs),
            "diversity_temperature.csv": tables.temperature_csv(curve),
        },
    )


def _unmeasured(inputs: ReportInputs) -> Report:
    """Return the report of domains of which no outcome was measured: what can be said of them, in words."""
    rows = "".join(f"<li>{escape(note)}</li>" for note in inputs.notes)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>ParamMem report</title>'
    plots = {
        "solved_per_iteration.csv": tables.solved_csv(inputs),
        "diversity_temperature.csv": tables.temperature_csv([]),
    }
    html = f"{head}<h1>No agent was run</h1><ul>{rows}</ul></html>\n"
    return Report(metrics={}, html=html, table="\n".join(inputs.notes) + "\n", plots=plots)


def write_report(report: Report, folder: Path | str) -> None:
    """Write the files of a report into `folder`, each atomically."""
    folder = Path(folder)
    write_text(folder / "metrics.json", json.dumps(report.metrics, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "headline.json", json.dumps(headline_json(report.metrics), indent=2) + "\n")
    write_text(folder / "report.html", report.html)
    write_text(folder / "table.txt", report.table)
    for name, text in report.plots.items():
        write_text(folder / "plots" / name, text)


def headline_json(tree: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the few figures that `dvc metrics show` prints: domain → arm → share solved, for HEADLINE's arms."""
    found: dict[str, dict[str, float]] = {}
    for domain, branch in tree.items():
        shares = {name: _at(branch, path) for name, path in HEADLINE.items()}
        found[domain] = {name: share for name, share in shares.items() if share is not None}
    return found


def _at(branch: Mapping[str, Any], path: Sequence[str]) -> float | None:
    found: Any = branch
    for key in (*path, "pass_rate"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def verdict(comparison: Comparison) -> str:
    """Return what a comparison says, in one word. Both the interval and p have to agree that there is a difference."""
    if comparison.p > 0.05 or comparison.low <= 0 <= comparison.high:
        return "unclear"
    return "better" if comparison.difference > 0 else "worse"


def _page(inputs: ReportInputs, tree: Any, compared: list[Comparison], curve: list[Any]) -> str:
    """Return the page from its template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    domains = domains_of(inputs)
    return environment.get_template("page.html.j2").render(
        inputs=inputs,
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        headline=_headline(compared),
        cards=[_card(inputs, tree, compared, domain) for domain in domains],
        pictures=_pictures(inputs, tree, curve),
        protocol_tables=protocol_tables(inputs),
        variant_tables=variant_tables(inputs.variants),
        label_findings=label_findings(inputs.variants),
        arm_tables=[(DOMAIN_NAMES.get(d, d), tables.arms_table(inputs, tree, d)) for d in domains],
        comparison_table=tables.comparisons_table(compared),
        reflector_table=tables.reflectors_table(inputs, tree),
        ceiling_table=tables.ceilings_table(inputs, tree),
        uptake_tables=[(DOMAIN_NAMES.get(u.domain, u.domain), u, uptake_table(u)) for u in inputs.uptake],
        correlation_table=tables.correlation_table(inputs, tree),
        methods_table=tables.methods_table(inputs),
        study_rows=_study_tables(inputs),
        made=[(DOMAIN_NAMES.get(one.domain, one.domain), _picture_of(one)) for one in inputs.made],
        failed=sum(run.failed for run in inputs.runs),
        unseen=any(run.slice == "unseen" for run in inputs.runs),
        work=inputs.work,
        slices=_slices(inputs),
        titles=titles(inputs.benchmarks),
        judged=[in_words(one) for one in judged(inputs.benchmarks)],
        source_table=benchmarks_table(inputs.benchmarks),
        blind=[DOMAIN_NAMES.get(d, d) for d in domains if all(r.visible_passed is None for r in runs_of(inputs, d))],
    )


def _picture_of(made: Made) -> Any:
    """Return rows, rules, base, adapter and evaluation as boxes. Who promoted it is in the ledger: `parammem audit
    graph`."""
    from markupsafe import Markup

    boxes = [
        Box("rows", 1, count(made.rows, "training row"), made.data_digest[:16]),
        Box("rules", 2, f"rules {'passed' if made.passed else 'FAILED'}", made.suite_digest[:16], not made.passed),
        Box("base", 2, made.base_model, made.base_digest[:16]),
        Box("adapter", 3, f"reflector for {made.domain}", made.adapter[:16]),
        Box("evaluation", 4, "this evaluation", EVALUATION.as_posix()),
    ]
    edges = [
        ("rows", "rules"),
        ("rows", "adapter"),
        ("rules", "adapter"),
        ("base", "adapter"),
        ("adapter", "evaluation"),
    ]
    return Markup(draw(boxes, edges, f"What made the reflector for {made.domain}"))


def _pictures(inputs: ReportInputs, tree: Any, curve: list[Any]) -> dict[str, str]:
    from markupsafe import Markup

    worlds = (inputs.study or {}).get("worlds", [])
    drawn = {
        "passed": figures.pass_rates(inputs, tree),
        "solved": figures.solved_curves(inputs),
        "repetition": figures.repetition_curves(inputs),
        "accuracy": figures.accuracy_bars(inputs, tree),
        "temperature": figures.temperature_curves(inputs, curve),
        "cost": figures.cost(inputs, tree),
        "loss": figures.losses(inputs),
        "variants": variant_curves(inputs.variants),
        "study": str(study.study_figure(worlds, inputs.bootstrap, inputs.seed, kind="page")) if worlds else "",
    }
    # The SVG is ours, made from numbers and escaped labels, so it may pass the template unescaped.
    return {name: Markup(text) for name, text in drawn.items()}


def _headline(compared: list[Comparison]) -> list[str]:
    """Return a sentence per rival of ParamAgent: in which domains it came out better, worse, or not clearly either."""
    sentences = []
    for right in dict.fromkeys(c.right for c in compared if c.left == "paramagent" and "." not in c.right):
        found = [c for c in compared if (c.left, c.right) == ("paramagent", right)]
        counts = {word: sum(verdict(c) == word for c in found) for word in ("better", "unclear", "worse")}
        said = ", ".join(f"{word} in {count}" for word, count in counts.items() if count)
        sentences.append(f"against {arm_name(right)}: {said} of {len(found)} domain{'s' if len(found) > 1 else ''}")
    return sentences


def _card(inputs: ReportInputs, tree: Any, compared: list[Comparison], domain: str) -> dict[str, Any]:
    """Return what the first screen says of a domain."""
    figures_of = figures.find(tree, domain, "paramagent") or {}
    accuracy = figures.find(tree, domain, "reflector") or {}
    rivals = [
        {
            "name": arm_name(c.right).removeprefix("ParamAgent, "),
            "points": tables.points(c.difference),
            "verdict": verdict(c),
            "interval": f"{tables.points(c.low)} … {tables.points(c.high)}",
        }
        for c in compared
        if c.domain == domain and c.left == "paramagent"
    ]
    return {
        "name": DOMAIN_NAMES.get(domain, domain),
        "tasks": figures_of.get("tasks", 0),
        "solved": tables.percent(figures_of.get("pass_rate")),
        "interval": f"{tables.percent(figures_of.get('pass_rate_low'))} to "
        f"{tables.percent(figures_of.get('pass_rate_high'))}",
        "floor": tables.percent(figures.find(tree, domain, "ceiling", "spec")),
        "ceiling": tables.percent(figures.find(tree, domain, "ceiling", "visible_regularities")),
        "trained": tables.percent(accuracy.get("trained", {}).get("advice_accuracy")),
        "untrained": tables.percent(accuracy.get("untrained", {}).get("advice_accuracy")),
        "rivals": rivals,
    }


def _study_tables(inputs: ReportInputs) -> list[tuple[str, tables.Table]]:
    """Return per ρ, the comparisons of the study."""
    worlds = (inputs.study or {}).get("worlds", [])
    rows = study.study_comparisons(worlds, inputs.bootstrap, inputs.seed) if worlds else []
    head = ["domain", "comparison", "points", "95% interval", "won – lost", "p", "p, Holm", "tasks"]
    found = []
    for rho in sorted({row["rho"] for row in rows}, reverse=True):
        body = [
            [
                DOMAIN_NAMES.get(row["domain"], row["domain"]),
                pair_name(row["left"], row["right"]),
                tables.points(row["difference"]),
                f"{tables.points(row['low'])} … {tables.points(row['high'])}",
                f"{row['wins']} – {row['losses']} of {row['worlds']}",
                tables.p_value(row["p"]),
                tables.p_value(row["p_holm"]),
                str(row["tasks"]),
            ]
            for row in rows
            if row["rho"] == rho
        ]
        found.append((f"ρ = {rho:g}", (head, body)))
    return found


def _slices(inputs: ReportInputs) -> list[tuple[str, int, int]]:
    """Return (domain, evaluation tasks, of unseen kinds)."""
    return [
        (
            DOMAIN_NAMES.get(domain, domain),
            len({r.task_id for r in inputs.runs if r.domain == domain and r.slice == "eval"}),
            len({r.task_id for r in inputs.runs if r.domain == domain and r.slice == "unseen"}),
        )
        for domain in domains_of(inputs)
    ]
