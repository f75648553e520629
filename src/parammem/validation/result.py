"""What validation found, as records. Row numbers, hashes, rule names and counts, and never a value of a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parammem.core.record import Record, digest_of


class Quarantined(Record):
    """One row that may not be trained on."""

    row: int
    """Its place in the rows that were validated, from 0."""
    row_hash: str
    reasons: tuple[str, ...]
    """Names of the rules it broke, in the order of the suite."""


class RuleResult(Record):
    """What one expectation said. Equal input gives equal results: no ids, clocks or offending values."""

    rule: str
    """Stable name; several expectations may share one."""
    expectation: str
    """Great Expectations' name of the check."""
    column: str
    """Empty: the check is about the table."""
    kwargs: dict[str, Any]
    scope: str
    """row: breaking it quarantines the row; table: breaking it fails the suite."""
    defect: bool
    """False: a repetition, which is set aside but does not count against `max_quarantined`."""
    success: bool
    unexpected: int
    """Rows that break it; for a table check 0 or 1."""
    unexpected_percent: float
    observed: float | None = None
    """The number that a table check looked at."""
    why: str
    """What the rule is for, in words."""


class ValidationResult(Record):
    """The outcome of one suite over one domain's rows. `kept` and `quarantined` together are all rows, each once."""

    domain: str
    passed: bool
    rows: int
    kept: tuple[int, ...]
    """Places of the rows that broke no row rule."""
    quarantined: tuple[Quarantined, ...]
    rules: tuple[RuleResult, ...]
    suite_digest: str
    """Digest of the rules with their bounds: the same suite, the same digest, whatever the rows."""
    kept_digest: str
    """Digest of the ordered row hashes that were kept."""

    @property
    def broken(self) -> tuple[RuleResult, ...]:
        """The table rules that fail the suite."""
        return tuple(rule for rule in self.rules if rule.scope == "table" and not rule.success)


def digest_of_rows(hashes: Iterable[str]) -> str:
    """Return SHA-256 of the ordered row hashes."""
    return digest_of(list(hashes))


def summary(verdict: ValidationResult) -> dict[str, Any]:
    """Return the verdict as the stable, plain JSON that a stage writes: counts per rule and every quarantined row."""
    reasons: dict[str, int] = {}
    for item in verdict.quarantined:
        for reason in item.reasons:
            reasons[reason] = reasons.get(reason, 0) + 1
    plain = verdict.model_dump(mode="json", exclude={"kept"})
    return plain | {"kept": len(verdict.kept), "reasons": dict(sorted(reasons.items()))}
