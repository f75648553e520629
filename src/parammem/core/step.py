"""One step of an attempt: a message, a tool call or a tool result."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from parammem.core.record import Record

Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(Record):
    """What an agent asked a tool for."""

    name: str
    """Of the tool."""
    arguments: dict[str, Any] | str
    """As an object; as text where the agent wrote no JSON object."""
    id: str = ""
    """By which its result names it; empty where the log has none."""


class Step(Record):
    """One message, one tool call or one tool result, in the order in which they came."""

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

    @model_serializer(mode="wrap")
    def _written(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Fields that say nothing are left out: a run has many steps."""
        return {name: value for name, value in whole(self).items() if value not in ("", None)}
