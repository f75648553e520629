"""Tool calls that stand in the text of a conversation: `<tool_call>…</tool_call>`, ReAct's `Action:`, a block of shell.

A call is taken for one only where the next message is its result (`<tool_response>…`, `Observation: …`): then the two
are steps, and neither an answer nor a user's words.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence

from parammem.core import Step, ToolCall
from parammem.experience.formats.turns import ChatTurn, call_of

_NAMES = (
    "tool_(?:response|result|output)s?|function_(?:response|result|output)s?|observation|execution_(?:result|output)"
)
_TAG = re.compile(rf"<(?P<tag>{_NAMES})\b[^<>\n]{{0,200}}>", re.IGNORECASE)
_LABEL = re.compile(r"(?:observation|(?:tool|execution) (?:response|result|output))(?:\s[^:\n]{0,40})?:", re.IGNORECASE)
_TAGGED = re.compile(r"<tool_call>(?P<given>.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FUNCTION = re.compile(
    r"<(?:function=|invoke name=\"?)(?P<name>[\w.-]{1,100})\"?>(?P<given>.*?)(?:</function>|</invoke>|\Z)", re.DOTALL
)
_ACTION = re.compile(
    r"^[^\S\n]*+\**+Action(?: \d+)?:\**+\s*+(?P<name>[^\n\[]{1,100}?)[^\S\n]*+(?:\[(?P<inline>[^\n]*)\]\s*+\Z"
    r"|\n\s*+\**+Action Input(?: \d+)?:\**+(?P<given>.*)\Z|\s*+\Z)",
    re.DOTALL | re.MULTILINE,
)
_SHELL = re.compile(r"```(?P<name>bash|sh|shell|tool_code|tool_call|action)[^\S\n]*+\n(?P<given>.*?)```", re.DOTALL)


def with_text_calls(turns: Sequence[ChatTurn]) -> list[ChatTurn]:
    """Return the turns, those that call a tool in their text and are answered by its result as what they are."""
    found = list(turns)
    for place, (turn, after) in enumerate(itertools.pairwise(turns)):
        result = _result(after.text) if after.role in ("user", "tool") and not after.results else None
        called = _call(turn.text) if result is not None and turn.role == "assistant" and not turn.calls else None
        if result is not None and called:
            text, call = called
            found[place] = ChatTurn("assistant", text, (call,))
            found[place + 1] = ChatTurn("tool", results=(Step(role="tool", text=result),))
    return found


def _result(text: str) -> str | None:
    """Return what a tool gave, where the whole message says that; None for any other message."""
    text = text.strip()
    if found := _TAG.match(text):
        inner, closing = text[found.end() :], f"</{found['tag']}>".lower()
        return (inner[: -len(closing)] if inner.lower().endswith(closing) else inner).strip()
    found = _LABEL.match(text)
    return text[found.end() :].strip() if found else None


def _call(text: str) -> tuple[str, ToolCall] | None:
    """Return what a message says before its call, and the call; None without one."""
    for pattern in (_TAGGED, _FUNCTION, _ACTION, _SHELL):
        found = pattern.search(text)
        if found is None:
            continue
        fields = found.groupdict()
        given = (fields.get("given") or fields.get("inline") or "").strip()
        return text[: found.start()].strip(), _named_call(fields.get("name"), given)
    return None


def _named_call(name: str | None, given: str) -> ToolCall:
    """Return a call of this name; of one in JSON, with the name and arguments that it gives."""
    try:
        told = json.loads(given)
    except (ValueError, RecursionError):
        told = None
    if not name and isinstance(told, dict):
        return call_of(told)
    return ToolCall(name=name or "tool", arguments=told if isinstance(told, dict) else given)
