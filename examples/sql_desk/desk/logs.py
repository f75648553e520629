"""A week of the desk's runs, as three kinds of programs would have logged them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

Message = dict[str, Any]


class Run(NamedTuple):
    """One run of the agent."""

    name: str
    messages: list[Message]
    passed: bool


def openai_lines(runs: Sequence[Run]) -> str:
    """Return chat transcripts: `messages` and `outcome`."""
    rows = ({"id": run.name, "messages": run.messages, "outcome": run.passed} for run in runs)
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def otel_lines(runs: Sequence[Run]) -> str:
    """Return OpenTelemetry spans by the conventions of GenAI, one export a line; the last says how the run ended."""
    return "".join(f"{json.dumps(_exported(run, number))}\n" for number, run in enumerate(runs))


def atif_lines(runs: Sequence[Run]) -> str:
    """Return Harbor's trajectories. How they ended stands in a table: `outcome_table`."""
    rows = (
        {"schema_version": "ATIF-v1.7", "session_id": run.name, "agent": {"name": "desk", "version": "1"},
         "steps": _atif_steps(run.messages)}
        for run in runs
    )  # fmt: skip
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def outcome_table(runs: Sequence[Run]) -> str:
    """Return the table that `parammem ingest --outcomes FILE` joins by the run's id."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run_id", "passed"])
    writer.writerows([run.name, str(run.passed).lower()] for run in runs)
    return out.getvalue()


def write_week(folder: Path, runs: Sequence[Run]) -> list[list[str]]:
    """Write a third of the runs in each format. Returns the arguments of `parammem ingest` for each file."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [runs[start::3] for start in range(3)]
    (folder / "chats.jsonl").write_text(openai_lines(parts[0]), encoding="utf-8")
    (folder / "spans.jsonl").write_text(otel_lines(parts[1]), encoding="utf-8")
    (folder / "trajectories.jsonl").write_text(atif_lines(parts[2]), encoding="utf-8")
    (folder / "outcomes.csv").write_text(outcome_table(parts[2]), encoding="utf-8")
    named = [str(folder / name) for name in ("chats.jsonl", "spans.jsonl", "trajectories.jsonl")]
    return [[named[0]], [named[1]], [named[2], "--outcomes", str(folder / "outcomes.csv")]]


def _exported(run: Run, number: int) -> dict[str, Any]:
    trace, spans, sent = f"{number + 1:032x}", [], list[dict[str, Any]]()
    for message in run.messages:
        if message["role"] == "assistant":
            spans.append(_span(trace, len(spans), run.name, sent, _parted(message)))
        sent.append(_parted(message))
    spans[-1]["events"] = [
        {"name": "gen_ai.evaluation.result", "attributes": [
            _attribute("gen_ai.evaluation.name", "correct"),
            {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": float(run.passed)}},
            _attribute("gen_ai.evaluation.score.label", "pass" if run.passed else "fail")]}
    ]  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def _span(trace: str, place: int, name: str, sent: list[dict[str, Any]], came: dict[str, Any]) -> dict[str, Any]:
    attributes = [
        _attribute("gen_ai.operation.name", "chat"),
        _attribute("gen_ai.conversation.id", name),
        _attribute("gen_ai.input.messages", json.dumps(sent)),
        _attribute("gen_ai.output.messages", json.dumps([came])),
    ]
    return {"traceId": trace, "spanId": f"{place + 1:016x}", "name": "chat", "startTimeUnixNano": str(1000 + place),
            "attributes": attributes}  # fmt: skip


def _attribute(key: str, text: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": text}}


def _parted(message: Message) -> dict[str, Any]:
    """Return a message as OpenTelemetry writes it."""
    if message["role"] == "tool":
        part = {"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}
        return {"role": "tool", "parts": [part]}
    parts: list[dict[str, Any]] = [{"type": "text", "content": message["content"]}] if message.get("content") else []
    for call in message.get("tool_calls") or []:
        made = {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        parts.append({"type": "tool_call", "id": call["id"], **made})
    return {"role": message["role"], "parts": parts}


def _atif_steps(messages: Sequence[Message]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "tool":
            result = {"source_call_id": message["tool_call_id"], "content": message["content"]}
            steps[-1].setdefault("observation", {"results": []})["results"].append(result)
            continue
        source = {"assistant": "agent"}.get(message["role"], message["role"])
        step: dict[str, Any] = {"step_id": len(steps) + 1, "source": source, "message": message.get("content") or ""}
        calls = message.get("tool_calls") or []
        if calls:
            step["tool_calls"] = [
                {"tool_call_id": call["id"], "function_name": call["function"]["name"],
                 "arguments": json.loads(call["function"]["arguments"])}
                for call in calls
            ]  # fmt: skip
        steps.append(step)
    return steps
