"""Facts about tool calls in the text of a chat, and about the forms in which interfaces store a request and a reply."""

from __future__ import annotations

import json

import pytest

from parammem.experience.formats.base import Unreadable
from tests.experience.rows import read_line
from tests.experience.test_transcripts import DOUBLE, GOOD, said, texts, user

CALL_AND_RESULT = {
    "tags": (
        'Look.\n<tool_call>\n{"name": "ls", "arguments": {"path": "."}}\n</tool_call>',
        "<tool_response>\na.py\n</tool_response>",
        "ls",
    ),
    "several words": (
        '<tool_call>{"name": "ls", "arguments": {}}</tool_call>',
        "<tool_result>a.py</tool_result>",
        "ls",
    ),
    "ReAct": ("Thought: look first.\nAction: ls\nAction Input: .", "Observation: a.py", "ls"),
    "ReAct with brackets": ("Thought 1: look first.\nAction 1: Search[a.py]", "Observation 1: a.py", "Search"),
    "a block of shell": ("Let me look.\n```bash\nls\n```", "Observation:\na.py", "bash"),
    "OpenHands": ("<function=ls>\n<parameter=path>.</parameter>\n</function>", "EXECUTION RESULT of [ls]:\na.py", "ls"),
    "Anthropic's old form": (
        '<function_calls>\n<invoke name="ls">\n</invoke>\n</function_calls>',
        "<function_result>a.py</function_result>",
        "ls",
    ),
    "not JSON": ("<tool_call>ls .</tool_call>", "<tool_output>a.py</tool_output>", "tool"),
}


def read(row: dict, domain: str = "code"):
    return read_line(json.dumps({"outcome": True, **row}).encode(), domain)[0]


@pytest.mark.parametrize("how", CALL_AND_RESULT)
def test_a_call_in_the_text_is_a_step_and_its_result_no_word_of_the_user(how):
    call, result, name = CALL_AND_RESULT[how]
    found = read({"messages": [user(DOUBLE), said(call), user(result), said(GOOD)]})
    assert found.task.text == DOUBLE
    assert texts(found) == [GOOD]
    steps = found.trajectory.attempts[0].steps
    assert [step.call.name for step in steps if step.call] == [name]
    assert [step.text for step in steps if step.role == "tool"] == ["a.py"]


@pytest.mark.parametrize(
    ("told", "reply"),
    [
        ("Use `ls`.", "<tool_response>a.py</tool_response>"),
        ("Thought: done.\nAction: ls\nAction Input: .", "That is wrong, try again."),
    ],
)
def test_what_is_no_call_with_its_result_stays_as_it_was_said(told, reply):
    found = read({"messages": [user(DOUBLE), said(told), user(reply), said(GOOD)]})
    assert not any(step.call for attempt in found.trajectory.attempts for step in attempt.steps)
    everything = found.task.text + "".join(s.text for a in found.trajectory.attempts for s in a.steps)
    assert reply in everything


OUT = [
    {"type": "reasoning", "summary": []},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": GOOD}]},
]
RUN = [
    {"type": "function_call", "call_id": "c", "name": "ls", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "a.py"},
]
CHOICE = {"choices": [{"index": 0, "message": said(GOOD), "finish_reason": "stop"}]}


def kept(kind: str, text: str) -> dict:
    return {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", kind],
        "kwargs": {"content": text},
    }


@pytest.mark.parametrize(
    ("row", "steps"),
    [
        ({"input": DOUBLE, "output": OUT}, 0),
        ({"input": [user(DOUBLE)], "output": OUT}, 0),
        ({"input": [user(DOUBLE), *RUN], "output": OUT}, 3),
        ({"request": {"input": DOUBLE}, "response": {"output": OUT}}, 0),
        ({"request": {"messages": [user(DOUBLE)]}, "response": CHOICE}, 0),
        ({"custom_id": "1", "body": {"messages": [user(DOUBLE)]}, "response": {"status_code": 200, "body": CHOICE}}, 0),
        ({"messages": [{"type": "human", "data": {"content": DOUBLE}}, {"type": "ai", "data": {"content": GOOD}}]}, 0),
        ({"messages": [kept("HumanMessage", DOUBLE), kept("AIMessage", GOOD)]}, 0),
        (
            {
                "messages": [
                    kept("SystemMessage", "Be brief."),
                    kept("HumanMessage", DOUBLE),
                    kept("AIMessageChunk", GOOD),
                ]
            },
            0,
        ),
    ],
)
def test_requests_with_their_replies_and_stored_messages_are_transcripts(row, steps):
    found = read(row)
    assert found.task.text == DOUBLE
    assert texts(found) == [GOOD]
    assert len(found.trajectory.attempts[0].steps) == steps


@pytest.mark.parametrize(
    "row", [{"input": DOUBLE, "output": GOOD}, {"input": 1, "output": OUT}, {"request": {}, "response": {}}]
)
def test_other_rows_with_these_names_are_of_no_form(row):
    with pytest.raises(Unreadable) as found:
        read(row)
    assert found.value.rule == "unknown-form"


@pytest.mark.parametrize("dress", ["{},", "\x1e{}", "{}\0\0", "  {} ,"])
def test_what_an_export_leaves_around_a_line_is_no_part_of_it(dress):
    line = dress.replace("{}", json.dumps({"messages": [user(DOUBLE), said(GOOD)], "outcome": True}))
    assert texts(read_line(line.encode(), "code")[0]) == [GOOD]
