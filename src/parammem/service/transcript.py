"""A call's messages and its answer as steps of a run: read beside the bytes that pass, and never in their way.

A streaming answer is put together from its events as they pass. What cannot be read (a picture, an unknown encoding)
is left out, and the step says so.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from parammem.core import GivenAdvice, Step, ToolCall
from parammem.experience.formats.base import Unreadable
from parammem.experience.formats.turns import ROLES, turn_of
from parammem.service.insert import stored_text, text_in

LARGEST_ANSWER = 2**24
"""Bytes of an answer that are read; the client gets all of a larger one, and the run says that it was not read."""
MOST_CHOICES = 1000
"""Of a streaming answer."""
IsOurs = Callable[[GivenAdvice], bool]
"""Whether a block holds advice that this service gave."""
CODINGS = ("", "identity", "gzip", "x-gzip", "deflate")


class AnswerReader:
    """Puts an answer together from its bytes. `messages`, `tokens`, `response_id` and `error` say what was read."""

    def __init__(self, status: int, content_type: str, coding: str) -> None:
        self.status = status
        self.messages: list[dict[str, Any]] = []
        """Messages or output items of the assistant."""
        self.tokens = 0
        self.response_id = ""
        self.error = "" if coding in CODINGS else f"the answer's encoding {coding[:20]!r} is not read here"
        self._streams = content_type.startswith("text/event-stream")
        self._inflate = zlib.decompressobj(47) if coding not in ("", "identity") else None  # 47: gzip or zlib
        self._data = bytearray()
        self._size = self._searched = 0
        self._choices: dict[int, dict[str, Any]] = {}
        self._text: list[str] = []

    def feed(self, chunk: bytes) -> None:
        """Read on. Never raises."""
        if self.error:
            return
        try:
            plain = self._inflate.decompress(chunk, LARGEST_ANSWER) if self._inflate else chunk
            self._size += len(plain)
            if self._size > LARGEST_ANSWER:
                raise ValueError(f"the answer has more than {LARGEST_ANSWER} bytes")
            self._data += plain
            if self._streams and self.status < 400:
                self._read_events()
        except Exception as error:  # whatever the bytes of a server lead to: the client gets them all the same
            self._give_up(error)

    def end(self) -> None:
        """Take note that the answer is complete, or never will be. Never raises."""
        try:
            self._put_together()
        except Exception as error:
            self._give_up(error)
        if self.status >= 400 and not self.error:
            self.error = f"upstream answered {self.status}: {bytes(self._data[:300]).decode('utf-8', 'replace')}"
        self._data.clear()

    def _put_together(self) -> None:
        if not self.error and not self._streams:
            self._read_whole()
        if self._choices:
            self.messages = [_assembled(self._choices[index]) for index in sorted(self._choices)]
        elif self._text and not self.messages:
            self.messages = [{"role": "assistant", "content": "".join(self._text)}]

    def _give_up(self, error: Exception) -> None:
        said = f": {error}" if isinstance(error, ValueError | zlib.error) else f" ({type(error).__name__})"
        self.fail(f"the answer could not be read{said}")

    def fail(self, why: str) -> None:
        """Note why there is no whole answer, or why it is not read; the first reason stands."""
        self.error = self.error or why

    def _read_whole(self) -> None:
        try:
            plain = json.loads(self._data)
        except (ValueError, RecursionError):
            if self.status < 400:
                self.fail("the answer is no JSON")
            return
        if isinstance(plain, dict) and self.status < 400:
            self._read_object(plain)

    def _read_object(self, plain: Mapping[str, Any]) -> None:
        """Read a whole answer of either interface."""
        self.response_id = plain["id"] if isinstance(plain.get("id"), str) else self.response_id
        self.tokens = _tokens(plain.get("usage")) or self.tokens
        if isinstance(plain.get("choices"), list):
            found = [one.get("message") for one in plain["choices"] if isinstance(one, dict)]
        else:
            found = plain.get("output")
        listed = found if isinstance(found, list) else []
        self.messages = [one for one in listed if isinstance(one, dict) and one.get("type") != "reasoning"]

    def _read_events(self) -> None:
        at, begin = 0, self._searched
        while (end := self._data.find(b"\n", max(at, begin))) >= 0:
            line = bytes(self._data[at:end]).strip()
            at = end + 1
            if line.startswith(b"data:") and (said := line[5:].strip()) and said != b"[DONE]":
                self._read_event(json.loads(said))
        del self._data[:at]
        self._searched = len(self._data)

    def _read_event(self, event: Any) -> None:
        if not isinstance(event, dict):
            return
        kind = event.get("type")
        if isinstance(event.get("response"), dict):  # response.created, .completed, .incomplete, .failed
            self._read_object(event["response"])
        elif kind == "response.output_text.delta":
            self._text.append(str(event.get("delta", "")))
        elif kind is None:
            self.response_id = event["id"] if isinstance(event.get("id"), str) else self.response_id
            self.tokens = _tokens(event.get("usage")) or self.tokens
            for choice in event.get("choices") or ():
                self._add_delta(choice)

    def _add_delta(self, choice: Any) -> None:
        delta = choice.get("delta") or {}
        whole = self._choices.setdefault(int(choice.get("index") or 0), {"text": [], "calls": {}})
        if len(self._choices) > MOST_CHOICES:
            raise ValueError(f"the answer has more than {MOST_CHOICES} choices")
        if isinstance(delta.get("content"), str):
            whole["text"].append(delta["content"])
        for place, part in enumerate(delta.get("tool_calls") or ()):
            call = whole["calls"].setdefault(part.get("index", place), {"id": "", "name": "", "arguments": []})
            inner = part.get("function") or {}
            call["id"] = part.get("id") or call["id"]
            call["name"] += inner.get("name") or ""
            given = inner.get("arguments") or ""  # some servers send an object, whole
            call["arguments"].append(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))


def _assembled(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message that a choice's deltas make."""
    calls = [
        {"id": one["id"], "type": "function", "function": {"name": one["name"], "arguments": "".join(one["arguments"])}}
        for one in whole["calls"].values()
    ]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(whole["text"]) or None}
    return {**message, "tool_calls": calls} if calls else message


def _tokens(usage: Any) -> int:
    """Return the tokens that upstream counted, prompt and completion together; 0 if it does not say."""
    if not isinstance(usage, dict):
        return 0
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
    parts = [usage[name] for name in names if isinstance(usage.get(name), int)]
    total = usage.get("total_tokens")
    return max(0, total if isinstance(total, int) else sum(parts))


def steps_of(messages: Iterable[Mapping[str, Any]], is_ours: IsOurs = lambda _: False) -> list[Step]:
    """Return the steps that messages are, without advice that we gave; other marks of advice are made harmless."""
    return [_clean(step, is_ours) for message in messages for step in _steps(message)]


def new_messages(
    messages: Sequence[Mapping[str, Any]], is_first: bool, is_held_upstream: bool
) -> Sequence[Mapping[str, Any]]:
    """Return what a call says that no call of its run said before.

    Of a run's first call that is what follows the task. Of a later one it is what follows the assistant's last message,
    which was recorded as an answer; or everything but instructions, where upstream keeps what was sent before.
    """
    if is_first:
        begun = next((place for place, one in enumerate(messages) if one.get("role") == "user"), -1)
    elif is_held_upstream:
        return [one for one in messages if one.get("role") not in ("system", "developer")]
    else:
        begun = max((place for place, one in enumerate(messages) if is_assistant(one)), default=len(messages) - 1)
    return messages[begun + 1 :]


def is_assistant(message: Mapping[str, Any]) -> bool:
    """Return whether a message, or an item of a response, is the model's."""
    return message.get("role") == "assistant" or message.get("type") in ("function_call", "custom_tool_call")


def _steps(message: Mapping[str, Any]) -> list[Step]:
    try:
        return turn_of(dict(message)).steps()
    except (Unreadable, ValueError, TypeError):
        role = ROLES.get(str(message.get("role")), "user")
        return [Step(role=role, text=text_in(message.get("content")), error="a part of this message is no text")]


def _clean(step: Step, is_ours: IsOurs) -> Step:
    call = step.call
    if call is not None and "parammem-advice" in f"{call.name}{call.arguments}":
        told = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
        call = ToolCall(name=stored_text(call.name, is_ours), arguments=stored_text(told, is_ours), id=call.id)
    text, error = stored_text(step.text, is_ours), stored_text(step.error, is_ours)
    if (text, error, call) == (step.text, step.error, step.call):
        return step
    return step.model_copy(update={"text": text, "error": error, "call": call})
