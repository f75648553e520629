"""Validate one domain's reflection rows: the suite's two passes, the verdict, and the verdict in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parammem.config import ValidateParams
from parammem.core import ReflectionExample
from parammem.validation.frame import advice_key, build_frame, build_repeats
from parammem.validation.labels import Kinds
from parammem.validation.repeats import KnownRuns
from parammem.validation.result import Quarantined, RuleResult, ValidationResult, digest_of_rows
from parammem.validation.rules import COLLAPSE_FROM, suite_digest, suite_rules
from parammem.validation.suite import RuleFinding, SuiteRunner

if TYPE_CHECKING:
    import pandas


def validate_rows(
    rows: Sequence[ReflectionExample],
    eval_task_texts: Sequence[str],
    params: ValidateParams,
    domain: str,
    claims: Callable[[str], frozenset[str]] | None,
    docs: Path | None = None,
    kinds: Kinds | None = None,
    stated: Callable[[str], str] = str,
    known: KnownRuns | None = None,
) -> ValidationResult:
    """Apply the suite: row rules quarantine rows, table rules pass or fail the whole.

    Args:
        rows: the rows of one domain, in the order in which they will be trained on.
        eval_task_texts: questions of the evaluation tasks, which no row may hold.
        params: bounds.
        domain: the domain that every row must belong to.
        claims: `Domain.hypotheses`; None where advice is free prose, then the rules about claims are left out.
        kinds: what advice may name first, each with its nouns; None: whose label a row has is not looked at.
        stated: the text of a task without what the project adds to it, which all tasks share; rows are compared by it.
        known: the runs that rows were read from, and the parts that rows may have beside the usual ones; None: then the
            rules about runs are left out.
        docs: a folder for Great Expectations' Data Docs and for `summary.html`, which opens offline.

    Returns:
        A verdict in which kept and quarantined rows together are all rows. Equal input gives an equal verdict.

    Raises:
        DataError: a rule could not be computed at all.
    """
    rules = suite_rules(params, domain, claims is not None, known.parts if known else None)
    by_stage = {stage: [rule for rule in rules if rule.stage == stage] for stage in ("rows", "repeats", "totals")}
    runner = SuiteRunner(docs)
    frame = build_frame(rows, eval_task_texts, params.near_duplicate, claims, kinds, stated, known)
    findings = runner.run(f"{domain}-rows", frame, by_stage["rows"])
    sound = _others(len(rows), _quarantine(rows, findings))
    repeats = build_repeats(rows, sound, params.near_duplicate, params.max_shift, stated)
    findings += runner.run(f"{domain}-repeats", repeats, by_stage["repeats"])
    quarantined = _quarantine(rows, findings)
    kept = _others(len(rows), quarantined)
    totals = _totals([rows[place] for place in kept], len(rows), findings, claims)
    last = [_observe(found, totals) for found in runner.run(f"{domain}-totals", totals, by_stage["totals"])]
    results = (*(found.result for found in findings), *last)
    verdict = ValidationResult(
        domain=domain,
        passed=all(result.success for result in results if result.scope == "table"),
        rows=len(rows),
        kept=kept,
        quarantined=quarantined,
        rules=results,
        suite_digest=suite_digest(rules),
        kept_digest=digest_of_rows(rows[place].row_hash for place in kept),
    )
    if docs is not None:
        from parammem.validation.pages import write_summary_page

        write_summary_page(verdict, docs / "summary.html")
    return verdict


def explain(verdict: ValidationResult, examples: int = 3) -> str:
    """Return the verdict in words: what fails, how many rows broke which rule, row numbers, and what to do. No
    values."""
    kept, out = len(verdict.kept), len(verdict.quarantined)
    word = "pass" if verdict.passed else "FAIL"
    lines = [f"{verdict.domain}: reflection rows {word}: {kept} of {verdict.rows} kept, {out} quarantined"]
    lines += [f"  failed rule {_table_line(rule)}" for rule in verdict.broken]
    counts = Counter(reason for item in verdict.quarantined for reason in item.reasons)
    for reason, count in counts.most_common():
        places = [item.row for item in verdict.quarantined if reason in item.reasons][:examples]
        shown = ", ".join(map(str, places)) + (", …" if count > len(places) else "")
        why = next(rule.why for rule in verdict.rules if rule.rule == reason and rule.unexpected)
        lines.append(f"  {count} × {reason} (rows {shown}): {why}")
    if not verdict.passed:
        lines.append(
            "  what to do: look at the quarantined rows (nothing was deleted), mend their source and run collect "
            "again; bounds are in params.yaml under `validate`"
        )
    return "\n".join(lines)


def _table_line(rule: RuleResult) -> str:
    bounds = ", ".join(f"{name} {value}" for name, value in rule.kwargs.items() if not isinstance(value, list))
    seen = "" if rule.observed is None else f": {rule.column} is {rule.observed:g}"
    return f"{rule.rule}{seen} ({bounds}): {rule.why}"


def _quarantine(rows: Sequence[ReflectionExample], findings: Sequence[RuleFinding]) -> tuple[Quarantined, ...]:
    reasons: dict[int, dict[str, None]] = {}
    for found in findings:
        for row in found.rows if found.result.scope == "row" else ():
            reasons.setdefault(row, {})[found.result.rule] = None
    return tuple(
        Quarantined(row=row, row_hash=rows[row].row_hash, reasons=tuple(reasons[row])) for row in sorted(reasons)
    )


def _others(total: int, quarantined: Sequence[Quarantined]) -> tuple[int, ...]:
    out = {item.row for item in quarantined}
    return tuple(place for place in range(total) if place not in out)


def _totals(
    kept: Sequence[ReflectionExample],
    total: int,
    findings: Sequence[RuleFinding],
    claims: Callable[[str], frozenset[str]] | None,
) -> pandas.DataFrame:
    """Return one line of numbers about the set as a whole, after quarantine."""
    import pandas

    broken = {row for found in findings if found.result.scope == "row" and found.result.defect for row in found.rows}
    advice = Counter(advice_key(row, claims) for row in kept)
    tasks = Counter(row.task_id for row in kept)
    sources = {row.label_source for row in kept if row.origin == "collect"}
    enough = len(kept) >= COLLAPSE_FROM
    values = {
        "row": 0,
        "rows": total,
        "kept": len(kept),
        "defect_share": len(broken) / total if total else 0.0,
        "label_sources": len(sources),
        "top_advice_share": max(advice.values()) / len(kept) if enough else 0.0,
        "top_task_share": max(tasks.values()) / len(kept) if enough else 0.0,
    }
    return pandas.DataFrame([values])


def _observe(found: RuleFinding, totals: pandas.DataFrame) -> RuleResult:
    return found.result.model_copy(update={"observed": round(float(totals[found.result.column].iloc[0]), 6)})
