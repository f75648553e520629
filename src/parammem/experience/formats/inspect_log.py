"""Samples of Inspect's logs: `.eval` files (a zip of samples) and its JSON logs, one run a sample and epoch.

    {"id": "t-1", "epoch": 1, "input": "…", "target": "…", "messages": […], "scores": {"match": {"value": "C"}}}

`target` is the answer key, and no part of it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.core import Outcome
from parammem.experience.formats.base import (
    Format,
    LoggedRun,
    ReadOptions,
    Row,
    Unreadable,
    agreed,
    is_outcome_name,
    named,
    settled,
    verdict,
)
from parammem.experience.formats.openai import replaced, run_of
from parammem.experience.formats.turns import turn_of, turns_of

ATTACHED = "attachment://"
MOST_ATTACHED = 32 << 20
"""Characters of all texts that are put back into one sample: each may be named any number of times."""


def fits(row: Row) -> bool:
    """Return whether a row is a sample, or a log, which may have no samples."""
    if isinstance(row.get("eval"), dict) and (isinstance(row.get("samples"), list) or "status" in row):
        return True
    return {"id", "epoch", "messages"} <= row.keys()


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of each sample. Raises Unreadable."""
    row = rows[0]
    samples = row.get("samples") or [] if "eval" in row else rows
    return [_sample(one, reading) for one in samples if isinstance(one, dict)]


def _sample(row: Row, reading: ReadOptions) -> LoggedRun:
    kept = row.get("attachments")
    messages = _Attachments(kept if isinstance(kept, dict) else {}).put_into(row.get("messages"))
    turns = turns_of(messages)
    if not any(turn.role == "user" and turn.text for turn in turns) and isinstance(row.get("input"), str):
        turns = [turn_of({"role": "user", "content": row["input"]}), *turns]
    domain = reading.domain_in(row.get("metadata"))
    run = run_of(turns, domain, reading, settled(lambda: agreed(_outcomes(row.get("scores")))))
    name, epoch = named(row, "id"), named(row, "epoch")
    own = f"{name}_epoch_{epoch}"
    unique = named(row, "uuid") or own
    return replaced(run, task_id=name, run_id=unique, names=(unique, own, name), method="inspect")


def _outcomes(scores: Any) -> list[Outcome]:
    named_scores = scores if isinstance(scores, dict) else {}
    return [verdict(_value(one), "judge") for name, one in named_scores.items() if is_outcome_name(name)]


def _value(score: Any) -> Any:
    value = score.get("value") if isinstance(score, dict) else score
    if isinstance(value, dict | list):
        raise Unreadable("no-outcome", "a score has several values; say the outcome with --outcomes")
    return value


class _Attachments:
    """Texts of a sample that stand apart from its messages."""

    def __init__(self, kept: Row) -> None:
        self._kept, self._size = kept, 0

    def put_into(self, value: Any) -> Any:
        """Return the messages with the texts put back. Raises Unreadable when they are too many."""
        if isinstance(value, str):
            return self._text(value) if value.startswith(ATTACHED) else value
        if isinstance(value, list):
            return [self.put_into(one) for one in value]
        if isinstance(value, dict):
            return {name: self.put_into(one) for name, one in value.items()}
        return value

    def _text(self, name: str) -> str:
        text = self._kept.get(name.removeprefix(ATTACHED))
        if not isinstance(text, str):
            return name
        self._size += len(text)
        if self._size > MOST_ATTACHED:
            raise Unreadable(
                "too-long", f"its messages with their attachments have more than {MOST_ATTACHED} characters"
            )
        return text


FORMAT = Format("inspect", fits, read)
