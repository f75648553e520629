"""Where a run's advice stands in the body of a call, and how it is kept out of the texts that are stored.

The block is appended to the text of the first user message: every chat template has that role (not all have a system
role), it stays where it is in all later calls of the conversation, so that the server's prompt cache holds, and what
the client wrote before it is left as it is. In a list of parts it is appended to the last part that is text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parammem.core import GivenAdvice
from parammem.core.advice import CLOSING, OPENING, marked, without_advice
from parammem.experience.formats.turns import TEXT

GAP = "\n\n"
NEUTRAL = ((OPENING, "&lt;parammem-advice"), (CLOSING[:-1], "&lt;/parammem-advice"))
"""Marks in a text from outside → what they are stored as, so that nobody reads them as advice that was given."""


def messages_in(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a call to /chat/completions or /responses as one list, instructions first; what is no
    message is left out."""
    given = body.get("messages", body.get("input"))
    listed = [{"role": "user", "content": given}] if isinstance(given, str) else given
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    told = body.get("instructions")
    return [{"role": "system", "content": told}, *found] if isinstance(told, str) and told else found


def text_in(content: Any) -> str:
    """Return the text of a message's content: all of its text parts, each on a line of its own."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part if isinstance(part, str) else _part_text(part) for part in content]
    return "\n".join(text for text in texts if text)


def asked_in(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the first user message; empty if there is none, or no text in it."""
    return next((text_in(one.get("content")).strip() for one in messages if one.get("role") == "user"), "")


def with_block(body: Mapping[str, Any], block: str) -> dict[str, Any]:
    """Return the body with a block of advice in its first user message; all else is as it was.

    Raises:
        ValueError: there is no user message.
    """
    name = "messages" if "messages" in body else "input"
    given = body.get(name)
    if isinstance(given, str):
        return {**body, name: given + GAP + block}
    listed = given if isinstance(given, list) else []
    place = next((i for i, one in enumerate(listed) if isinstance(one, dict) and one.get("role") == "user"), None)
    if place is None:
        raise ValueError("no user message")
    message = listed[place]
    kind = "text" if name == "messages" else "input_text"
    content = _content_with(message.get("content"), block, kind)
    return {**body, name: [*listed[:place], {**message, "content": content}, *listed[place + 1 :]]}


def stored_text(text: str, is_ours: Callable[[GivenAdvice], bool] = lambda _: False) -> str:
    """Return a text as it may be stored: without the blocks that we gave, and with all other marks made harmless.

    A block that somebody else wrote is ordinary text: it is kept, and nobody reads it as advice later.
    """
    left, ours = without_advice(text, lambda one, block: is_ours(one) and block == marked(one))
    text = left.strip() if ours else text
    for mark, harmless in NEUTRAL:
        text = text.replace(mark, harmless)
    return text


def _content_with(content: Any, block: str, kind: str) -> Any:
    if isinstance(content, str):
        return content + GAP + block
    parts = list(content) if isinstance(content, list) else []
    last = next((i for i in reversed(range(len(parts))) if isinstance(parts[i], dict) and _part_text(parts[i])), None)
    if last is None:
        return [*parts, {"type": kind, "text": block}]
    parts[last] = {**parts[last], "text": parts[last]["text"] + GAP + block}
    return parts


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type") in TEXT else None
    return text if isinstance(text, str) else ""
