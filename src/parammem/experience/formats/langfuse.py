"""Exports of Langfuse: traces, observations and scores, joined by the trace's id, one run a trace.

    {"id": "o1", "traceId": "t1", "type": "GENERATION", "startTime": "…", "input": […], "output": {…}}
    {"id": "s1", "traceId": "t1", "name": "correct", "value": 1, "dataType": "BOOLEAN", "source": "ANNOTATION"}

A trace with its `observations` and `scores` in it, the file that its page downloads (`trace`, `observations`) and a
page of the API (`data`) are read too. Scores such as toxicity do not say how a run ended, nor do those of one step.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

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
    is_text,
    loaded,
    named,
    settled,
    verdict,
)
from parammem.experience.formats.conversations import (
    ModelCall,
    innermost,
    joined,
    messages_in,
    result_of,
    with_results,
)  # fmt: skip
from parammem.experience.formats.openai import replaced, run_of
from parammem.experience.formats.turns import ChatTurn, plain, result_text

OBSERVED = ("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL")
PARENT = ("parentObservationId", "parent_observation_id")
CALL_IDS = ("gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id")
KEYS = ("role", "content")
"""Names of a message's fields, which LangSmith's tracer of Claude's agents sends to Langfuse in place of messages."""
SOURCES: dict[str, OutcomeSource] = {"ANNOTATION": "person", "EVAL": "model"}


def fits(row: Row) -> bool:
    """Return whether a row is a trace, an observation or a score, or a page of them."""
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
    """Return traces, observations and scores with the trace's id."""
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
    parents = {named(row, "id"): named(row, *PARENT) for row in seen}
    calls = [_call(row) for row in seen if str(row.get("type")).upper() == "GENERATION"]
    tools = [row for row in seen if str(row.get("type")).upper() == "TOOL" or _call_id(row)]
    turns = _within(whole, calls, joined(innermost(calls, parents))) or _from_whole(whole, tools)
    turns = with_results(turns, _results(turns, tools))
    domain = reading.domain_in(loaded(whole.get("metadata")))
    scores = [row for row in rows if row["kind"] == "score" and _says_outcome(row, parents)]
    outcome = settled(lambda: agreed(map(_outcome, scores)))
    run = run_of(turns, domain, reading, outcome)
    return [replaced(run, task_id=name, run_id=name, names=(name,), method="langfuse")]


def _call(row: Row) -> ModelCall:
    sent = [turn for turn in messages_in(row.get("input"), "user") if not (turn.role == "user" and turn.text in KEYS)]
    return ModelCall(named(row, "id"), sent, messages_in(row.get("output"), "assistant"))


def _within(whole: Row, calls: Sequence[ModelCall], turns: list[ChatTurn]) -> list[ChatTurn]:
    """Return the conversation with what only the trace itself says: the task without the template around it, and the
    answer where the last model call has none."""
    task, asked = _text(whole.get("input")), next((turn for turn in turns if turn.role == "user" and turn.text), None)
    if asked is not None and is_text(task) and plain(task) in asked.text:
        place = turns.index(asked)
        turns = [*turns[:place], asked._replace(text=plain(task)), *turns[place + 1 :]]
    if turns and not calls[-1].came:
        turns = [*turns, *messages_in(_printed(_text(whole.get("output"))), "assistant")]
    return turns


def _text(value: Any) -> Any:
    """Return what went in or out of a trace; a text that was written as JSON is itself again."""
    if isinstance(value, str) and value.startswith('"'):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _printed(value: Any) -> Any:
    """Return what went out of a trace; of a message that Python printed as a dictionary its text."""
    if isinstance(value, str) and value.startswith("{'role'"):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            found = ast.literal_eval(value)
            return found.get("text", found.get("content")) if isinstance(found, dict) else found
    return value


def _says_outcome(row: Row, parents: dict[str, str]) -> bool:
    """Return whether a score is about the run: about its trace, or about an observation that has none above it."""
    about = named(row, "observationId", "observation_id")
    return is_outcome_name(row.get("name")) and not (about and parents.get(about))


def _from_whole(whole: Row, tools: Sequence[Row]) -> list[ChatTurn]:
    """Return the conversation of a trace without model calls: what went in, the tools, what came out."""
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
    if isinstance(given, dict) and given.keys() == {"input"} and isinstance(given["input"], dict):
        return given["input"]
    return given if isinstance(given, dict) else result_of(given)


def _results(turns: Sequence[ChatTurn], tools: Sequence[Row]) -> list[Step]:
    """Return what tools returned: to the call that their row names, else to the next one of this name with these
    arguments."""
    told = {_call_id(row) for row in tools}
    waiting = [call for turn in turns for call in turn.calls if call.id and call.id not in told]
    found = []
    for row in tools:
        answer = _call_id(row)
        if not answer:
            given = _given(row)
            call = next((one for one in waiting if one.name == named(row, "name") and one.arguments == given), None)
            answer = call.id if call else named(row, "id")
            waiting = [one for one in waiting if one is not call]
        found.append(_result(row, answer))
    return found


def _call_id(row: Row) -> str:
    """Return the call that a tool's row says it answers."""
    meta = loaded(row.get("metadata"))
    if not isinstance(meta, dict):
        return ""
    inner = loaded(meta.get("attributes"))
    return named(meta, "tool_call_id") or (named(inner, *CALL_IDS) if isinstance(inner, dict) else "")


def _result(row: Row, answer: str) -> Step:
    failed = named(row, "statusMessage", "status_message") or "failed" if row.get("level") == "ERROR" else ""
    came = loaded(row.get("output"))
    parts = came.get("content") if isinstance(came, dict) else None
    text = result_text(parts if isinstance(parts, list) else row.get("output"))
    return Step(role="tool", text=text, result_of=answer, error=failed)


def _outcome(row: Row) -> Outcome:
    source = SOURCES.get(str(row.get("source")))
    value, text = row.get("value"), row.get("stringValue", row.get("string_value"))
    if row.get("dataType", row.get("data_type")) == "CATEGORICAL" and isinstance(text, str):
        value = text
    return verdict(value if value is not None else text, source)


FORMAT = Format("langfuse", fits, read, parts)
