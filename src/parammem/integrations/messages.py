"""Messages of agents as steps: those of OpenAI's two interfaces, Anthropic's blocks, and objects that dump to them.

Logs in files are read by `experience.formats`, which refuses what it cannot map. Here a picture becomes its kind in
brackets, and what is no message is left out: a run that is going on is reported as well as it can be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from parammem.core import Step, ToolCall
from parammem.core.step import Role

ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "ai": "assistant", "tool": "tool", "function": "tool",
}  # fmt: skip
TEXTS = ("text", "input_text", "output_text")
THOUGHTS = ("reasoning", "thinking", "redacted_thinking")
CALLS = ("function_call", "custom_tool_call", "tool_use", "tool_call")
RESULTS = ("function_call_output", "custom_tool_call_output", "tool_result")


def steps_of(messages: Iterable[Any]) -> list[Step]:
    """Return the steps that messages are, in order: results of calls in one, its text, the calls that it makes."""
    return [step for message in messages for step in _steps(plain(message))]


def plain(message: Any) -> Mapping[str, Any]:
    """Return a message as a mapping; an empty one if it is nothing of the kind."""
    if isinstance(message, Mapping):
        return message
    return message.model_dump(mode="json") if hasattr(message, "model_dump") else {}


def text_of(content: Any) -> str:
    """Return the text of a message's content, which is text or a list of parts."""
    parts = content if isinstance(content, list) else [content]
    return "\n".join(filter(None, map(_part_text, parts))).strip()


def with_text(content: Any, text: str, kind: str = "text") -> Any:
    """Return a message's content with a text behind it: as one more part where it is a list of parts."""
    if isinstance(content, list):
        return [*content, {"type": kind, "text": text}]
    return f"{content}\n\n{text}"


def _part_text(part: Any) -> str:
    if part is None or isinstance(part, str):
        return part or ""
    part = plain(part)
    kind = str(part.get("type") or "")
    if kind in TEXTS:
        return str(part.get("text") or "")
    return "" if kind in (*THOUGHTS, *CALLS, *RESULTS) else f"[{kind or 'unknown'}]"


def _steps(message: Mapping[str, Any]) -> list[Step]:
    kind = message.get("type")
    if "role" not in message:
        return [_call(message)] if kind in CALLS else [_result(message)] if kind in RESULTS else []
    role, content = ROLES.get(str(message["role"]), "assistant"), message.get("content")
    parts = [plain(part) for part in content] if isinstance(content, list) else []
    if role == "tool":
        return [_result(message)]
    text = text_of(content)
    called = [part for part in parts if part.get("type") in CALLS] + list(message.get("tool_calls") or [])
    return [
        *(_result(part) for part in parts if part.get("type") in RESULTS),
        *([Step(role=role, text=text)] if text else []),
        *(_call(plain(call)) for call in called),
    ]


def _call(call: Mapping[str, Any]) -> Step:
    function = call.get("function")
    inner = function if isinstance(function, Mapping) else call
    name = function if isinstance(function, str) else inner.get("name")
    given = next((inner[key] for key in ("arguments", "args", "input") if inner.get(key) is not None), {})
    if isinstance(given, str):
        with suppress(ValueError):  # what is no JSON is kept as the text that it is
            given = loaded if isinstance(loaded := json.loads(given), dict) else given
    arguments = given if isinstance(given, dict | str) else json.dumps(given, default=str)
    named = str(call.get("call_id") or call.get("id") or "")
    return Step(role="assistant", call=ToolCall(name=str(name or "tool"), arguments=arguments, id=named))


def _result(result: Mapping[str, Any]) -> Step:
    content = next((result[key] for key in ("content", "output") if result.get(key) is not None), "")
    text = text_of(content) if isinstance(content, str | list) else json.dumps(content, ensure_ascii=False, default=str)
    error = result.get("error")
    said = error.get("message") if isinstance(error, Mapping) else error
    failed = (text or "failed") if result.get("is_error") is True or result.get("status") == "error" else ""
    answered = str(next((result[key] for key in ("tool_call_id", "call_id", "tool_use_id") if result.get(key)), ""))
    return Step(role="tool", text=text, result_of=answered, error=str(said or failed))
