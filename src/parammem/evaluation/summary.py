"""Every figure of a report as plain nested data: what `metrics.json`, the tables and the pictures are read from.

`dvc metrics diff` flattens the nesting to dots: `code.paramagent.pass_rate`, `code.paramagent.untrained.pass_rate`,
`code.reflector.trained.advice_accuracy`, `code.ceiling.visible`, `code.paramagent_vs_reflexion.difference`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from parammem.core.record import Record
from parammem.evaluation import diversity, metrics, statistics
from parammem.evaluation.ceilings import ceilings
from parammem.evaluation.inputs import PAIRS, REFLECTORS, ReportInputs, arms_of, domains_of, in_order, pair_key, runs_of
from parammem.evaluation.protocols import protocol_figures
from parammem.evaluation.runs import AdviceDraws, Run

MEASURES = ("distinct", "entropy", "distance")


class TemperatureRow(Record):
    """One point of the curve of diversity and success against reflector temperature."""

    domain: str
    temperature: float
    distinct: float | None
    entropy: float | None
    distance: float | None
    advice_accuracy: float | None
    solved: float | None
    solved_low: float | None
    solved_high: float | None
    tasks: int


def metrics_json(inputs: ReportInputs) -> dict[str, Any]:
    """Return domain → arm, reflector, ceiling, diversity or comparison → figure. Shares lie in 0..1; tokens are per
    task.

    A figure that cannot be had is absent.
    """
    compared = {(c.domain, c.left, c.right): c for c in comparisons(inputs)}
    tree: dict[str, Any] = {}
    for domain in domains_of(inputs):
        branch: dict[str, Any] = {}
        for arm in arms_of(r for r in inputs.runs if r.domain == domain):
            _graft(branch, arm.split("."), arm_figures(inputs, domain, arm))
        branch.update(_ceiling_figures(inputs, domain))
        branch["reflector"] = {name: _reflector_figures(inputs, domain, name) for name in _reflectors(inputs, domain)}
        branch["diversity"] = _diversity_figures(inputs, domain)
        branch["diversity_over_methods"] = _over_methods(inputs, domain)
        branch["protocol"] = protocol_figures(inputs, domain)
        for (where, left, right), comparison in compared.items():
            if where == domain:
                branch[pair_key(left, right)] = _comparison_figures(comparison)
        tree[domain] = branch
    return _tidy(tree)


def comparisons(inputs: ReportInputs) -> list[statistics.Comparison]:
    """Return the comparisons of PAIRS on the eval slice, with Holm's correction within each domain."""
    found: list[statistics.Comparison] = []
    for domain in domains_of(inputs):
        pairs = [
            statistics.compare(
                runs_of(inputs, domain, left), runs_of(inputs, domain, right), inputs.bootstrap, inputs.seed
            )
            for left, right in PAIRS
        ]
        found.extend(statistics.with_holm([pair for pair in pairs if pair is not None]))
    return found


def arm_figures(inputs: ReportInputs, domain: str, arm: str) -> dict[str, Any]:
    """Return pass rate with interval, tokens and repetition of one arm, on the eval slice; `unseen_…` on the other."""
    runs = runs_of(inputs, domain, arm)
    unseen = runs_of(inputs, domain, arm, "unseen")
    figures: dict[str, Any] = {}
    if runs:
        figures |= _rate_figures(statistics.rate(runs, inputs.bootstrap, inputs.seed))
        spent = metrics.tokens(runs)
        repeated = metrics.repetition_overall(runs)
        figures |= {
            "visible_pass_rate": metrics.visible_rate(runs),
            "prompt_tokens": round(spent.prompt, 1),
            "completion_tokens": round(spent.completion, 1),
            "calls": round(spent.calls, 2),
            "token_ratio": metrics.token_ratio(runs, runs_of(inputs, domain, "base")),
            "repetition": repeated and repeated.claim_equal,
            "repetition_of": repeated and repeated.claiming,
            "repetition_text": repeated and repeated.text_equal,
            "repetition_text_of": repeated and repeated.reflections,
            "failed": sum(run.failed for run in runs),
        }
    if unseen:
        rate = _rate_figures(statistics.rate(unseen, inputs.bootstrap, inputs.seed))
        figures |= {f"unseen_{key}": value for key, value in rate.items()}
    return figures


def temperature_rows(inputs: ReportInputs) -> list[TemperatureRow]:
    """Return diversity, advice accuracy and success of the trained reflector at each temperature of the curve."""
    groups: dict[tuple[str, float], list[Run]] = defaultdict(list)
    for run in inputs.curve_runs:
        if run.reflector_temperature is not None:
            groups[run.domain, run.reflector_temperature].append(run)
    keys = in_order({domain for domain, _ in groups}, domains_of(inputs))
    return [
        _temperature_row(inputs, domain, temperature, groups[domain, temperature])
        for domain in keys
        for temperature in sorted(t for d, t in groups if d == domain)
    ]


def draws_of(inputs: ReportInputs, domain: str, reflector: str, temperature: float, part: str) -> list[AdviceDraws]:
    return [
        item
        for item in inputs.draws
        if (item.domain, item.reflector, item.slice) == (domain, reflector, part)
        and (item.temperature == temperature or reflector == "majority")
    ]


def diversity_rows(inputs: ReportInputs) -> list[diversity.TaskDiversity]:
    """Return what was measured with embeddings, or else what can be measured without."""
    return list(inputs.diversity) or [diversity.measure(item) for item in inputs.draws]


def _temperature_row(inputs: ReportInputs, domain: str, temperature: float, runs: list[Run]) -> TemperatureRow:
    tasks = {run.task_id for run in runs}
    rows = diversity.summarise(
        row
        for row in diversity_rows(inputs)
        if (row.domain, row.reflector, row.temperature) == (domain, "trained", temperature) and row.task_id in tasks
    )
    drawn = [d for d in draws_of(inputs, domain, "trained", temperature, "eval") if d.task_id in tasks]
    accuracy = metrics.advice_accuracy(drawn, inputs.bootstrap, inputs.seed)
    solved = statistics.rate(runs, inputs.bootstrap, inputs.seed)
    return TemperatureRow(
        domain=domain,
        temperature=temperature,
        distinct=rows.distinct if rows else None,
        entropy=rows.entropy if rows else None,
        distance=rows.distance if rows else None,
        advice_accuracy=accuracy.value if accuracy else None,
        solved=solved.value,
        solved_low=solved.low,
        solved_high=solved.high,
        tasks=len(tasks),
    )


def _reflectors(inputs: ReportInputs, domain: str) -> list[str]:
    return in_order((d.reflector for d in inputs.draws if d.domain == domain), REFLECTORS)


def _reflector_figures(inputs: ReportInputs, domain: str, name: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for part, suffix in (("eval", ""), ("unseen", "_unseen")):
        drawn = draws_of(inputs, domain, name, inputs.reflector_temperature, part)
        found = metrics.advice_accuracy(drawn, inputs.bootstrap, inputs.seed)
        if found is None:
            continue
        figures[f"advice_accuracy{suffix}"] = found.value
        figures[f"advice_accuracy{suffix}_low"] = found.low
        figures[f"advice_accuracy{suffix}_high"] = found.high
        figures[f"advice_accuracy{suffix}_among_claimed"] = found.among_claimed
        figures[f"advice_accuracy{suffix}_unrevealed"] = found.unrevealed
    return figures


def _ceiling_figures(inputs: ReportInputs, domain: str) -> dict[str, Any]:
    """Return ceilings of the eval slice (`ceiling`) and of unseen kinds (`ceiling_unseen`)."""
    found = {}
    for key, seen in (("ceiling", True), ("ceiling_unseen", False)):
        tasks = [t for t in inputs.open_tasks if t.domain == domain and t.seen_kind == seen]
        if tasks:
            found[key] = ceilings(tasks, inputs.rho).model_dump(exclude={"tasks"})
    return found


def _diversity_figures(inputs: ReportInputs, domain: str) -> dict[str, Any]:
    """Return per reflector the means over eval tasks and K*; and the correlation of diversity with success over
    tasks."""
    figures: dict[str, Any] = {}
    kept = [
        row
        for row in diversity_rows(inputs)
        if row.domain == domain and row.slice == "eval" and row.temperature == inputs.reflector_temperature
    ]
    for name in in_order((row.reflector for row in kept), REFLECTORS):
        means = diversity.summarise(row for row in kept if row.reflector == name)
        figures[name] = means.model_dump(exclude={"tasks"}) if means else {}
    for found in inputs.clusters:
        if found.domain == domain and found.temperature == inputs.reflector_temperature:
            figures.setdefault(found.reflector, {}).update(k_star=found.k_star, silhouette=found.silhouette)
    trained = [row for row in kept if row.reflector == "trained"]
    figures["with_success"] = _correlations(inputs, trained, runs_of(inputs, domain, "paramagent"))
    return figures


def _over_methods(inputs: ReportInputs, domain: str) -> dict[str, Any]:
    """Measure → among which methods → the correlation of their diversity with their score."""
    figures: dict[str, Any] = {}
    for found in inputs.over_methods:
        if found.domain == domain:
            among = "all_methods" if found.parametric else "without_paramagent"
            numbers = {"pearson": found.pearson, "pearson_low": found.low, "pearson_high": found.high}
            figures.setdefault(found.measure, {})[among] = numbers | {"n": len(found.methods)}
    return figures


def _correlations(inputs: ReportInputs, rows: list[diversity.TaskDiversity], runs: list[Run]) -> dict[str, Any]:
    """Return each measure of diversity against the share of runs that passed, over tasks."""
    passed: dict[str, list[bool]] = defaultdict(list)
    for run in runs:
        passed[run.task_id].append(run.passed)
    figures: dict[str, Any] = {}
    for measure in MEASURES:
        pairs = [(getattr(r, measure), float(np.mean(passed[r.task_id]))) for r in rows if r.task_id in passed]
        pairs = [(x, y) for x, y in pairs if x is not None]
        if len(pairs) >= 3:
            x, y = zip(*pairs, strict=True)
            figures[measure] = diversity.correlate(x, y, inputs.bootstrap, inputs.seed).model_dump()
    return figures


def _rate_figures(rate: statistics.Rate) -> dict[str, Any]:
    return {"pass_rate": rate.value, "pass_rate_low": rate.low, "pass_rate_high": rate.high, "tasks": rate.n}


def _comparison_figures(comparison: statistics.Comparison) -> dict[str, Any]:
    kept = ("difference", "low", "high", "p", "p_holm", "n", "unpaired")
    return {key: getattr(comparison, key) for key in kept} | {
        "left_only": comparison.left_only,
        "right_only": comparison.right_only,
    }


def _graft(tree: dict[str, Any], path: list[str], leaves: dict[str, Any]) -> None:
    for part in path:
        tree = tree.setdefault(part, {})
    tree.update(leaves)


def _tidy(value: Any) -> Any:
    """Return floats to six places, absent and empty parts left out: equal results give equal bytes on any machine."""
    if isinstance(value, dict):
        tidied = {str(key): _tidy(item) for key, item in value.items()}
        return {key: item for key, item in tidied.items() if item is not None and item != {}}
    if isinstance(value, float):
        return round(value, 6)
    return value
