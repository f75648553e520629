"""Spans of OpenTelemetry (OTLP JSON, or as the Python SDK prints them) with the conventions of GenAI or OpenInference.

    {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "…", "spanId": "…", "name": "chat m", "attributes": [
      {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
      {"key": "gen_ai.input.messages", "value": {"stringValue": "[…]"}},
      {"key": "gen_ai.output.messages", "value": {"stringValue": "[…]"}}]}]}]}]}

Messages in other attributes and in events are read too (`otel_messages`). A run is a conversation
(`gen_ai.conversation.id`), or else a trace. How it ended is said by events `gen_ai.evaluation.result`, in spans or as
log records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    named,
    settled,
    verdict,
)
from parammem.experience.formats.conversations import ModelCall, innermost, joined, result_of, with_results
from parammem.experience.formats.openai import replaced, run_of
from parammem.experience.formats.otel_messages import SAID, messages_of

EVALUATION = "gen_ai.evaluation.result"
RESULTS = ("gen_ai.tool.call.result", "ai.toolCall.result", "output.value")
"""Attributes that hold what a tool returned."""


def fits(row: Row) -> bool:
    """Return whether a row holds spans or log records."""
    if "resourceSpans" in row or "resourceLogs" in row:
        return True
    return isinstance(row.get("context"), dict) and "trace_id" in row["context"] and "attributes" in row


def parts(row: Row) -> list[tuple[str | None, Row]]:
    """Return spans and log records with their trace; a trace of a conversation belongs to the conversation."""
    found: list[tuple[str | None, Row]] = []
    for span in _spans(row):
        trace, conversation = span.pop("trace"), span["attributes"].get("gen_ai.conversation.id")
        if trace:
            same = {"same_as": f"conversation {conversation}"} if conversation else {}
            found.append((f"trace {trace}", {**span, "trace": trace, **same}))
    return found


def _spans(row: Row) -> Iterator[Row]:
    if "context" in row:
        yield {**_plain(row), "trace": str(row["context"].get("trace_id") or "").removeprefix("0x")}
    for outer, scopes, inner in (("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords")):
        for resource in _dicts(row.get(outer)):
            for scope in _dicts(resource.get(scopes)):
                for one in _dicts(scope.get(inner)):
                    yield {**_plain(one), "trace": named(one, "traceId", "trace_id")}


def _plain(span: Row) -> Row:
    """Return what is read of a span or a log record."""
    attributes = _attributes(span.get("attributes"))
    events = [{"name": one.get("name"), **_attributes(one.get("attributes"))} for one in _dicts(span.get("events"))]
    named_event = span.get("eventName") or span.get("event_name") or attributes.get("event.name")
    events += [{**attributes, "name": named_event, "body": _value(span.get("body"))}] if named_event else []
    status = span.get("status")
    code = str(status.get("code") or status.get("status_code") or "") if isinstance(status, dict) else ""
    start = named(span, "startTimeUnixNano", "start_time", "timeUnixNano")
    failed = code in ("2", "STATUS_CODE_ERROR", "ERROR")
    said = str(status.get("message") or status.get("description") or "failed") if failed and status else ""
    kept = {
        key: value
        for key, value in attributes.items()
        if key.startswith(("gen_ai.", "ai.", "llm.", "openinference.", "tool", "input.", "output.", "message."))
    }
    inner = span.get("context")
    return {"start": start.zfill(20), "attributes": kept, "error": said,
            "span": named(span, "spanId", "span_id") or named(inner if isinstance(inner, dict) else {}, "span_id"),
            "parent": named(span, "parentSpanId", "parent_span_id", "parent_id"),
            "events": [one for one in events if one["name"] == EVALUATION or one["name"] in SAID]}  # fmt: skip


def _dicts(value: Any) -> list[Row]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _attributes(given: Any) -> Row:
    """Return attributes as a mapping, from OTLP's list of keys and typed values."""
    if isinstance(given, dict):
        return given
    return {str(one.get("key")): _value(one.get("value")) for one in _dicts(given)}


def _value(value: Any) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "arrayValue":
        return [_value(one) for one in (inner.get("values") or [])] if isinstance(inner, dict) else []
    if kind == "kvlistValue":
        return _attributes(inner.get("values")) if isinstance(inner, dict) else {}
    if kind == "intValue" and isinstance(inner, str) and inner.lstrip("-").isdecimal() and len(inner) < 25:
        return int(inner)
    return inner


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a conversation or a trace. Raises Unreadable."""
    spans = _with_records(sorted(rows, key=lambda one: one["start"]))
    calls = [ModelCall(span["span"], *said) for span in spans if any(said := messages_of(span))]
    if not calls:
        raise Unreadable("not-a-record", "its spans hold no messages; let the instrumentation capture message content")
    heard = joined(innermost(calls, {span["span"]: span["parent"] for span in spans}))
    turns = with_results(heard, [step for span in spans for step in _tool_results(span)])
    said = [one for span in spans for one in span["events"] if one["name"] == EVALUATION]
    judged = [one for one in said if is_outcome_name(one.get("gen_ai.evaluation.name"))]
    outcome = settled(lambda: agreed(map(_evaluation, judged)))
    talk = next((str(one["same_as"]).removeprefix("conversation ") for one in spans if "same_as" in one), "")
    traces = tuple(dict.fromkeys(str(one["trace"]) for one in spans))
    run = run_of(turns, reading.domain_of(None), reading, outcome)
    name = talk or traces[0]
    return [replaced(run, task_id=name, run_id=name, names=(name, *traces), method="otel")]


def _with_records(rows: Sequence[Row]) -> list[Row]:
    """Return the spans, each with what log records say of it; records of a span that is not there make one."""
    found: dict[str, Row] = {}
    for place, one in enumerate(rows):
        name = f"{one['trace']} {one['span'] or f'row {place}'}"
        known = found.get(name, {"attributes": {}, "events": [], "error": "", "parent": ""})
        events = [event for event in one["events"] if event not in known["events"]]
        found[name] = {
            **one,
            "span": name,
            "parent": f"{one['trace']} {one['parent']}" if one["parent"] else known["parent"],
            "attributes": known["attributes"] | one["attributes"],
            "events": [*known["events"], *events],
            "error": known["error"] or one["error"],
        }
    return list(found.values())


def _tool_results(span: Row) -> list[Step]:
    """Return what a tool's own span says that it returned."""
    attributes = span["attributes"]
    answer = named(attributes, "gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id", "tool.id")
    if not answer:
        return []
    given = next((attributes[key] for key in RESULTS if key in attributes), "")
    return [Step(role="tool", text=result_of(given), result_of=answer, error=span["error"])]


def _evaluation(event: Row) -> Outcome:
    """Return what an evaluation says: its label where that is a verdict, since what a score of 1 means is its author's
    choice; else its score."""
    label, value = event.get("gen_ai.evaluation.score.label"), event.get("gen_ai.evaluation.score.value")
    if isinstance(label, str) and value is None:
        return verdict(label, "judge")
    found = verdict(value, "judge")
    if not isinstance(label, str):
        return found
    try:
        return Outcome(passed=verdict(label).passed, value=found.value, source="judge")
    except Unreadable:
        return found


FORMAT = Format("otel", fits, read, parts)
