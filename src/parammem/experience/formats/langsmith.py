"""Exports of LangSmith: runs joined by `trace_id`, one run of ours a trace.

    {"id": "r1", "trace_id": "r1", "run_type": "chain", "inputs": {"messages": […]}, "outputs": {"messages": […]},
     "error": null, "feedback_stats": {"correctness": {"n": 1, "avg": 1.0}}}

Messages are read as LangChain serialises them, or as plain ones. The outcome is the root's feedback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.core import Outcome, Step
from parammem.experience.formats.base import (
    Format,
    LoggedRun,
    ReadOptions,
    Row,
    Unreadable,
    agreed,
    is_outcome_name,
    loaded,
    named,
    settled,
    verdict,
)
from parammem.experience.formats.conversations import joined, messages_in, result_of, unwrapped, with_results
from parammem.experience.formats.openai import replaced, run_of
from parammem.experience.formats.turns import ChatTurn

READ = ("id", "trace_id", "run_type", "inputs", "outputs", "error", "start_time", "dotted_order", "feedback_stats",
        "parent_run_id", "parent_run_ids", "name", "extra")  # fmt: skip


def fits(row: Row) -> bool:
    """Return whether a row is a run, or an export with its runs."""
    return "run_type" in row and "inputs" in row and "id" in row


def parts(row: Row) -> list[tuple[str | None, Row]]:
    """Return runs with their trace, the children that are in their parent among them."""
    trace = named(row, "trace_id") or named(row, "id")
    inner = [one for one in row.get("child_runs") or [] if isinstance(one, dict)]
    found = [part for one in inner for part in parts({"trace_id": trace, **one})]
    return [(trace, {name: row[name] for name in READ if name in row}), *found]


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a trace. Raises Unreadable."""
    order = sorted(rows, key=lambda row: named(row, "dotted_order", "start_time"))
    trace = named(rows[0], "trace_id") or named(rows[0], "id")
    root = next((row for row in order if named(row, "id") == trace or not _parent(row)), order[0])
    turns = _whole(root) or joined([_sides(row) for row in order if row.get("run_type") == "llm"]) or _bare(root)
    turns = with_results(turns, [step for row in order if row.get("run_type") == "tool" for step in _results(row)])
    extra = root.get("extra")
    domain = reading.domain_in(extra.get("metadata") if isinstance(extra, dict) else None)
    run = run_of(turns, domain, reading, settled(lambda: agreed(_feedback(root.get("feedback_stats")))))
    return [replaced(run, task_id=trace, run_id=trace, names=(trace, named(root, "id")), method="langsmith")]


def _parent(row: Row) -> Any:
    return row.get("parent_run_id") or row.get("parent_run_ids")


def _whole(root: Row) -> list[ChatTurn]:
    """Return the conversation in a root's outputs, as LangGraph's state has it; nothing if it is not there whole."""
    outputs = loaded(root.get("outputs"))
    listed = outputs.get("messages") if isinstance(outputs, dict) else None
    turns = messages_in(listed, "assistant") if isinstance(listed, list) else []
    return turns if any(turn.role == "user" for turn in turns) else []


def _sides(row: Row) -> tuple[list[ChatTurn], list[ChatTurn]]:
    return messages_in(row.get("inputs"), "user"), messages_in(row.get("outputs"), "assistant")


def _bare(root: Row) -> list[ChatTurn]:
    """Return what went in and what came out, of a trace without model calls."""
    sent, came = _sides(root)
    if not sent:
        raise Unreadable("not-a-record", "neither the root nor a model call of it has inputs")
    return [*sent, *came]


def _results(row: Row) -> list[Step]:
    """Return what a tool returned, if its output names the call."""
    output = unwrapped(row.get("outputs"))
    inner = output.get("kwargs", output) if isinstance(output, dict) else {}
    answer = named(inner, "tool_call_id")
    if not answer:
        return []
    text = result_of(inner.get("content") or "")
    return [Step(role="tool", text=text, result_of=answer, error=str(row.get("error") or ""))]


def _feedback(stats: Any) -> list[Outcome]:
    stats = loaded(stats)
    return [
        verdict(one["avg"])
        for name, one in (stats.items() if isinstance(stats, dict) else ())
        if isinstance(one, dict) and one.get("n") and one.get("avg") is not None and is_outcome_name(name)
    ]


FORMAT = Format("langsmith", fits, read, parts)
