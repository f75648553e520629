"""Messages of every vendor's form as turns: who spoke, the text, the tool calls and the tool results in it.

A part's `type` says what it is: text of OpenAI, Anthropic, OpenTelemetry; tool calls and their results of all three;
reasoning is left out. Gemini's parts have a field of their kind instead. A picture, a sound or a file is refused, since
a run cannot be understood without it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from parammem.core import Step, ToolCall
from parammem.core.step import Role
from parammem.experience.formats.base import Unreadable, is_deep, loaded, named

ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "ai": "assistant", "model": "assistant", "agent": "assistant", "tool": "tool", "function": "tool",
}  # fmt: skip
TEXT = ("text", "input_text", "output_text")
LEFT_OUT = ("refusal", "reasoning", "thinking", "redacted_thinking", "summary_text", "reasoning_text")
GEMINI = {"function_call": "function_call", "functionCall": "function_call", "function_response": "tool_call_response",
          "functionResponse": "tool_call_response", "toolUse": "tool_use", "toolResult": "tool_result"}  # fmt: skip
"""Names of Gemini's and Bedrock's parts, which have no `type` → the type of the part that they hold."""
CALLS = ("tool_use", "tool_call", "function_call", "server_tool_use", "custom_tool_call", "local_shell_call")
CALL_IDS = ("id", "call_id", "tool_call_id", "toolCallId", "toolUseId")
RESULTS = (
    "tool_result", "tool_call_response", "function_call_output", "custom_tool_call_output", "local_shell_call_output",
)  # fmt: skip

_RETURNED = ("text", "json", "content", "error-text", "error-json")
"""Types of what a tool returned, as Vercel's SDK names them."""


class ChatTurn(NamedTuple):
    """One message."""

    role: Role
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[Step, ...] = ()

    def steps(self) -> list[Step]:
        """Return the steps of this turn: results of calls before it, its text, and the calls that it makes."""
        said = [Step(role=self.role, text=self.text)] if self.text else []
        return [*self.results, *said, *(Step(role="assistant", call=call) for call in self.calls)]


def turns_of(messages: Any) -> list[ChatTurn]:
    """Return the turns of a list of messages, or of JSON text of one. Raises Unreadable."""
    messages = loaded(messages)
    if isinstance(messages, str):
        raise Unreadable("not-a-record", "messages: neither a list nor JSON text of one")
    if not isinstance(messages, list):
        raise Unreadable("not-a-record", "messages: not a list")
    return [turn_of(message) for message in messages if not _is_reasoning(message)]


def _is_reasoning(message: Any) -> bool:
    """Return whether an item of OpenAI's Responses is the model's reasoning, which stands beside the messages."""
    return isinstance(message, dict) and "role" not in message and message.get("type") == "reasoning"


def turn_of(message: Any) -> ChatTurn:
    """Return the turn that a message is. Raises Unreadable."""
    if not isinstance(message, dict):
        raise Unreadable("not-a-record", "messages: one is not an object")
    message = _unwrapped(message)
    kind = message.get("type")
    if "role" not in message and kind in CALLS:
        return ChatTurn("assistant", calls=(call_of(message),))
    if "role" not in message and kind in RESULTS:
        return ChatTurn("tool", results=(_result(message),))
    role = ROLES.get(str(message.get("role") or kind))
    if role is None:
        raise Unreadable("not-a-record", "messages: a role is none of system, developer, user, assistant, tool")
    content = message.get("parts", message.get("content"))
    if role == "tool" and not _has_parts(content):
        content = result_text(content)
    text, calls, results = _content(content)
    if role == "tool" and not results:
        answer = named(message, "tool_call_id", "call_id", "tool_use_id", "name")
        failed = text if message.get("status") == "error" or message.get("is_error") is True else ""
        failed = failed or _error(message.get("error"))
        return ChatTurn("tool", results=(Step(role="tool", text=text, result_of=answer, error=failed),))
    more = message.get("additional_kwargs")  # of LangChain
    listed = message.get("tool_calls") or (more.get("tool_calls") if isinstance(more, dict) else None)
    calls += [call_of(call) for call in _listed(listed)]
    if isinstance(message.get("function_call"), dict):
        calls.append(call_of(message["function_call"]))
    return ChatTurn(role, text, tuple(calls), tuple(results))


def _unwrapped(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message of LangChain's two stored forms, `{type, data}` and `{lc, id, kwargs}`, as a plain one."""
    for field in ("data", "kwargs"):
        inner = message.get(field)
        if "role" in message or "content" in message or not isinstance(inner, dict) or "content" not in inner:
            continue
        names = message.get("id")
        kind = str(names[-1] if field == "kwargs" and isinstance(names, list) and names else message.get("type"))
        return {**inner, "type": kind.removesuffix("Chunk").removesuffix("Message").lower()}
    return message


def call_of(call: Any) -> ToolCall:
    """Return a tool call of any vendor's form. Raises Unreadable."""
    if not isinstance(call, dict):
        raise Unreadable("not-a-record", "tool_calls: one is not an object")
    inner = call.get("function")
    inside = inner if isinstance(inner, dict) else call
    name = inner if isinstance(inner, str) else named(inside, "name", "function_name", "tool_name", "toolName")
    given = next((inside[key] for key in ("arguments", "args", "input", "action") if key in inside), {})
    kind = str(call.get("type") or "tool")
    return ToolCall(
        name=name or (kind if kind in CALLS else "tool"),
        arguments=_arguments(given),
        id=_call_id(call) if kind == "function_call" else named(call, *CALL_IDS),
    )


def _call_id(call: dict[str, Any]) -> str:
    """Return a call's id. OpenAI's Responses have two: `id` is the item's, `call_id` the one that its output names."""
    return named(call, "call_id", "id")


def _arguments(given: Any) -> dict[str, Any] | str:
    given = {} if given is None else loaded(given)
    if isinstance(given, dict) and not is_deep(given):
        return given
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _content(content: Any) -> tuple[str, list[ToolCall], list[Step]]:
    """Return the text of a message's content, the calls in it and the results."""
    if content is None or isinstance(content, str):
        return plain(content or ""), [], []
    if not isinstance(content, list):
        raise Unreadable("not-a-record", "messages: content is neither text nor a list of parts")
    texts: list[str] = []
    calls: list[ToolCall] = []
    results: list[Step] = []
    for part in map(_typed, content):
        kind = _kind(part)
        text = part if isinstance(part, str) else _text_of(part) if kind in TEXT else None
        if isinstance(text, str):
            texts.append(text)
        elif kind in CALLS:
            calls.append(call_of(part))
        elif kind in RESULTS and isinstance(part, dict):
            results.append(_result(part))
        elif kind not in LEFT_OUT and "reasoning" not in str(kind).lower():
            raise Unreadable("not-text", "messages: a part is no text (a picture, a sound, a file)")
    return plain("\n".join(texts)), calls, results


def _has_parts(content: Any) -> bool:
    """Return whether a tool's message has parts, and is not itself a list or an object that the tool returned."""
    return isinstance(content, list) and all(isinstance(one, str) or _kind(one) for one in map(_typed, content))


def _kind(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def _typed(part: Any) -> Any:
    """Return a part of Gemini's or Vercel's (`tool-call`) with the type of others; any other part as it is."""
    if not isinstance(part, dict):
        return part
    if "type" in part:
        return {**part, "type": _kind(part).replace("-", "_")} if "-" in _kind(part) else part
    if isinstance(part.get("text"), str):
        return {"type": "reasoning" if part.get("thought") is True else "text", "text": part["text"]}
    name = next((one for one in GEMINI if isinstance(part.get(one), dict)), None)
    return {**part[name], "type": GEMINI[name]} if name else part


def _text_of(part: dict[str, Any]) -> Any:
    return part.get("text", part.get("content"))


def _result(part: dict[str, Any]) -> Step:
    """Return a tool's result as a step."""
    content = next((part[key] for key in ("content", "output", "response", "result") if key in part), "")
    content, wrong = _returned(content)
    text = result_text(content)
    failed = wrong or part.get("is_error") is True or part.get("isError") is True or part.get("status") == "error"
    answer = named(part, "tool_use_id", "call_id", "tool_call_id", "toolCallId", "toolUseId", "id")
    return Step(
        role="tool", text=text, result_of=answer, error=(text or "failed") if failed else _error(part.get("error"))
    )


def _returned(content: Any) -> tuple[Any, bool]:
    """Return what a tool returned, out of the wrapping of Vercel's SDK or of Microsoft's, and whether it was an
    error."""
    inner = loaded(content)
    if isinstance(inner, dict) and inner.get("type") == "function_result" and "result" in inner:
        return inner["result"], bool(inner.get("exception"))
    if isinstance(content, dict) and content.keys() >= {"type", "value"} and content["type"] in _RETURNED:
        return content["value"], str(content["type"]).startswith("error")
    return content, False


def result_text(content: Any) -> str:
    """Return what a tool returned as text: its parts, or JSON of anything else. Raises Unreadable for pictures."""
    if isinstance(content, str):
        return plain(content)
    listed = isinstance(content, list) and all(isinstance(one, dict) and "type" in _typed(one) for one in content)
    if content is None or content == []:
        return ""
    return _content(content)[0] if listed else json.dumps(content, ensure_ascii=False)


def _error(error: Any) -> str:
    """Return what an error field says, as text."""
    if isinstance(error, dict):
        return named(error, "message", "type") or json.dumps(error, ensure_ascii=False)
    return str(error) if error not in (None, False, "") else ""


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def plain(text: str) -> str:
    """Return a text with newlines alone, without blanks around it."""
    return text.replace("\r\n", "\n").strip()
