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
_RESULT = re.compile(
    rf"\s*(?:<(?P<tag>{_NAMES})\b[^<>\n]{{0,200}}>\s*(?P<inner>.*?)\s*(?:</(?P=tag)>\s*|\Z)"
    r"|(?:observation|(?:tool|execution) (?:response|result|output))(?:\s[^:\n]{0,40})?:\s*(?P<rest>.*))\Z",
    re.DOTALL | re.IGNORECASE,
)
_TAGGED = re.compile(r"<tool_call>\s*(?P<given>.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_FUNCTION = re.compile(
    r"<(?:function=|invoke name=\"?)(?P<name>[\w.-]{1,100})\"?>\s*(?P<given>.*?)\s*(?:</function>|</invoke>|\Z)",
    re.DOTALL,
)
_ACTION = re.compile(
    r"^\s*\**Action(?: \d+)?:\**\s*(?P<name>[^\n\[]{1,100}?)\s*(?:\[(?P<inline>[^\n]*)\]\s*$"
    r"|\n\s*\**Action Input(?: \d+)?:\**\s*(?P<given>.*))?\Z",
    re.DOTALL | re.MULTILINE,
)
_SHELL = re.compile(r"```(?P<name>bash|sh|shell|tool_code|tool_call|action)\s*\n(?P<given>.*?)\n?```", re.DOTALL)


def with_text_calls(turns: Sequence[ChatTurn]) -> list[ChatTurn]:
    """Return the turns, those that call a tool in their text and are answered by its result as what they are."""
    found = list(turns)
    for place, (turn, after) in enumerate(itertools.pairwise(turns)):
        result = _RESULT.match(after.text) if after.role in ("user", "tool") and not after.results else None
        called = _call(turn.text) if result and turn.role == "assistant" and not turn.calls else None
        if result and called:
            text, call = called
            output = result["inner"] if result["tag"] else result["rest"]
            found[place] = ChatTurn("assistant", text, (call,))
            found[place + 1] = ChatTurn("tool", results=(Step(role="tool", text=output.strip()),))
    return found


def _call(text: str) -> tuple[str, ToolCall] | None:
    """Return what a message says before its call, and the call; None without one."""
    for pattern in (_TAGGED, _FUNCTION, _ACTION, _SHELL):
        found = pattern.search(text)
        if found is None:
            continue
        fields = found.groupdict()
        given = fields.get("given") or fields.get("inline") or ""
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
