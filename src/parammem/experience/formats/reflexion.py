"""Logs of noahshinn/reflexion and programs like it: every try is an attempt, every reflection led to the next one.

    {"name": "t-1", "prompt": "…", "implementations": ["…", "…"], "test_feedback": ["…"], "reflections": ["…"],
     "solution": "…", "is_solved": true}

Its real logs have no `implementations`: the solution is then the attempt after the last reflection. Hidden tests in a
log (`test`) are left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.core import Reflection, digest_of
from parammem.core.advice import without_advice
from parammem.experience.formats.base import (
    MOST_TRIES,
    Format,
    LoggedRun,
    ReadOptions,
    Row,
    Try,
    Unreadable,
    all_named,
    named,
)
from parammem.experience.formats.openai import outcome_of

TASK_TEXT = ("prompt", "question", "problem", "task", "instruction")
TRIES = ("implementations", "trajectories", "scratchpads", "answers")
FEEDBACK = ("test_feedback", "feedback", "observations")


def fits(row: Row) -> bool:
    """Return whether a row is a log of tries."""
    return any(name in row for name in (*TRIES, "reflections", "is_solved"))


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a log. Raises Unreadable."""
    row = rows[0]
    text = _first(row, TASK_TEXT)
    if not isinstance(text, str):
        raise Unreadable("not-a-record", f"no task text under any of {', '.join(TASK_TEXT)}")
    domain = reading.domain_of(row.get("domain"))
    said = without_advice(text)
    tries = _texts(_first(row, TRIES) or [])
    last = row.get("solution")
    alone = not tries  # its real logs keep the last try alone, and the reflections that led to it
    if isinstance(last, str) and last and last not in tries:
        tries.append(last)
    advice = _texts(row.get("reflections") or [])
    first = len(advice) + 1 if alone else 1
    feedback = _texts(_first(row, FEEDBACK) or [])[first - 1 :]
    named_feedback = [*feedback, *[""] * len(tries)]
    reflections = tuple(
        Reflection(
            text=words, source="self", author=str(row.get("model") or "unknown"), iteration=number, temperature=0.0
        )
        for number, words in enumerate(advice, 2)
    )
    return [
        LoggedRun(
            task=said.text,
            domain=domain,
            tries=tuple(Try(one, feedback=words) for one, words in zip(tries, named_feedback, strict=False)),
            outcome=outcome_of(row),
            task_id=named(row, "task_id", "name", "id") or digest_of(text)[:16],
            run_id=named(row, "run_id"),
            names=all_named(row, "run_id", "name", "id", "task_id"),
            method=named(row, "method") or "reflexion",
            reflections=reflections,
            advice=said.advice,
            first=first,
        )
    ]


def _first(row: Row, names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unreadable("not-a-record", "tries, feedback and reflections must be lists of text")
    if len(value) > MOST_TRIES:
        raise Unreadable("too-long", f"more than {MOST_TRIES} tries, pieces of feedback or reflections")
    return list(value)


FORMAT = Format("reflexion", fits, read)
