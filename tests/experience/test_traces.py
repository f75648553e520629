"""Facts about traces of tools that log more than model calls: spans around calls, results on spans of their own, scores
of single steps. Each becomes one attempt with its steps, in the order in which they happened."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parammem.core import Outcome
from parammem.experience.formats import FORMATS, format_of
from parammem.experience.formats.base import LoggedRun, ReadOptions, Row, Unreadable
from tests.experience.test_formats import ANSWER, ANSWERED, CALL, MESSAGES, PARTS, TASK, attribute, otlp, span

USER = {"role": "user", "content": TASK}
WANTED = [("", ""), ("run_sql", ""), ("", "c1"), ("", "")]
"""The steps of the run in this file: text, a call, its result, text."""


def run_in(rows: list[Row]) -> LoggedRun:
    """The only run that these rows of one format are."""
    form = format_of(rows[0])
    assert form is not None
    assert form.parts is not None
    named = [part for row in rows for part in form.parts(row)]
    assert len({name for name, _ in named}) == 1
    (run,) = FORMATS[form.name].read([part for _, part in named], ReadOptions("d", kinds={"d": "open"}))
    return run


def checked(rows: list[Row], looked: bool = True) -> LoggedRun:
    """The run, which asked the task, looked, called the tool, got its result and answered."""
    run = run_in(rows)
    assert run.task == TASK
    (only,) = run.tries
    assert only.text == ANSWER
    found = [(step.call.name if step.call else "", step.result_of) for step in only.steps]
    assert found == WANTED[0 if looked else 1 :]
    (call,) = (step.call for step in only.steps if step.call)
    assert (call.arguments, call.id) == (CALL, "c1")
    (result,) = (step for step in only.steps if step.role == "tool")
    assert (result.text, result.error) == ("3", "")
    return run


VERCEL_CALL = {"toolCallId": "c1", "toolName": "run_sql", "input": json.dumps(CALL)}
VERCEL_SENT = [
    {"role": "system", "content": "You answer."},
    {"role": "user", "content": [{"type": "text", "text": TASK}]},
    {"role": "assistant", "content": [
        {"type": "text", "text": "I look."}, {**VERCEL_CALL, "type": "tool-call", "input": CALL}]},
    {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "toolName": "run_sql",
                                  "output": {"type": "text", "value": "3"}}]},
]  # fmt: skip


def vercel(name: str) -> list[dict]:
    """Spans of `generateText` or `streamText` with two steps."""
    outer = {"ai.operationId": f"ai.{name}", "ai.prompt": {"prompt": TASK}, "ai.response.text": ANSWER}
    first = {
        "ai.prompt.messages": VERCEL_SENT[:2],
        "ai.response.text": "I look.",
        "ai.response.toolCalls": [VERCEL_CALL],
    }
    tool = {"ai.operationId": "ai.toolCall", "ai.toolCall.id": "c1", "ai.toolCall.result": "3"}
    return [
        span(1, outer),
        span(2, first, parentSpanId="1"),
        span(3, tool, parentSpanId="1"),
        span(4, {"ai.prompt.messages": VERCEL_SENT, "ai.response.text": ANSWER}, parentSpanId="1"),
    ]


@pytest.mark.parametrize("name", ["generateText", "streamText"])
def test_vercels_span_around_its_model_calls_adds_nothing(name):
    checked([otlp(*vercel(name))])
    checked([otlp(one) for one in reversed(vercel(name))])


def test_vercels_outer_span_alone_is_read_and_so_is_an_object():
    outer, *_ = vercel("generateText")
    run = run_in([otlp(outer)])
    assert (run.task, run.tries[0].text) == (TASK, ANSWER)
    made = span(1, {"ai.prompt.messages": VERCEL_SENT[:2], "ai.response.object": '{"late": 3}'})
    assert run_in([otlp(made)]).tries[0].text == '{"late": 3}'


def test_what_a_tool_returned_stands_on_its_own_span_where_the_next_call_is_missing():
    spans = vercel("generateText")[1:3]
    spans[0]["attributes"][0] = attribute("ai.prompt.messages", VERCEL_SENT[:2])
    later = span(5, {"ai.prompt.messages": VERCEL_SENT[:3], "ai.response.text": ANSWER})
    checked([otlp(*spans, later)])


def test_an_error_of_vercels_tools_is_an_error_of_the_step():
    output = {"type": "error-text", "value": "no such table"}
    sent = [*VERCEL_SENT[:3], {"role": "tool", "content": [{**VERCEL_SENT[3]["content"][0], "output": output}]}]
    run = run_in([otlp(span(1, {"ai.prompt.messages": sent, "ai.response.text": ANSWER}))])
    (result,) = (step for step in run.tries[0].steps if step.role == "tool")
    assert (result.text, result.error) == ("no such table", "no such table")


def test_an_agents_span_with_the_whole_conversation_adds_nothing():
    outer = {"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": PARTS[:1],
             "gen_ai.output.messages": ANSWERED}  # fmt: skip
    first = {"gen_ai.input.messages": PARTS[:1], "gen_ai.output.messages": PARTS[1:2]}
    last = {"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWERED}
    checked([otlp(span(1, outer), span(2, first, parentSpanId="1"), span(3, last, parentSpanId="1"))])


def test_an_agents_span_counts_where_its_calls_say_nothing():
    outer = {"gen_ai.input.messages": PARTS[:1], "gen_ai.output.messages": [*PARTS[1:], *ANSWERED]}
    checked([otlp(span(1, outer), span(2, {"gen_ai.operation.name": "chat"}, parentSpanId="1"))])


def test_another_agent_below_a_tool_is_no_step_of_this_run():
    asked = [{"role": "user", "content": "Which table?"}]
    inner = {"gen_ai.input.messages": asked, "gen_ai.output.messages": [{"role": "assistant", "content": "orders"}]}
    first = {"gen_ai.input.messages": PARTS[:1], "gen_ai.output.messages": PARTS[1:2]}
    last = {"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWERED}
    checked([otlp(span(1, first), span(2, inner, parentSpanId="1"), span(3, last))])


EVENTS = [
    ("gen_ai.system.message", {"content": "You answer."}),
    ("gen_ai.user.message", {"content": TASK}),
    ("gen_ai.assistant.message", {"content": "I look.", "tool_calls": MESSAGES[2]["tool_calls"]}),
    ("gen_ai.tool.message", {"content": "3", "id": "c1"}),
    ("gen_ai.choice", {"index": 0, "message": {"role": "assistant", "content": ANSWER}}),
]


def typed(value: Any) -> dict:
    """A value as OTLP writes it."""
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": typed(one)} for key, one in value.items()]}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [typed(one) for one in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def record(place: int, name: str, body: dict) -> dict:
    return {"traceId": "t1", "spanId": "1", "timeUnixNano": str(place), "eventName": name, "body": typed(body)}


def test_messages_in_log_records_belong_to_the_call_of_their_span():
    said = [record(place, *one) for place, one in enumerate(EVENTS, 1)]
    rows = [{"resourceLogs": [{"scopeLogs": [{"logRecords": said}]}]}, otlp(span(1, {"gen_ai.operation.name": "chat"}))]
    checked(rows)
    checked(rows[:1])
    checked([rows[0], rows[0], rows[1]])


def test_messages_in_events_of_a_span_are_read():
    events = [{"name": name, "attributes": [attribute(key, value) for key, value in body.items()]}
              for name, body in EVENTS]  # fmt: skip
    checked([otlp(span(1, {}, events=events))])
    azure = [{"name": name, "attributes": [attribute("gen_ai.event.content", body)]} for name, body in EVENTS]
    checked([otlp(span(1, {}, events=azure))])


def test_parts_of_bedrock_are_read():
    use, result = {"toolUseId": "c1", "name": "run_sql", "input": CALL}, {"toolUseId": "c1", "content": [{"text": "3"}]}
    said = [
        ("gen_ai.user.message", {"content": [{"text": TASK}]}),
        ("gen_ai.assistant.message", {"content": [{"text": "I look."}, {"toolUse": use}]}),
        ("gen_ai.tool.message", {"content": [{"toolResult": result}]}),
        ("gen_ai.choice", {"message": [{"text": ANSWER}], "finish_reason": "end_turn"}),
    ]
    events = [{"name": name, "attributes": [attribute(key, value) for key, value in body.items()]}
              for name, body in said]  # fmt: skip
    checked([otlp(span(1, {}, events=events))])


def observed(number: int, kind: str, given: Any, came: Any, above: str = "root", **more: Any) -> Row:
    return {"id": f"o{number}", "traceId": "r1", "type": kind, "startTime": f"2026-11-28T09:00:0{number}Z",
            "parentObservationId": above, "input": given, "output": came, "name": "llm", **more}  # fmt: skip


def trace(*observations: Row, given: Any = None, came: Any = None, scores: Any = ()) -> list[Row]:
    root = observed(0, "SPAN", None, None, above="") | {"id": "root"}
    return [{"trace": {"id": "r1", "input": given, "output": came, "scores": list(scores)},
             "observations": [root, *observations]}]  # fmt: skip


def test_tool_calls_that_koog_writes_as_text_are_calls():
    calls = json.dumps(
        [{"id": "c1", "type": "function", "function": {"name": "run_sql", "arguments": json.dumps(CALL)}}]
    )
    first = observed(1, "GENERATION", [USER], [{"role": "assistant", "content": calls, "finish_reason": "tool_calls"}])
    tool = observed(2, "SPAN", CALL, "3", metadata={"attributes": {"gen_ai.tool.call.id": "c1"}})
    sent = [USER, {"role": "tool", "content": calls}, {"role": "tool", "content": "3"}]
    last = observed(3, "GENERATION", sent, [{"role": "assistant", "content": ANSWER}])
    checked(trace(first, tool, last), looked=False)
    flat = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": TASK,
            "gen_ai.prompt.1.role": "tool", "gen_ai.prompt.1.content": calls,
            "gen_ai.prompt.2.role": "tool", "gen_ai.prompt.2.content": "3",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": ANSWER}  # fmt: skip
    checked([otlp(span(1, flat))], looked=False)


def test_a_text_that_is_a_list_of_something_else_stays_text():
    said = '[{"function": "sum", "type": "function"}]'
    run = run_in(trace(observed(1, "GENERATION", [USER], [{"role": "assistant", "content": said}])))
    assert run.tries[0].text == said


def test_claudes_agent_in_langfuse_has_all_its_steps():
    """Its tracer sends the names of a message's fields in place of the messages, and tools without the call's id."""
    use = {"type": "tool_use", "id": "c1", "name": "run_sql", "input": CALL}
    turns: list[Any] = [[{"type": "text", "text": "I look."}], [use], [{"type": "text", "text": ANSWER}]]
    given = [USER, {"content": "role"}, {"content": "role"}]
    calls = [observed(place, "GENERATION", given[place - 1], {"role": "assistant", "content": turns[place - 1]})
             for place in (1, 2, 3)]  # fmt: skip
    tool = observed(4, "TOOL", {"input": CALL}, {"content": [{"type": "text", "text": "3"}]}, name="run_sql")
    checked(trace(*calls, tool, given=json.dumps({"prompt": TASK})))


def test_the_task_is_the_traces_own_text_and_not_the_template_around_it():
    sent = [{"role": "user", "content": f"Message: {TASK}\n\nThis message was created at nine."}]
    answered = observed(1, "GENERATION", sent, {"role": "assistant", "content": ANSWER})
    assert run_in(trace(answered, given=json.dumps(TASK))).task == TASK
    assert run_in(trace(answered, given=json.dumps({"x": 1}))).task == sent[0]["content"]


@pytest.mark.parametrize("came", [ANSWER, json.dumps(ANSWER), repr({"role": "assistant", "text": ANSWER})])
def test_the_answer_is_the_traces_own_where_no_model_call_has_one(came):
    run = run_in(trace(observed(1, "GENERATION", [USER], None), came=came))
    assert run.tries[0].text == ANSWER


def test_a_score_of_one_step_does_not_say_how_the_run_ended():
    wrapper = observed(1, "AGENT", None, None, above="root")
    step = observed(2, "GENERATION", [USER], {"role": "assistant", "content": ANSWER}, above="o1")

    def score(about: str | None, value: int) -> Row:
        return {"id": f"s{value}", "traceId": "r1", "name": "correctness", "value": value, "source": "EVAL",
                "observationId": about}  # fmt: skip

    assert run_in(trace(wrapper, step, scores=[score("o2", 0)])).outcome is None
    for about in (None, "root"):
        ended = run_in(trace(wrapper, step, scores=[score("o2", 0), score(about, 1)])).outcome
        assert isinstance(ended, Outcome)
        assert ended.passed is True


def test_printed_python_objects_are_refused():
    sent = {"messages": ["role='system' content='You answer.' name=None", f"role='user' content='{TASK}'"]}
    with pytest.raises(Unreadable, match="printed Python objects"):
        run_in(trace(observed(1, "GENERATION", sent, {"role": "assistant", "content": ANSWER})))


@pytest.mark.parametrize("name", ["final_result", "StructuredOutput", "structured_output"])
def test_a_tool_of_a_framework_for_the_answer_hands_it_over(name):
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": '{"answer": "3"}'}}
    asked = observed(1, "GENERATION", [USER], {"role": "assistant", "content": "Done.", "tool_calls": [call]})
    assert run_in(trace(asked)).tries[0].text == "3"


def test_rows_that_a_tool_returned_are_no_parts_of_a_message():
    rows = [{"url": "x", "late": 3}]
    sent = [USER, MESSAGES[2], {"role": "tool", "tool_call_id": "c1", "content": rows}]
    run = run_in(trace(observed(1, "GENERATION", sent, {"role": "assistant", "content": ANSWER})))
    assert [step.text for step in run.tries[0].steps if step.role == "tool"] == [json.dumps(rows)]
