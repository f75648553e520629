"""Chat transcripts: `messages` of OpenAI's interfaces and fine-tuning files, of Hugging Face data sets, and TRL's rows.

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}], "outcome": true}
    {"prompt": [{"role": "user", "content": "…"}], "completion": [{"role": "assistant", "content": "…"}], "reward": 1.0}
    {"request": {"messages": […]}, "response": {"choices": [{"message": {…}}]}, "outcome": true}
    {"input": "…", "output": [{"type": "message", "role": "assistant", "content": […]}], "outcome": true}

`messages` may be JSON text of the list; what is in `metadata` counts as if it stood in the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from parammem.core import Outcome, digest_of
from parammem.core.outcome import OutcomeSource
from parammem.experience.formats.base import (
    Format,
    LoggedRun,
    ReadOptions,
    Row,
    Try,
    Unreadable,
    all_named,
    named,
    settled,
    verdict,
)
from parammem.experience.formats.chat import read_chat
from parammem.experience.formats.text_tools import with_text_calls
from parammem.experience.formats.turns import ChatTurn, turn_of, turns_of

SUCCESS = ("outcome", "is_solved", "is_success", "is_correct", "success", "passed", "resolved", "correct", "reward")
SOURCES: dict[str, OutcomeSource] = {"reward": "reward"}


def fits(row: Row) -> bool:
    """Return whether a row is a chat transcript."""
    return "messages" in row or {"prompt", "completion"} <= row.keys() or _asked_and_answered(row) is not None


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a transcript. Raises Unreadable."""
    meta = rows[0].get("metadata")
    row = {**(meta if isinstance(meta, dict) else {}), **rows[0]}
    domain = reading.domain_of(row.get("domain"))
    run = run_of(with_text_calls(_turns(row)), domain, reading, outcome_of(row))
    names = all_named(row, "run_id", "trace_id", "instance_id", "id", "task_id")
    task_id = named(row, "task_id", "name", "instance_id", "id") or digest_of(run.task)[:16]
    return [replaced(run, task_id=task_id, run_id=named(row, "run_id"), names=names, method=named(row, "method"))]


def _turns(row: Row) -> list[ChatTurn]:
    if "messages" in row:
        return turns_of(row["messages"])
    if {"prompt", "completion"} <= row.keys():
        return [*_side(row, "prompt"), *_side(row, "completion")]
    return turns_of(_asked_and_answered(row))


def _asked_and_answered(row: Row) -> list[Any] | None:
    """Return the messages of a request with those of its response, of chat completions, the Batch API or Responses;
    None for a row of another form."""
    asked, told = row.get("request") or row.get("body"), row.get("response")
    told = told.get("body", told) if isinstance(told, dict) else None
    if isinstance(asked, dict) and isinstance(told, dict):
        messages, choices = asked.get("messages"), told.get("choices")
        if isinstance(messages, list) and isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return [*messages, choices[0].get("message")]
        row = {"input": asked.get("input"), "output": told.get("output")}
    given, items = row.get("input"), row.get("output")
    if not isinstance(items, list) or not items or not all(isinstance(one, dict) and "type" in one for one in items):
        return None
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [*given, *items] if isinstance(given, list) else None


def _side(row: Row, name: str) -> list[ChatTurn]:
    """Return the messages of TRL's prompt or completion: a list of messages, or the text of one."""
    value = row[name]
    if isinstance(value, str):
        return [turn_of({"role": "user" if name == "prompt" else "assistant", "content": value})]
    return turns_of(value)


def run_of(
    turns: Sequence[ChatTurn], domain: str, reading: ReadOptions, outcome: Outcome | Unreadable | None = None
) -> LoggedRun:
    """Return the run that a conversation tells. Raises Unreadable."""
    chat = read_chat(turns, reading.kinds.get(domain, domain))
    tries = (Try(chat.submission, chat.steps, chat.feedback),) if chat.steps or chat.submission is not None else ()
    return LoggedRun(task=chat.task, domain=domain, tries=tries, outcome=outcome, advice=chat.advice)


def replaced(run: LoggedRun, **fields: Any) -> LoggedRun:
    """Return the run with other fields; empty ones stay as they are."""
    return replace(run, **{name: value for name, value in fields.items() if value})


def outcome_of(row: Row) -> Outcome | Unreadable | None:
    """Return the outcome that a row names under any usual name; None if it names none.

    Unreadable: it is no outcome, or two names contradict each other.
    """
    return settled(lambda: _told(row))


def _told(row: Row) -> Outcome | None:
    names = [name for name in SUCCESS if name in row]
    if not names:
        return None
    found = [_named_verdict(row, name) for name in names]
    known = [one for one in found if one.passed is not None]
    if len({one.passed for one in known}) > 1:
        raise Unreadable("no-outcome", f"{' and '.join(names)} contradict each other; keep the one that is right")
    valued = next((one for one in found if one.value is not None), None)
    if known and valued:
        return valued.model_copy(update={"passed": known[0].passed})
    return known[0] if known else valued or found[0]


def _named_verdict(row: Row, name: str) -> Outcome:
    if name == "outcome" and isinstance(row[name], dict):
        return Outcome.model_validate(row[name])
    try:
        return verdict(row[name], SOURCES.get(name))
    except Unreadable as error:
        raise Unreadable(error.rule, f"{name}: {error.detail}") from None


FORMAT = Format("openai", fits, read)
