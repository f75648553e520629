"""What a model call was sent and what it answered, in the attributes or events of its span.

- GenAI: `gen_ai.input.messages`, `gen_ai.output.messages`; before that `gen_ai.prompt`, `gen_ai.completion`.
- OpenInference and OpenLLMetry: an attribute for each field (`llm.input_messages.0.message.role`).
- Vercel's SDK: `ai.prompt.messages`, `ai.response.text`, `ai.response.toolCalls`.
- Events of the older GenAI conventions (`gen_ai.user.message`, `gen_ai.choice`), in the span or as log records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from parammem.experience.formats.base import Row, loaded
from parammem.experience.formats.conversations import messages_in
from parammem.experience.formats.turns import ChatTurn

CHOICE = "gen_ai.choice"
SAID = {"gen_ai.system.message": "system", "gen_ai.user.message": "user", "gen_ai.assistant.message": "assistant",
        "gen_ai.tool.message": "tool", CHOICE: "assistant"}  # fmt: skip
"""Name of an event → whose message it holds."""
_FLAT = re.compile(
    r"(?:llm\.(?P<input>input|output)_messages|gen_ai\.(?P<prompt>prompt|completion))\.(?P<number>\d{1,5})\.(?:message\.)?"
    r"(?P<field>.+)"
)
_SIDES = {"input": ("input", "prompt"), "output": ("output", "completion")}
_CALL = re.compile(r"tool_calls\.(\d{1,4})\.(?:tool_call\.)?(?:function\.)?(id|name|arguments)")
_PART = re.compile(r"contents\.(\d{1,4})\.message_content\.(type|text)")


def messages_of(span: Row) -> tuple[list[ChatTurn], list[ChatTurn]]:
    """Return what a model call was sent and what it answered; nothing for other spans. Raises Unreadable."""
    attributes = span["attributes"]
    if attributes.get("gen_ai.operation.name") == "execute_tool":
        return [], []
    sent = attributes.get("gen_ai.input.messages", attributes.get("gen_ai.prompt"))  # what it was called before
    came = attributes.get("gen_ai.output.messages", attributes.get("gen_ai.completion"))
    if sent is None and came is None:
        sent, came = _flat(attributes, "input"), _flat(attributes, "output")
    if not sent and not came:
        sent, came = _vercel(attributes)
    if not sent and not came and attributes.get("openinference.span.kind") == "LLM":
        sent, came = attributes.get("input.value"), attributes.get("output.value")
    if not sent and not came:
        return _from_events(span["events"])
    return messages_in(loaded(sent), "user"), messages_in(loaded(came), "assistant")


def _vercel(attributes: Row) -> tuple[Any, list[Row]]:
    """Return what Vercel's SDK says of a model call; of a call that makes an object, the object is the answer."""
    given = attributes.get("ai.prompt.messages", attributes.get("ai.prompt"))
    text = attributes.get("ai.response.text") or attributes.get("ai.response.object") or ""
    calls = loaded(attributes.get("ai.response.toolCalls"))
    calls = calls if isinstance(calls, list) else []
    return given, [{"role": "assistant", "content": text, "tool_calls": calls}] if text or calls else []


def _from_events(events: Sequence[Row]) -> tuple[list[ChatTurn], list[ChatTurn]]:
    said = [(event["name"], _told(event)) for event in events if event["name"] in SAID]
    sent = [message for name, message in said if name != CHOICE]
    return messages_in(sent, "user"), messages_in([message for name, message in said if name == CHOICE], "assistant")


def _told(event: Row) -> Row:
    """Return the message of an event: in its body, in one attribute as JSON, or in attributes of their own."""
    bodies = (loaded(event.get(key)) for key in ("body", "gen_ai.event.content"))
    inner = next((one for one in bodies if isinstance(one, dict)), event)
    message = loaded(inner.get("message"))
    told = {**inner, **message} if isinstance(message, dict) else {"content": message, **inner}
    listed = loaded(told.get("content"))
    return {
        "role": SAID[event["name"]],
        "content": listed if isinstance(listed, list) else told.get("content"),
        "tool_calls": loaded(told.get("tool_calls")),
        "tool_call_id": told.get("tool_call_id") or told.get("id"),
    }


def _flat(attributes: Row, side: str) -> list[Row]:
    """Return OpenInference's and OpenLLMetry's messages, which are in one attribute for each field."""
    found: dict[int, Row] = {}
    for key in sorted(attributes):
        match = _FLAT.fullmatch(key)
        if not match or (match["input"] or match["prompt"]) not in _SIDES[side]:
            continue
        message, value = found.setdefault(int(match["number"]), {"calls": {}, "parts": {}}), attributes[key]
        if call := _CALL.fullmatch(match["field"]):
            message["calls"].setdefault(int(call[1]), {})[call[2]] = value
        elif part := _PART.fullmatch(match["field"]):
            message["parts"].setdefault(int(part[1]), {})[part[2]] = value
        else:
            message[match["field"]] = value
    return [_from_flat(found[number]) for number in sorted(found)]


def _from_flat(message: Row) -> Row:
    calls = [one for _, one in sorted(message.pop("calls").items())]
    listed = [one for _, one in sorted(message.pop("parts").items())]
    content = message.get("content", listed or None)
    return {"role": message.get("role"), "content": content, "tool_calls": calls,
            "tool_call_id": message.get("tool_call_id"), "name": message.get("name")}  # fmt: skip
