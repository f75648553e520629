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
    messages = _with_attachments(row.get("messages"), kept if isinstance(kept, dict) else {})
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


def _with_attachments(value: Any, kept: Row) -> Any:
    """The messages with texts that stand apart put back."""
    if isinstance(value, str):
        return kept.get(value.removeprefix(ATTACHED), value) if value.startswith(ATTACHED) else value
    if isinstance(value, list):
        return [_with_attachments(one, kept) for one in value]
    if isinstance(value, dict):
        return {name: _with_attachments(one, kept) for name, one in value.items()}
    return value


FORMAT = Format("inspect", fits, read)
