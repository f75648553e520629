"""One step of an attempt: a message, a tool call or a tool result."""

from __future__ import annotations

from typing import Any, Literal

from parammem.core.record import Extended, Record

Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(Record):
    """What an agent asked a tool for."""

    name: str
    """Of the tool."""
    arguments: dict[str, Any] | str
    """As an object; as text where the agent wrote no JSON object."""
    id: str = ""
    """By which its result names it; empty where the log has none."""


class Step(Extended):
    """One message, one tool call or one tool result, in the order in which they came."""

    LATER = ("text", "call", "result_of", "error")

    role: Role
    """Who wrote it: the assistant is the agent, the tool is what a call returned, the user is whoever asked."""
    text: str = ""
    """The message, or what the tool returned."""
    call: ToolCall | None = None
    """The tool call that this step is; a message that calls two tools is a step with its text and one for each call."""
    result_of: str = ""
    """Id of the call whose result this is; empty if it is none, or the log does not say of which."""
    error: str = ""
    """What went wrong in this step, as the log says it; empty if nothing did."""
