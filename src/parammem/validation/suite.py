"""Run rules through Great Expectations, offline, and read the results back without their ids, clocks and values."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parammem.core.record import Record
from parammem.errors import DataError
from parammem.validation.result import RuleResult
from parammem.validation.rules import DataRule

if TYPE_CHECKING:
    import pandas

# Row numbers are needed in full (`unexpected_list` stops at 200), values are never wanted.
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["row"],
    "exclude_unexpected_values": True,
    "include_unexpected_rows": False,
}


class RuleFinding(Record):
    """A rule's result with the rows that broke it."""

    result: RuleResult
    rows: tuple[int, ...]


class SuiteRunner:
    """One Great Expectations context for the passes of one validation; `docs` gets its Data Docs site."""

    def __init__(self, docs: Path | None) -> None:
        self._docs = docs
        self._context = _context(docs)

    def run(self, name: str, frame: pandas.DataFrame, rules: Sequence[DataRule]) -> list[RuleFinding]:
        """Return findings in the order of the rules.

        Raises:
            DataError: a rule's column is not in the table, or Great Expectations could not compute a rule.
        """
        import great_expectations as gx
        import great_expectations.expectations as expectations
        from great_expectations.checkpoint.actions import UpdateDataDocsAction

        missing = sorted({rule.column for rule in rules if rule.column} - set(frame.columns))
        if missing:
            raise DataError(
                f"the rows lack {', '.join(map(repr, missing))}, which the suite {name!r} is about; "
                "write them with core.jsonl"
            )
        context = self._context
        asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe(name)
        checks = [_expectation(expectations, rule) for rule in rules]
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=checks))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        actions: list[Any] = [UpdateDataDocsAction(name="docs", site_names=["docs"])] if self._docs else []
        checkpoint = gx.Checkpoint(
            name=name, validation_definitions=[definition], actions=actions, result_format=_RESULT_FORMAT
        )
        outcome = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
        results = next(iter(outcome.run_results.values())).results
        by_key = {result.expectation_config.meta["key"]: result for result in results}
        return [_finding(rule, by_key[rule.key]) for rule in rules]


def _context(docs: Path | None) -> Any:
    """Return an in-memory context: no project folder, no analytics, no progress bars, no network."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    for noisy in ("great_expectations", "great_expectations._docs_decorators"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    if docs is None:
        return context
    for stale in ("expectations", "validations"):  # pages of earlier runs would pile up, each under its own clock
        shutil.rmtree(docs / stale, ignore_errors=True)
    docs.mkdir(parents=True, exist_ok=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())}
    context.add_data_docs_site(
        "docs",
        {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": store,
        },
    )
    return context


def _expectation(expectations: Any, rule: DataRule) -> Any:
    column = {"column": rule.column} if rule.column else {}
    meta = {"rule": rule.rule, "key": rule.key}
    return getattr(expectations, rule.expectation)(**column, **rule.kwargs, meta=meta, notes=f"{rule.rule}: {rule.why}")


def _finding(rule: DataRule, result: Any) -> RuleFinding:
    if not result.success and _raised(result.exception_info):
        raise DataError(
            f"the rule {rule.rule!r} could not be computed on column {rule.column!r}: "
            f"{_first_message(result.exception_info)}"
        )
    found = result.result
    rows = tuple(
        sorted({int(row) for entry in found.get("unexpected_index_list") or [] for row in _numbers(entry["row"])})
    )
    count = int(found.get("unexpected_count", 0 if result.success else 1))
    # A row rule that fails without naming its rows would lose them silently.
    if rule.scope == "row" and len(rows) != count:
        raise DataError(
            f"the rule {rule.rule!r} counts {count} and names {len(rows)} of its rows; "
            "report this with the version of great-expectations"
        )
    return RuleFinding(
        rows=rows,
        result=RuleResult(
            rule=rule.rule,
            expectation=result.expectation_config.type,
            column=rule.column,
            kwargs=rule.kwargs,
            scope=rule.scope,
            defect=rule.defect,
            success=bool(result.success),
            unexpected=count,
            unexpected_percent=round(float(found.get("unexpected_percent") or 0.0), 4),
            why=rule.why,
        ),
    )


def _numbers(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _raised(info: Any) -> bool:
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(entry.get("raised_exception") for entry in info.values())


def _first_message(info: Any) -> str:
    entries = [info] if "exception_message" in info else list(info.values())
    return str(entries[0].get("exception_message")).strip()
