"""Facts about formats of other tools: a run with tools in each becomes one attempt with its steps and its outcome."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parammem.core import Outcome, Step, ToolCall
from parammem.errors import DataError
from parammem.experience import source_files
from parammem.experience.admission import Admission
from parammem.experience.inbox import look
from parammem.experience.ingest import ingest
from parammem.experience.outcomes import OutcomeTable, read_outcomes
from parammem.experience.preview import Preview, preview
from parammem.experience.source_files import Source
from tests.experience.rows import line, rows_in, store
from tests.experience.rows import row as experience

TASK, ANSWER = "How many orders are late?", "Answer: 3"
CALL = {"sql": "SELECT 1"}
BLOCK = "<parammem-advice digest=d7 draw=1>Late means after noon.</parammem-advice>"
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You answer."},
    {"role": "user", "content": f"{BLOCK}\n\n{TASK}"},
    {"role": "assistant", "content": "I look.", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "run_sql", "arguments": json.dumps(CALL)}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "3"},
    {"role": "assistant", "content": ANSWER},
]  # fmt: skip
PARTS = [
    {"role": "user", "parts": [{"type": "text", "content": f"{BLOCK}\n\n{TASK}"}]},
    {"role": "assistant", "parts": [{"type": "text", "content": "I look."},
                                    {"type": "tool_call", "id": "c1", "name": "run_sql", "arguments": CALL}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "3"}]},
]  # fmt: skip
ANSWERED = [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}], "finish_reason": "stop"}]


def attribute(key: str, value: Any) -> dict:
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    return {"key": key, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}


def span(number: int, attributes: dict[str, Any], trace: str = "t1", **more: Any) -> dict:
    listed = [attribute(key, value) for key, value in attributes.items()]
    return {"traceId": trace, "spanId": str(number), "name": "chat", "startTimeUnixNano": str(number),
            "attributes": listed, **more}  # fmt: skip


def otlp(*spans: dict) -> dict:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


EVALUATED = {"name": "gen_ai.evaluation.result", "attributes": [
    attribute("gen_ai.evaluation.name", "rows"), attribute("gen_ai.evaluation.score.value", 1.0),
    attribute("gen_ai.evaluation.score.label", "pass")]}  # fmt: skip
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": "r1"}
OTEL = [
    otlp(span(1, {**CHAT, "gen_ai.input.messages": PARTS[:1], "gen_ai.output.messages": PARTS[1:2]})),
    otlp(span(2, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "c1"})),
    otlp(span(3, {**CHAT, "gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWERED}, events=[EVALUATED])),
]


def flat(side: str, messages: list[dict]) -> dict[str, str]:
    found = {}
    for place, message in enumerate(messages):
        here = f"llm.{side}_messages.{place}.message"
        found |= {f"{here}.role": message["role"], f"{here}.content": message["content"]}
        for number, call in enumerate(message.get("tool_calls", ())):
            there = f"{here}.tool_calls.{number}.tool_call"
            found |= {f"{there}.id": call["id"], f"{there}.function.name": call["function"]["name"],
                      f"{there}.function.arguments": call["function"]["arguments"]}  # fmt: skip
        if "tool_call_id" in message:
            found[f"{here}.tool_call_id"] = message["tool_call_id"]
    return found


OPENINFERENCE = [
    otlp(span(1, flat("input", MESSAGES[:4]) | flat("output", MESSAGES[4:]), trace="r1", events=[EVALUATED])),
]
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "3"}]}
SPOKEN = [
    ("user", {"role": "user", "content": f"{BLOCK}\n\n{TASK}"}),
    ("assistant", {"id": "m1", "role": "assistant", "content": [{"type": "thinking", "thinking": "…"}]}),
    ("assistant", {"id": "m1", "role": "assistant", "content": [{"type": "text", "text": "I look."}]}),
    ("assistant", {"id": "m1", "role": "assistant",
                   "content": [{"type": "tool_use", "id": "c1", "name": "run_sql", "input": CALL}]}),
    ("user", {"role": "user", "content": [RESULT]}),
    ("assistant", {"id": "m2", "role": "assistant", "content": [{"type": "text", "text": ANSWER}]}),
]  # fmt: skip
CLAUDE = [
    {"type": "summary", "summary": "late orders", "leafUuid": "u5"},
    *({"type": kind, "uuid": f"u{place}", "parentUuid": f"u{place - 1}" if place else None, "sessionId": "r1",
       "isSidechain": False, "timestamp": "2026-11-28T09:00:00Z", "message": message}
      for place, (kind, message) in enumerate(SPOKEN)),
    {"type": "assistant", "uuid": "s1", "parentUuid": "u3", "sessionId": "r1", "isSidechain": True,
     "message": {"role": "assistant", "content": [{"type": "text", "text": "I am a helper."}]}},
]  # fmt: skip


def codex(kind: str, **payload: Any) -> dict:
    return {"timestamp": "2026-11-28T09:00:00Z", "type": kind, "payload": payload}


def item(role: str, text: str) -> dict:
    kind = "output_text" if role == "assistant" else "input_text"
    return codex("response_item", type="message", role=role, content=[{"type": kind, "text": text}])


CODEX = [
    codex("session_meta", id="r1", cwd="/home/a", cli_version="0.65.0"),
    item("user", "<environment_context>\n  <cwd>/home/a</cwd>\n</environment_context>"),
    item("user", f"{BLOCK}\n\n{TASK}"),
    codex("event_msg", type="user_message", message=TASK),
    codex("turn_context", model="m"),
    codex("response_item", type="reasoning", summary=[], encrypted_content="x"),
    item("assistant", "I look."),
    codex("response_item", type="function_call", name="run_sql", arguments=json.dumps(CALL), call_id="c1"),
    codex("response_item", type="function_call_output", call_id="c1",
          output=json.dumps({"output": "3", "metadata": {"exit_code": 0}})),
    item("assistant", ANSWER),
]  # fmt: skip
INSPECT = {"id": "t-9", "epoch": 1, "uuid": "r1", "input": TASK, "target": "3 is secret",
           "messages": [MESSAGES[0], {"role": "user", "content": "attachment://a1"},
                        {"role": "assistant", "content": "I look.",
                         "tool_calls": [{"id": "c1", "function": "run_sql", "arguments": CALL, "type": "function"}]},
                        {"role": "tool", "tool_call_id": "c1", "function": "run_sql", "content": "3"},
                        {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "…"},
                                                          {"type": "text", "text": ANSWER}]}],
           "attachments": {"a1": f"{BLOCK}\n\n{TASK}"}, "events": [], "scores": {"match": {"value": "C"}}}  # fmt: skip
ATIF = {"schema_version": "ATIF-v1.7", "session_id": "s1", "trajectory_id": "r1",
        "agent": {"name": "a", "version": "1"}, "steps": [
            {"step_id": 1, "source": "system", "message": "You answer."},
            {"step_id": 2, "source": "user", "message": f"{BLOCK}\n\n{TASK}"},
            {"step_id": 3, "source": "agent", "message": "I look.", "reasoning_content": "…",
             "tool_calls": [{"tool_call_id": "c1", "function_name": "run_sql", "arguments": CALL}],
             "observation": {"results": [{"source_call_id": "c1", "content": "3"}]}},
            {"step_id": 4, "source": "agent", "message": ANSWER}]}  # fmt: skip
LANGFUSE = [
    {"id": "o2", "traceId": "r1", "type": "GENERATION", "startTime": "2026-11-28T09:00:02Z",
     "input": MESSAGES[:4], "output": MESSAGES[4]},
    {"id": "o1", "traceId": "r1", "type": "GENERATION", "startTime": "2026-11-28T09:00:01Z",
     "input": json.dumps(MESSAGES[:2]), "output": json.dumps(MESSAGES[2])},
    {"id": "s1", "traceId": "r1", "name": "right", "value": 1, "dataType": "BOOLEAN", "source": "ANNOTATION"},
]  # fmt: skip


def langchain(kind: str, **kwargs: Any) -> dict:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", f"{kind}Message"],
            "kwargs": kwargs}  # fmt: skip


LANGCHAIN = [
    langchain("System", content="You answer."),
    langchain("Human", content=f"{BLOCK}\n\n{TASK}"),
    langchain("AI", content="I look.", tool_calls=[{"name": "run_sql", "args": CALL, "id": "c1", "type": "tool_call"}]),
    langchain("Tool", content="3", tool_call_id="c1"),
    langchain("AI", content=ANSWER),
]
LANGSMITH = [
    {"id": "r1", "trace_id": "r1", "run_type": "chain", "name": "agent", "inputs": {"question": TASK}, "outputs": {},
     "error": None, "start_time": "2026-11-28T09:00:00", "feedback_stats": {"correctness": {"n": 1, "avg": 1.0}}},
    {"id": "l1", "trace_id": "r1", "parent_run_id": "r1", "run_type": "llm", "inputs": {"messages": [LANGCHAIN[:2]]},
     "outputs": {"generations": [[{"text": "I look.", "message": LANGCHAIN[2]}]]}, "start_time": "2026-11-28T09:00:01"},
    {"id": "l2", "trace_id": "r1", "parent_run_id": "r1", "run_type": "llm", "inputs": {"messages": [LANGCHAIN[:4]]},
     "outputs": {"generations": [[{"text": ANSWER, "message": LANGCHAIN[4]}]]}, "start_time": "2026-11-28T09:00:02"},
]  # fmt: skip
LANGGRAPH = [
    {"id": "r1", "trace_id": "r1", "run_type": "chain", "inputs": {"messages": [["human", TASK]]},
     "outputs": {"messages": [{"type": "human", "content": f"{BLOCK}\n\n{TASK}"},
                              {"type": "ai", "content": "I look.",
                               "tool_calls": [{"name": "run_sql", "args": CALL, "id": "c1"}]},
                              {"type": "tool", "content": "3", "tool_call_id": "c1"},
                              {"type": "ai", "content": ANSWER}]},
     "feedback_stats": {"correctness": {"n": 2, "avg": 1}}},
]  # fmt: skip
TRACE = {"id": "r1", "timestamp": "2026-11-28T09:00:00Z", "input": {"question": TASK}, "output": ANSWER,
         "observations": [{**one, "traceId": None} for one in LANGFUSE[:2]], "scores": LANGFUSE[2:]}  # fmt: skip

TRACE_FILE = {"trace": {**TRACE, "observations": ["o1", "o2"], "metadata": "{\"domain\": \"qa\"}"},
              "observations": LANGFUSE[:2]}  # fmt: skip
RESPONSES = [
    {"role": "user", "content": f"{BLOCK}\n\n{TASK}"},
    {"type": "reasoning", "id": "rs1", "summary": []},
    {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "function_call", "id": "fc1", "call_id": "c1", "name": "run_sql", "arguments": json.dumps(CALL)},
    {"type": "function_call_output", "call_id": "c1", "output": "3"},
    {"role": "assistant", "content": [{"type": "output_text", "text": ANSWER}]},
]
LANGFUSE_RESPONSES = [
    {**LANGFUSE[0], "input": RESPONSES[:5], "output": {"object": "response", "output": RESPONSES[5:]}}, LANGFUSE[2],
]  # fmt: skip
ADDED = {**MESSAGES[2], "tool_calls": None, "additional_kwargs": {"tool_calls": MESSAGES[2]["tool_calls"]}}
DEFINITION = {"role": "tool", "content": {"type": "function", "function": {"name": "run_sql"}}}
LANGFUSE_LANGCHAIN = [
    {**LANGFUSE[0], "output": {**MESSAGES[4], "additional_kwargs": {}},
     "input": [*MESSAGES[:2], ADDED, {**MESSAGES[3], "additional_kwargs": {}}, DEFINITION]},
    {**LANGFUSE[1], "input": [*MESSAGES[:2], DEFINITION], "output": ADDED},
    LANGFUSE[2],
]  # fmt: skip
LANGFUSE_NAMED = [{**LANGFUSE[0], "input": [*MESSAGES[:3], {"role": "run_sql", "content": "3"}]}, LANGFUSE[2]]


def indexed(side: str, messages: list[dict]) -> dict[str, str]:
    """Return messages as OpenLLMetry writes them."""
    found = flat("input", messages)
    return {
        key.replace("llm.input_messages", f"gen_ai.{side}")
        .replace(".message.", ".")
        .replace(".tool_call.function.", ".")
        .replace(".tool_call.", "."): value
        for key, value in found.items()
    }


CALLED = {**CHAT, **indexed("prompt", MESSAGES[:4]), **indexed("completion", MESSAGES[4:])}
VALUES = {"openinference.span.kind": "LLM", "gen_ai.conversation.id": "r1",
          "input.value": {"messages": MESSAGES[:4]}, "output.value": {"text": ANSWER}}  # fmt: skip
OLD = {**CHAT, "gen_ai.prompt": PARTS, "gen_ai.completion": ANSWERED}

RUNS: dict[str, tuple[str, list[dict]]] = {
    "messages": ("openai", [{"messages": MESSAGES, "run_id": "r1", "outcome": True}]),
    "messages as text": ("openai", [{"messages": json.dumps(MESSAGES), "run_id": "r1", "outcome": True}]),
    "TRL": ("openai", [{"prompt": MESSAGES[:2], "completion": MESSAGES[2:], "run_id": "r1", "reward": 1.0}]),
    "OpenTelemetry": ("otel", OTEL),
    "OpenInference": ("otel", OPENINFERENCE),
    "Claude Code": ("claude-code", CLAUDE),
    "Codex": ("codex", CODEX),
    "Inspect": ("inspect", [INSPECT]),
    "ATIF": ("atif", [ATIF]),
    "Langfuse": ("langfuse", LANGFUSE),
    "Langfuse trace": ("langfuse", [TRACE]),
    "Langfuse trace, downloaded": ("langfuse", [TRACE_FILE]),
    "Langfuse of OpenAI's Responses": ("langfuse", LANGFUSE_RESPONSES),
    "Langfuse of LangChain": ("langfuse", LANGFUSE_LANGCHAIN),
    "Langfuse with a tool's name as role": ("langfuse", LANGFUSE_NAMED),
    "OpenLLMetry": ("otel", [otlp(span(1, CALLED, events=[EVALUATED]))]),
    "OpenInference, one value a side": ("otel", [otlp(span(1, VALUES, events=[EVALUATED]))]),
    "OpenTelemetry, names before 2025": ("otel", [otlp(span(1, OLD, events=[EVALUATED]))]),
    "OpenAI's Responses": ("openai", [{"messages": RESPONSES, "run_id": "r1", "outcome": True}]),
    "LangSmith": ("langsmith", LANGSMITH),
    "LangGraph": ("langsmith", LANGGRAPH),
}
SILENT = ("Claude Code", "Codex", "ATIF")
"""Formats that do not say how a run ended."""
TABLE = OutcomeTable({"r1": Outcome(passed=True, source="test")}, digest="d")


def shown(path: Path, rows: list[dict] | bytes, name: str = "log.jsonl", **more: Any) -> list[Preview]:
    file = path / name
    data = rows if isinstance(rows, bytes) else "".join(json.dumps(row) + "\n" for row in rows).encode()
    file.write_bytes(data)
    return list(preview(Source.of(file), store(path, domain=more.pop("domain", "qa"), **more)))


@pytest.mark.parametrize("name", RUNS)
def test_a_solved_run_with_tools_is_one_attempt_with_its_steps(tmp_path, name):
    form, rows = RUNS[name]
    (run,) = shown(tmp_path, rows, outcomes=TABLE if name in SILENT else OutcomeTable())
    assert (run.becomes, run.details, run.form, run.task, run.outcome) == ("batch", (), form, TASK, True)
    assert (run.run_id, run.advice) == ("r1", ("Late means after noon.",))
    (attempt,) = run.attempts
    assert (attempt.text, attempt.passed, run.submission) == (ANSWER, None, 1)
    assert attempt.steps == (
        Step(role="assistant", text="I look."),
        Step(role="assistant", call=ToolCall(name="run_sql", arguments=CALL, id="c1")),
        Step(role="tool", text="3", result_of="c1"),
        Step(role="assistant", text=ANSWER),
    )


@pytest.mark.parametrize("name", SILENT)
def test_a_log_without_outcome_is_refused_until_a_table_names_it(tmp_path, name):
    (run,) = shown(tmp_path, RUNS[name][1])
    assert (run.becomes, run.reasons) == ("refused", ("no-outcome",))
    assert "--outcomes" in run.details[0]
    (other,) = shown(tmp_path, RUNS[name][1], outcomes=OutcomeTable({"r2": Outcome(passed=True)}, digest="d"))
    assert other.reasons == ("no-outcome",)


@pytest.mark.parametrize(
    ("score", "label", "outcome"),
    [
        (1.0, "fail", Outcome(passed=False, value=1.0, source="judge")),
        (0.8, "passed", Outcome(passed=True, value=0.8, source="judge")),
        (0.8, "relevant", Outcome(passed=None, value=0.8, source="judge")),
        (0.0, "irrelevant", Outcome(passed=False, value=0.0, source="judge")),
    ],
)
def test_an_evaluations_label_decides_where_it_is_a_verdict(tmp_path, score, label, outcome):
    said = [attribute("gen_ai.evaluation.score.value", score), attribute("gen_ai.evaluation.score.label", label)]
    event = {"traceId": "t1", "eventName": "gen_ai.evaluation.result", "attributes": said, "timeUnixNano": "9"}
    last = otlp(span(3, {**CHAT, "gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWERED}))
    (run,) = shown(tmp_path, [*OTEL[:2], last, {"resourceLogs": [{"scopeLogs": [{"logRecords": [event]}]}]}])
    assert (run.outcome, run.value, run.source_of_outcome) == (outcome.passed, outcome.value, "judge")


def test_runs_that_are_mixed_up_in_a_file_are_told_apart(tmp_path):
    first, second = ([json.loads(json.dumps(row).replace('"r1"', f'"{name}"')) for row in CLAUDE[1:]] for name in "ab")
    mixed = [row for pair in zip(first, second, strict=True) for row in pair]
    table = OutcomeTable({name: Outcome(passed=name == "a") for name in "ab"}, digest="d")
    runs = shown(tmp_path, [*mixed, *CODEX, {"messages": MESSAGES, "outcome": False}], outcomes=table)
    assert [(run.form, run.run_id, run.outcome) for run in runs] == [
        ("openai", "", False),
        ("claude-code", "a", True),
        ("claude-code", "b", False),
        ("codex", "", None),
    ]
    assert runs[-1].reasons == ("no-outcome",)


SWE = {"environment": "main", "trajectory": [
           {"action": "ls", "observation": "a.py", "response": "…", "thought": "I look.", "state": {}},
           {"action": "submit", "observation": "", "response": "…", "thought": "Done.", "state": {}}],
       "history": [{"role": "system", "content": "x"}, {"role": "user", "content": "A demo", "is_demo": True},
                   {"role": "user", "content": "Fix the bug in a.py"}],
       "info": {"exit_status": "submitted", "submission": "diff --git a/a.py b/a.py"}}  # fmt: skip


def test_a_swe_agent_file_is_joined_by_its_name_and_submitted_is_not_solved(tmp_path):
    (run,) = shown(tmp_path, json.dumps(SWE, indent=1).encode(), "repo__repo-7.traj")
    assert (run.reasons, run.form) == (("no-outcome",), "swe-agent")
    table = OutcomeTable({"repo__repo-7": Outcome(passed=False, source="test")}, digest="d")
    (run,) = shown(tmp_path, json.dumps(SWE, indent=1).encode(), "repo__repo-7.traj", outcomes=table)
    assert (run.task, run.outcome, run.submission) == ("Fix the bug in a.py", False, 1)
    assert run.attempts[0].text == "diff --git a/a.py b/a.py"
    told = [step.call.arguments if step.call else step.text for step in run.attempts[0].steps]
    assert told == ["I look.", "ls", "a.py", "Done.", "submit"]


def packed(path: Path, samples: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.json", "{}")
        for name, data in samples.items():
            file.writestr(name, data)
    return (path / "x.zip").read_bytes()


def test_an_eval_file_is_read_sample_by_sample_and_its_target_is_left_behind(tmp_path):
    wrong = {**INSPECT, "epoch": 2, "uuid": "r2", "scores": {"match": {"value": "I"}}}
    members = {"samples/t-9_epoch_1.json": json.dumps(INSPECT).encode(), "samples/b.json": b"{ broken",
               "samples/t-9_epoch_2.json": json.dumps(wrong).encode()}  # fmt: skip
    first, broken, second = shown(tmp_path, packed(tmp_path, members), "log.eval")
    assert (first.run_id, first.outcome, second.run_id, second.outcome) == ("r1", True, "r2", False)
    assert broken.reasons == ("not-json",)
    assert "secret" not in first.model_dump_json()


def test_a_zip_bomb_and_a_zip_of_something_else_are_refused(tmp_path):
    bomb = packed(tmp_path, {"samples/a.json": b" " * (64 << 20), "samples/b.json": json.dumps(INSPECT).encode()})
    big, good = shown(tmp_path, bomb, "log.eval")
    assert (big.reasons, good.becomes) == (("too-long",), "batch")
    for data in (packed(tmp_path, {"a.txt": b"x"}), b"PK\x03\x04 broken"):
        with pytest.raises(DataError, match=r"log\.eval"):
            shown(tmp_path, data, "log.eval")


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([otlp(span(1, {"gen_ai.operation.name": "chat"}))], "not-a-record"),
        ([{**ATIF, "steps": 3}], "not-a-record"),
        ([{**ATIF, "steps": [{"source": "robot"}]}], "not-a-record"),
        ([{**INSPECT, "scores": {"a": {"value": "C"}, "b": {"value": "I"}}}], "no-outcome"),
        ([{**INSPECT, "scores": {"a": {"value": {"x": 1}}}}], "no-outcome"),
        ([{**INSPECT, "scores": {"a": {"value": 7}}}], "no-outcome"),
        ([{**INSPECT, "messages": "x"}], "not-a-record"),
        ([*LANGFUSE, {**LANGFUSE[2], "value": 0, "id": "s2"}], "no-outcome"),
        ([*LANGFUSE[:2], {**LANGFUSE[2], "name": "Hallucination", "value": 0}], "no-outcome"),
        ([{"version": 2, "status": "error", "eval": {"task": "t"}}], "not-a-record"),
        ([{**LANGGRAPH[0], "outputs": {}, "inputs": {}}], "not-a-record"),
        ([{**SWE, "history": []}], "unknown-form"),
        ([{**SWE, "trajectory": [3]}], "not-a-record"),
        ([CODEX[0]], "not-a-record"),
        ([{"messages": [{"role": "user", "content": TASK}, {"role": "assistant", "tool_calls": [3]}]}], "not-a-record"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name_and_costs_its_neighbours_nothing(tmp_path, rows, rule):
    good = {"messages": MESSAGES, "outcome": True, "task_id": "good"}
    first, bad = shown(tmp_path, [good, *rows])
    if first.becomes == "refused":
        first, bad = bad, first
    assert (first.becomes, bad.becomes, bad.reasons) == ("batch", "refused", (rule,))


def test_the_last_branch_of_a_session_counts_with_all_results_of_its_calls(tmp_path):
    """A prompt that was taken back, and two calls side by side whose results are on two branches."""
    rows: list[dict] = [dict(row) for row in CLAUDE[1:7]]
    calls = [{"type": "tool_use", "id": name, "name": "run_sql", "input": CALL} for name in ("c1", "c2")]
    results = [{**RESULT, "tool_use_id": name} for name in ("c1", "c2")]

    def line(name: str, parent: str | None, kind: str, content: Any, model_id: str = "") -> dict:
        message = {"role": kind, "content": content, **({"id": model_id} if model_id else {})}
        return {"type": kind, "uuid": name, "parentUuid": parent, "sessionId": "r1", "message": message}

    rows = [
        line("a", None, "user", "Taken back"),
        line("b", "a", "assistant", [{"type": "text", "text": "Answer: 9"}]),
        line("c", None, "user", TASK),
        line("d", "c", "assistant", calls[:1], "m"),
        line("e", "d", "assistant", calls[1:], "m"),
        line("f", "d", "user", results[:1]),
        line("g", "e", "user", results[1:]),
        line("h", "g", "assistant", [{"type": "text", "text": ANSWER}]),
    ]
    (run,) = shown(tmp_path, rows, outcomes=TABLE)
    assert run.task == TASK
    assert [step.call.id if step.call else step.result_of for step in run.attempts[0].steps] == [
        "c1",
        "c2",
        "c1",
        "c2",
        "",
    ]


@pytest.mark.parametrize("parents", [None, "left out"])
def test_a_session_without_links_is_read_in_its_order(tmp_path, parents):
    rows = [{**row, "parentUuid": parents} if "uuid" in row and not row.get("isSidechain") else row for row in CLAUDE]
    if parents:
        rows = [{name: value for name, value in row.items() if name != "parentUuid"} for row in rows]
    (run,) = shown(tmp_path, rows, outcomes=TABLE)
    assert (run.becomes, run.task, run.attempts[0].text) == ("batch", TASK, ANSWER)


def test_a_forked_session_of_codex_keeps_its_own_name(tmp_path):
    """Its file begins with a copy of the session that it continues, and that one was itself a fork."""
    metas = [{"id": "r1", "forked_from_id": "r2"}, {"id": "r2", "forked_from_id": "r3"}, {"id": "r3"}]
    rows = [codex("session_meta", **meta) for meta in metas]
    after = [codex("session_meta", id="r4"), item("user", "How many are early?"), item("assistant", "Answer: 4")]
    table = OutcomeTable({"r1": Outcome(passed=True), "r4": Outcome(passed=True)}, digest="d")
    forked, other = shown(tmp_path, [*rows, *CODEX[1:], *after], outcomes=table)
    assert (forked.run_id, forked.task, forked.attempts[0].text) == ("r1", TASK, ANSWER)
    assert (other.run_id, other.task) == ("r4", "How many are early?")


SCORED = [{"id": f"s{name}", "traceId": "r1", "name": name, "value": value, "dataType": "NUMERIC", "source": "EVAL"}
          for name, value in (("toxicity", 0), ("context_relevance", 0.4), ("hallucination", 0))]  # fmt: skip
RATED = {name: {"n": 1, "avg": 0} for name in ("latency_ok", "Bias")}


@pytest.mark.parametrize(
    "rows",
    [
        [*LANGFUSE, *SCORED],
        [{**INSPECT, "scores": {**INSPECT["scores"], "jailbreak": {"value": 0}}}],
        [{**LANGSMITH[0], "feedback_stats": {**LANGSMITH[0]["feedback_stats"], **RATED}}, *LANGSMITH[1:]],
        [*OTEL, otlp(span(4, {}, events=[{**EVALUATED, "attributes": [
            attribute("gen_ai.evaluation.name", "Toxicity"), attribute("gen_ai.evaluation.score.value", 0.0)]}]))],
    ],
)  # fmt: skip
def test_a_score_of_something_else_than_success_is_no_outcome(tmp_path, rows):
    (run,) = shown(tmp_path, rows)
    assert (run.becomes, run.outcome) == ("batch", True)


@pytest.mark.parametrize(
    "rows",
    [
        [*LANGFUSE, {**LANGFUSE[2], "value": 0, "id": "s2"}],
        [{**INSPECT, "scores": {"a": {"value": {"x": 1}}}}],
        [{"messages": MESSAGES, "run_id": "r1", "reward": 7}],
    ],
)
def test_a_table_decides_where_a_log_says_no_outcome(tmp_path, rows):
    (run,) = shown(tmp_path, rows)
    assert run.reasons == ("no-outcome",)
    (run,) = shown(tmp_path, rows, outcomes=TABLE)
    assert (run.becomes, run.outcome, run.source_of_outcome) == ("batch", True, "test")


def read_open(path: Path, rows: list[dict]) -> Preview:
    """Return what one row of an open domain is read as."""
    kinds = {"support": "open"}
    place = replace(store(path, domain="support"), admission=Admission.against([], 0.9, kinds=kinds))
    (path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,) = preview(Source.of(path / "a.jsonl"), place)
    return run


SUBMIT = {"role": "assistant", "tool_calls": [{"id": "c2", "function": {"name": "submit", "arguments": "{}"}}]}
OFFER = "Three orders are late.\n\nWould you like their numbers?"


@pytest.mark.parametrize(
    ("last", "submission"),
    [
        ([{**SUBMIT, "content": "Three are late."}], "Three are late."),
        ([{"role": "assistant", "content": "Three."}, SUBMIT], "Three."),
        ([{"role": "assistant", "content": OFFER}], OFFER),
        ([{"role": "assistant", "content": "Which shop do you mean?"}], 'run_sql({"sql": "SELECT 1"})'),
    ],
)
def test_the_submission_of_an_open_domain_is_what_was_said_or_done_last(tmp_path, last, submission):
    begun = [*MESSAGES[:2], {**MESSAGES[2], "content": None}, MESSAGES[3]]
    run = read_open(tmp_path, [{"messages": [*begun, *last], "outcome": True}])
    assert (run.becomes, run.attempts[0].text) == ("batch", submission)


def test_a_first_answer_is_no_courtesy(tmp_path):
    talk = [{"role": "user", "content": "Say goodbye."}, {"role": "assistant", "content": "Bye, have a nice day!"}]
    run = read_open(tmp_path, [{"messages": talk, "outcome": True}])
    assert (run.submission, run.attempts[0].text) == (1, "Bye, have a nice day!")


GEMINI = {
    "contents": [
        {"role": "user", "parts": [{"text": TASK}]},
        {"role": "model", "parts": [{"text": "I count.", "thought": True},
                                    {"functionCall": {"name": "count", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "count", "response": {"late": 3}}}]},
    ]
}  # fmt: skip


def test_messages_of_gemini_are_read(tmp_path):
    output = {"candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER}]}}]}
    (run,) = shown(tmp_path, [{**LANGFUSE[0], "input": GEMINI, "output": output}, LANGFUSE[2]])
    assert (run.task, run.attempts[0].text) == (TASK, ANSWER)
    assert run.attempts[0].steps[:2] == (
        Step(role="assistant", call=ToolCall(name="count", arguments={})),
        Step(role="tool", text='{"late": 3}'),
    )


def test_a_call_that_a_tracer_tells_twice_is_one_step(tmp_path):
    call = [{"toolCallId": "c1", "toolName": "run_sql", "input": json.dumps(CALL)}]
    rows = [
        {**LANGFUSE[1], "input": json.dumps({"prompt": TASK}), "output": json.dumps(call)},
        {**LANGFUSE[0], "input": [{"role": "user", "content": TASK}], "output": json.dumps(call)},
    ]
    run = read_open(tmp_path, [*rows, LANGFUSE[2]])
    assert run.attempts[0].steps == (Step(role="assistant", call=ToolCall(name="run_sql", arguments=CALL, id="c1")),)


def test_lines_of_a_terminal_end_in_newlines_alone(tmp_path):
    step = {"action": "ls\r\n", "observation": "a.py\r\nb.py", "thought": "I look.\r\nNow."}
    rows = [{**SWE, "trajectory": [step], "info": {"submission": "\r\ndiff --git\r\n+x"}, "resolved": True}]
    run = read_open(tmp_path, rows)
    assert [step.text for step in run.attempts[0].steps] == ["I look.\nNow.", "", "a.py\nb.py"]
    assert run.attempts[0].text == "diff --git\n+x"


def test_an_open_domain_takes_a_whole_conversation_and_its_last_action(tmp_path):
    call = {"id": "1", "function": {"name": "refund", "arguments": "{}"}}
    talk = [
        {"role": "user", "content": "I want my money back."},
        {"role": "assistant", "content": "Which order?"},
        {"role": "user", "content": "Now also tell me a joke."},
        {"role": "assistant", "tool_calls": [call]},
    ]
    run = read_open(tmp_path, [{"messages": talk, "outcome": True}])
    assert (run.becomes, run.task, run.attempts[0].text) == ("batch", "I want my money back.", "refund({})")
    assert [step.role for step in run.attempts[0].steps] == ["assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "run_id,passed,value,source\nr1,true,,test\nr2,,0.25,\nr3,0,,\n"),
        ("a.csv", "\ufeffrun_id,passed,value,source\r\nr1,TRUE,,test\r\nr2,,0.25,\r\nr3,false,,\r\n"),
        ("a.jsonl", '{"run_id": "r1", "passed": true, "source": "test"}\n{"run_id": "r2", "value": 0.25}\n'
                    '{"run_id": "r3", "passed": false}\n'),
    ],
)  # fmt: skip
def test_a_table_of_outcomes_is_read(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_outcomes(tmp_path / name).by_id == {
        "r1": Outcome(passed=True, source="test"),
        "r2": Outcome(passed=None, value=0.25),
        "r3": Outcome(passed=False),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run,passed\nr1,true\n", "row 2: no `run_id`"),
        ("run_id,passed\nr1,true\nr2,7\n", "row 3: `passed` is true"),
        ("run_id,passed,value\nr1,true,1.5\n", "row 2: `passed`"),
        ("run_id,passed\nr1,true\nr1,false\n", "row 3: the run of this row has another outcome"),
        ('{"run_id": "r1", "passed": true}\n{broken\n', "line 2: no JSON object"),
        ("", "no outcomes"),
        ("run_id,passed\nr1,true\n" + "x" * 200_000 + ",true\n", "row 3: no CSV"),
        ('run_id,passed\nr1,true\n"' + "x," * 100_000, "row 3: no CSV"),
    ],
)
def test_a_wrong_table_names_the_row_and_what_to_do(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_outcomes(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("least", "passed"), [({}, None), ({"qa": 0.5}, True), ({"qa": 0.9}, False), ({"code": 0.5}, None)]
)
def test_a_value_passes_from_where_the_domain_draws_the_line(tmp_path, least, passed):
    rewarded = {"messages": MESSAGES, "reward": 0.8}
    (run,) = shown(tmp_path, [rewarded], passes_at=least)
    assert (run.outcome, run.value) == (passed, 0.8)
    named = {"messages": MESSAGES, "run_id": "r9"}
    table = OutcomeTable({"r9": Outcome(passed=None, value=0.8)}, digest="d")
    (run,) = shown(tmp_path, [named], passes_at=least, outcomes=table)
    assert (run.outcome, run.value) == (passed, 0.8)


def test_our_own_rows_pass_from_where_the_domain_draws_the_line(tmp_path):
    ended = Outcome(passed=None, value=0.8)
    row = json.loads(line(experience(1).model_copy(update={"outcome": ended})))
    for least, passed in (({}, None), ({"code": 0.5}, True), ({"code": 0.9}, False)):
        (run,) = shown(tmp_path, [row], passes_at=least)
        assert (run.outcome, run.value, run.reasons) == (passed, 0.8, ())


def test_a_reward_comes_in_with_the_verdict_of_its_domain(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps({"messages": MESSAGES, "reward": 0.8}) + "\n")
    ingest(Source.of(file), store(tmp_path, domain="qa", passes_at={"qa": 0.5}), "person ada")
    (one,) = rows_in(tmp_path / "data" / "experience")
    assert one.outcome == Outcome(passed=True, value=0.8, source="reward")


def test_a_log_and_a_table_that_contradict_each_other_are_refused(tmp_path):
    table = OutcomeTable({"r1": Outcome(passed=False)}, digest="d")
    (run,) = shown(tmp_path, RUNS["messages"][1], outcomes=table)
    assert run.reasons == ("no-outcome",)
    assert "contradict" in run.details[0]


def test_a_file_comes_in_again_once_a_table_names_its_outcomes(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in CLAUDE))
    silent = ingest(Source.of(file), store(tmp_path, domain="qa"), "person ada")
    assert (silent.event.kept, silent.event.reasons) == (0, {"no-outcome": 1})
    told = store(tmp_path, domain="qa", outcomes=TABLE)
    first, second = (ingest(Source.of(file), told, "person ada") for _ in range(2))
    assert (first.event.kept, first.new, second.new) == (1, True, False)
    (row,) = rows_in(tmp_path / "data" / "experience")
    assert (row.outcome, row.run_id, row.schema_version) == (TABLE.by_id["r1"], "r1", 2)


def test_the_inbox_takes_documents_and_zips(tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.traj").write_text(json.dumps(SWE, indent=1))
    (inbox / "b.eval").write_bytes(packed(tmp_path, {"samples/a.json": json.dumps(INSPECT).encode()}))
    (inbox / "half.eval").write_bytes((inbox / "b.eval").read_bytes()[:-30])
    found = look(inbox, settled=0)
    assert [source.name for source in found.sources] == ["a.traj", "b.eval"]
    assert [one.becomes for one in preview(found.sources[1], store(tmp_path, domain="qa"))] == ["batch"]


def test_a_refused_sample_of_a_zip_lies_whole_in_quarantine(tmp_path, monkeypatch):
    monkeypatch.setattr(source_files, "LONGEST_DOCUMENT", 100_000)
    huge = b'{"id": 1, "text": "' + b"x" * 200_000 + b'"}'
    secret = json.dumps({**INSPECT, "input": "", "messages": [{"role": "user", "content": "mail ada@" + "corp.com"}]})
    (tmp_path / "a.eval").write_bytes(packed(tmp_path, {"samples/a.json": huge, "samples/b.json": secret.encode()}))
    result = ingest(Source.of(tmp_path / "a.eval"), store(tmp_path, domain="qa"), "person ada")
    assert result.event.reasons == {"no-submission": 1, "secret-or-personal-data": 1, "too-long": 1}
    kept = (tmp_path / "data/quarantine/private" / result.event.source / "lines").read_bytes()
    assert kept == huge + b"\n" + secret.encode() + b"\n"
