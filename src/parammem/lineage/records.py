"""What is known of an adapter, as records. A part that was not recorded is None, and is shown as such."""

from __future__ import annotations

from typing import Any

from parammem.core.record import Record


class Commit(Record):
    """Where the repository stands."""

    head: str
    """Full hash of HEAD."""
    lock: str | None
    """The commit that last changed dvc.lock: the one whose pipeline made what lies here. None: never committed."""
    lock_date: str | None
    """Its author date, ISO 8601."""
    changed: tuple[str, ...]
    """Tracked files that differ from HEAD; empty: a clean tree."""


class Rows(Record):
    """The rows that the adapter was trained on."""

    count: int
    digest: str
    """Digest of the ordered row hashes in rows.txt."""
    validated: int | None
    """How many rows lie in the validated file of its domain."""


class Rules(Record):
    """The verdict of the validation suite on those rows."""

    passed: bool
    suite_digest: str
    rows: int
    kept: int
    quarantined: int
    rules: tuple[str, ...]
    """Names of the rules, each once."""


class Base(Record):
    """The base model."""

    name: str
    digest: str
    recipe_digest: str | None
    """Of a pocket model: digest of the recipe that trained it from scratch."""


class Link(Record):
    """One recorded link from data to model, checked again."""

    name: str
    holds: bool | None
    """None: it cannot be checked here; `detail` says why."""
    detail: str


class AdapterCard(Record):
    """The commit, rows, rules and params behind an adapter, and whether what is recorded still holds."""

    folder: str
    domain: str
    digest: str
    steps: int
    held_out_loss: float | None
    commit: Commit | None
    rows: Rows
    rules: Rules | None
    recipe: dict[str, Any]
    """Every training param."""
    base: Base
    dvc: dict[str, str]
    """Path → hash of the deps and outs of the stages that made it, from dvc.lock."""
    changed_code: tuple[str, ...]
    """Code that these stages read and that differs from dvc.lock: a repro would run them again."""
    metrics: dict[str, float]
    """Its domain's part of reports/metrics.json, with dots for nesting."""
    links: tuple[Link, ...]

    @property
    def broken(self) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.holds is False)


class Sighting(Record):
    """An adapter that was trained on a row."""

    folder: str
    domain: str
    digest: str
    row_hash: str
    places: tuple[int, ...]
    """Lines of its rows.txt, from 1."""
