"""A table of outcomes that are stored apart from the runs: `--outcomes FILE`, joined by the run's id.

    run_id,passed,value          {"run_id": "r-1", "passed": true, "value": 1.0, "source": "test"}
    r-1,true,1.0

CSV with a header, JSON lines or a JSON array. `passed` is true, false or empty (not known); `value`, `source` and
`at` may be left out.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parammem.core import Outcome
from parammem.core.jsonl import iter_lines
from parammem.errors import DataError
from parammem.experience.formats.base import Unreadable, named, verdict

COLUMNS = ("run_id", "passed", "value", "source", "at")
LARGEST = 512 << 20
"""Bytes of a table: some millions of runs."""


@dataclass(frozen=True)
class OutcomeTable:
    """Run ids with their outcomes."""

    by_id: Mapping[str, Outcome] = field(default_factory=dict)
    digest: str = ""
    """SHA-256 of the table's bytes; empty: there is no table."""

    def get(self, name: str) -> Outcome | None:
        """Return the outcome of a run, or None if the table does not name it."""
        return self.by_id.get(name)

    def __bool__(self) -> bool:
        return bool(self.digest)


NONE = OutcomeTable()


def read_outcomes(file: Path) -> OutcomeTable:
    """Return a table of outcomes.

    Raises:
        DataError: there is no such file, it is too large, or a row is wrong: which one, and what to do.
    """
    if not file.is_file():
        raise DataError(f"no file {str(file)!r}; --outcomes takes a .csv or .jsonl file with {', '.join(COLUMNS)}")
    if file.stat().st_size > LARGEST:
        raise DataError(f"{file}: a table of outcomes may have {LARGEST} bytes; split it, with the runs")
    found: dict[str, Outcome] = {}
    for place, row in _rows(file):
        name = named(row, "run_id", "id")
        if not name:
            raise DataError(f"{file}, {place}: no `run_id`; the columns are {', '.join(COLUMNS)}")
        try:
            outcome = _outcome(row)
        except (Unreadable, ValidationError):
            raise DataError(
                f"{file}, {place}: `passed` is true, false or empty, `value` a number from 0 to 1, `source` judge, "
                "test, person, reward or model, `at` a time in ISO 8601; mend the row"
            ) from None
        if found.setdefault(name, outcome) != outcome:
            raise DataError(f"{file}, {place}: the run of this row has another outcome above; keep the right one")
    if not found:
        raise DataError(f"{file}: no outcomes in it")
    with file.open("rb") as data:
        return OutcomeTable(found, hashlib.file_digest(data, "sha256").hexdigest())


def _outcome(row: Mapping[str, Any]) -> Outcome:
    value = row.get("value")
    if isinstance(value, str):
        try:
            value = float(value) if value.strip() else None
        except ValueError:
            raise Unreadable("no-outcome", "value: no number") from None
    given = row.get("passed")
    if given is not None and not isinstance(given, str | bool | int | float):
        raise Unreadable("no-outcome", "passed: no verdict")
    passed = verdict(given).passed if given != "" else None
    if passed is None and value is not None:
        passed = verdict(value).passed
    known = {name: row[name] for name in ("source", "at") if row.get(name)}
    return Outcome.model_validate({"passed": passed, "value": value, **known})


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows with their places in words. Raises DataError."""
    lines = iter_lines(file)
    first = next(lines, None)
    if first is None:
        return
    if first.data.lstrip().startswith(b"{"):
        for line in (first, *lines):
            try:
                row = json.loads(line.data)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise DataError(f"{file}, line {line.number}: no JSON object; mend the row")
            yield f"line {line.number}", row
        return
    text = io.StringIO("\n".join(line.data.decode("utf-8", "replace") for line in (first, *lines)))
    number = 1
    try:
        for number, row in enumerate(csv.DictReader(text), 2):
            told = {(name or "").strip(): value.strip() for name, value in row.items() if isinstance(value, str)}
            yield f"row {number}", told
    except csv.Error as error:  # a field that is too long, or quotes that are never closed
        raise DataError(f"{file}, row {number + 1}: no CSV ({error}); mend the row") from error
