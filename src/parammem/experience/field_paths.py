"""Name the place of a value in a row by our own field names and numbers, so that nothing of the row is shown.

Other people's names for their keys can be secrets and mail addresses like any value, so they are never shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from parammem.core import AnswerKey, Attempt, Failure, Feedback, Record, Reflection, Task, Trajectory, Usage
from parammem.core.experience import Experience

RECORDS: tuple[type[Record], ...] = (
    Experience, Task, Trajectory, Attempt, Feedback, Reflection, Usage, Failure, AnswerKey,
)  # fmt: skip
FIELDS = frozenset(name for record in RECORDS for name in record.model_fields) | {"trajectory", "task", "key"}
HIDDEN = "…"


def shown(part: int | str) -> str:
    """A step of a place; HIDDEN for what is none of our field names."""
    return str(part) if isinstance(part, int) or part in FIELDS else HIDDEN


def place_of(parts: Iterable[int | str]) -> str:
    """A place as pydantic gives it, dotted; "the line" for the row itself."""
    return ".".join(map(shown, parts)) or "the line"


def known_fields(title: str, parts: Iterable[int | str]) -> tuple[str, ...]:
    """Names of the fields that the record at this place has.

    Args:
        title: of the record that the place is seen from.
    """
    record = next(one for one in RECORDS if one.__name__ == title)
    for part in parts:
        if isinstance(part, str) and part in record.model_fields:
            record = _record_in(record.model_fields[part].annotation) or record
    return tuple(record.model_fields)


def _record_in(annotation: Any) -> type[Record] | None:
    """The record that a field holds, alone or in a collection."""
    if annotation in RECORDS:
        return annotation
    return next((found for inner in get_args(annotation) if (found := _record_in(inner))), None)
