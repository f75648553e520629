"""Messages of a run that is going on become the steps that a log of them would become."""

from __future__ import annotations

import pytest

from parammem.core import Step, ToolCall
from parammem.experience.formats.turns import turns_of
from parammem.integrations.messages import steps_of, text_of, with_text

CHAT = [
    {"role": "user", "content": [{"type": "text", "text": "Refund"}, {"type": "text", "text": "order 12"}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "refund", "arguments": '{"order": 12}'}},
        {"id": "c2", "type": "function", "function": {"name": "note", "arguments": "not json"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    {"role": "tool", "tool_call_id": "c2", "content": "no", "status": "error"},
    {"role": "assistant", "content": "Done"},
]  # fmt: skip
RESPONSES = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "input_text", "text": "Refund order 12"}]},
    {"type": "reasoning", "summary": []},
    {"type": "function_call", "id": "fc1", "call_id": "c1", "name": "refund", "arguments": '{"order": 12}'},
    {"type": "function_call_output", "call_id": "c1", "output": "ok"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done"}]},
]
ANTHROPIC = [
    {"role": "user", "content": "Refund order 12"},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True,
        "content": [{"type": "text", "text": "no such file"}]}]},
]  # fmt: skip
INSPECT = [
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "c1", "function": "refund", "arguments": {"order": 12}, "type": "function"}]},
    {"role": "tool", "content": "bad", "tool_call_id": "c1", "function": "refund",
     "error": {"type": "parsing", "message": "not a number"}},
]  # fmt: skip


@pytest.mark.parametrize(
    "messages", [CHAT, RESPONSES, ANTHROPIC, INSPECT], ids=["chat", "responses", "anthropic", "inspect"]
)
def test_steps_are_those_that_a_log_becomes(messages):
    assert steps_of(messages) == [step for turn in turns_of(messages) for step in turn.steps()]


def test_steps_are_these():
    assert steps_of(CHAT) == [
        Step(role="user", text="Refund\norder 12"),
        Step(role="assistant", call=ToolCall(name="refund", arguments={"order": 12}, id="c1")),
        Step(role="assistant", call=ToolCall(name="note", arguments="not json", id="c2")),
        Step(role="tool", text="ok", result_of="c1"),
        Step(role="tool", text="no", result_of="c2", error="no"),
        Step(role="assistant", text="Done"),
    ]


def test_what_is_no_text_is_named_and_what_is_no_message_is_left_out():
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "what?"}]}
    assert steps_of([picture, 7, None, {}]) == [Step(role="user", text="[image_url]\nwhat?")]


def test_a_text_is_put_behind_a_content_of_either_form():
    assert with_text("task", "advice") == "task\n\nadvice"
    parts = with_text(CHAT[0]["content"], "advice")
    assert text_of(parts) == "Refund\norder 12\nadvice"
    assert len(CHAT[0]["content"]) == 2, "the message that was given stays as it was"
