"""Exports of Langfuse: traces, observations and scores, joined by the trace's id, one run a trace.

    {"id": "o1", "traceId": "t1", "type": "GENERATION", "startTime": "…", "input": […], "output": {…}}
    {"id": "s1", "traceId": "t1", "name": "correct", "value": 1, "dataType": "BOOLEAN", "source": "ANNOTATION"}

A trace with its `observations` and `scores` in it, the file that its page downloads (`trace`, `observations`) and a
page of the API (`data`) are read too. Scores such as toxicity do not say how a run ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core import Outcome, Step, ToolCall
from parammem.core.outcome import OutcomeSource
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
from parammem.experience.formats.conversations import joined, messages_in, result_of, with_results
from parammem.experience.formats.openai import replaced, run_of
from parammem.experience.formats.turns import ChatTurn

OBSERVED = ("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL")
SOURCES: dict[str, OutcomeSource] = {"ANNOTATION": "person", "EVAL": "model"}


def fits(row: Row) -> bool:
    """Whether a row is a trace, an observation or a score, or a page of them."""
    if isinstance(row.get("data"), list) and isinstance(row.get("meta"), dict):
        return any(isinstance(one, dict) and fits(one) for one in row["data"][:1])
    if isinstance(row.get("trace"), dict) and isinstance(row.get("observations"), list):
        return True
    if named(row, "traceId", "trace_id") and "run_type" not in row:
        return str(row.get("type")).upper() in OBSERVED or _is_score(row)
    return "id" in row and ("observations" in row or ("timestamp" in row and ("input" in row or "scores" in row)))


def _is_score(row: Row) -> bool:
    return "name" in row and ("value" in row or "stringValue" in row or "string_value" in row)


def parts(row: Row) -> list[tuple[str | None, Row]]:
    """Traces, observations and scores by the trace's id."""
    if isinstance(row.get("data"), list):
        return [part for one in row["data"] if isinstance(one, dict) for part in parts(one)]
    if isinstance(row.get("trace"), dict):
        return parts({**row["trace"], "observations": row["observations"]})
    trace = named(row, "traceId", "trace_id")
    if trace:
        return [(trace, {**row, "kind": "score" if _is_score(row) and "type" not in row else "observation"})]
    trace = named(row, "id")
    inner = [one for name in ("observations", "scores") for one in row.get(name) or [] if isinstance(one, dict)]
    found = [part for one in inner for part in parts({**one, "traceId": trace})]
    return [
        (trace, {**{name: row.get(name) for name in ("id", "input", "output", "metadata")}, "kind": "trace"}),
        *found,
    ]


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a trace. Raises Unreadable."""
    whole = next((row for row in rows if row["kind"] == "trace"), {})
    seen = [row for row in rows if row["kind"] == "observation"]
    seen.sort(key=lambda row: named(row, "startTime", "start_time"))
    name = named(rows[0], "traceId", "trace_id") or named(whole, "id")
    calls = [
        (messages_in(row.get("input"), "user"), messages_in(row.get("output"), "assistant"))
        for row in seen
        if str(row.get("type")).upper() == "GENERATION"
    ]
    tools = [row for row in seen if str(row.get("type")).upper() == "TOOL"]
    turns = joined(calls) or _from_whole(whole, tools)
    turns = with_results(turns, [_result(row) for row in tools])
    domain = reading.domain_in(loaded(whole.get("metadata")))
    scores = [row for row in rows if row["kind"] == "score" and is_outcome_name(row.get("name"))]
    outcome = settled(lambda: agreed(map(_outcome, scores)))
    run = run_of(turns, domain, reading, outcome)
    return [replaced(run, task_id=name, run_id=name, names=(name,), method="langfuse")]


def _from_whole(whole: Row, tools: Sequence[Row]) -> list[ChatTurn]:
    """A trace without model calls: what went in, the tools, what came out."""
    sent, came = messages_in(whole.get("input"), "user"), messages_in(whole.get("output"), "assistant")
    if not sent:
        raise Unreadable("not-a-record", "neither the trace nor a generation of it has an input")
    called = [
        ChatTurn(
            "assistant",
            calls=(ToolCall(name=named(row, "name") or "tool", arguments=_given(row), id=named(row, "id")),),
        )
        for row in tools
    ]
    return [*sent, *called, *came]


def _given(row: Row) -> Row | str:
    given = loaded(row.get("input"))
    return given if isinstance(given, dict) else result_of(given)


def _result(row: Row) -> Step:
    meta = loaded(row.get("metadata"))
    answer = named(meta, "tool_call_id") if isinstance(meta, dict) else ""
    failed = named(row, "statusMessage", "status_message") or "failed" if row.get("level") == "ERROR" else ""
    return Step(
        role="tool", text=result_of(row.get("output") or ""), result_of=answer or named(row, "id"), error=failed
    )


def _outcome(row: Row) -> Outcome:
    source = SOURCES.get(str(row.get("source")))
    value, text = row.get("value"), row.get("stringValue", row.get("string_value"))
    if row.get("dataType", row.get("data_type")) == "CATEGORICAL" and isinstance(text, str):
        value = text
    return verdict(value if value is not None else text, source)


FORMAT = Format("langfuse", fits, read, parts)
