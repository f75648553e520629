"""Reading a chat answer: texts, why they ended, and tokens; and what makes an answer worthless.

Servers differ in all of it: content as text or as parts, thinking beside the text or in it, a dozen words for "it
ended". Whatever is not known to be an error keeps its text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from parammem.core.words import count
from parammem.engines.base import Completion, Request
from parammem.engines.openai.account import bound, counts
from parammem.engines.openai.faults import TOKENS
from parammem.engines.openai.http_client import printable
from parammem.engines.openai.server import FREE, Unusable, shown
from parammem.errors import RequestFailed

LENGTH = frozenset(
    "length max_tokens model_length max_output_tokens max_new_tokens max_completion_tokens token_limit "
    "model_context_window_exceeded".split()
)
"""finish_reason of a text that was cut: OpenAI, Anthropic, Mistral, Gemini and what gateways make of them."""
WITHHELD = frozenset(
    "content_filter content_filtered safety sensitive recitation prohibited_content blocklist spii refusal moderation "
    "guardrail_intervened flagged".split()
)
"""… of a text that the server does not give out."""
BROKEN = frozenset(
    "error abort aborted cancelled canceled insufficient_system_resource network_error server_error timeout failed "
    "interrupted unavailable".split()
)
"""… of a text that is not whole because something went wrong. Anything else ended as it should."""
TEXT_TYPES = frozenset({"text", "output_text", ""})
TEXT_BASE, TOKEN_BYTES = 4096, 128
"""A text may have so many characters, and so many for each token that was asked for."""
SURROGATES = re.compile("[\ud800-\udfff]")
THINKING = re.compile(r"\s*<(think|thinking|thought|reasoning|seed:think)>", re.IGNORECASE)
END = re.compile(r"</(?:think|thinking|thought|reasoning|seed:think)>[ \t]*(?=\n|$)", re.IGNORECASE)
"""The end of thinking whose beginning is in the prompt's template: alone at the end of a line."""


def read_completions(payload: Any, request: Request, draws: int) -> list[Completion]:
    """Return the completions of a chat answer, `draws` at most, in the order of their index.

    Raises:
        Unusable: it has no choices, or a text is empty or was not finished.
        RequestFailed: the server withholds the text, or spent all tokens on thinking.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list) or not payload["choices"]:
        raise Unusable(f"the answer holds no choices: {shown(payload)}", "no choices")
    choices = payload["choices"]
    if all(isinstance(choice, dict) and isinstance(choice.get("index"), int) for choice in choices):
        choices = sorted(choices, key=lambda choice: choice["index"])
    texts = [_text(choice, request) for choice in choices[:draws]]
    sizes = [len(text) for text, _ in texts]
    # Where the server counts nothing: not more tokens than bytes, nor than were asked for.
    most = bound([message.content for message in request.messages], 0, FREE)
    written = sum(min(request.max_tokens, len(text.encode()) + 1) for text, _ in texts)
    prompt, completion = counts(payload.get("usage"), replace(most, completion=written))
    return [
        Completion(text=text, finish=finish, prompt_tokens=prompt, completion_tokens=count)
        for (text, finish), count in zip(texts, shares(completion, sizes), strict=True)
    ]


def _text(choice: Any, request: Request) -> tuple[str, Any]:
    """Return a choice's text up to the first stop string, without its thinking, and why it ended: stop or length."""
    message = _message(choice)
    said = content_of(message.get("content"))
    reason = choice.get("finish_reason")
    finish = reason.strip().lower() if isinstance(reason, str) else ""
    named = printable(str(reason)[:60])
    refusal = message.get("refusal")
    if finish in WITHHELD or (not said and isinstance(refusal, str) and refusal.strip()):
        why = printable(refusal[:200]) if isinstance(refusal, str) and refusal else f"finish_reason {named!r}"
        raise RequestFailed(f"the server withheld the text ({why}); this task cannot be answered by it")
    if finish in BROKEN:
        raise Unusable(f"the text was not finished (finish_reason {named!r})", "unfinished")
    if len(said) > TEXT_BASE + TOKEN_BYTES * request.max_tokens:
        raise RequestFailed(
            f"the server wrote {len(said):,} characters, and {count(request.max_tokens, 'token')} at most were "
            "asked for; it does not keep to max_tokens: ask its documentation, or use another server"
        )
    text, open_thought = spoken(said)
    places = [text.index(end) for end in request.stop if end in text]
    if places:
        return text[: min(places)], "stop"
    if not text.strip():
        _explain_empty(message, finish, open_thought, named, bool(request.stop))
    return text, "length" if finish in LENGTH else "stop"


def _message(choice: Any) -> dict[str, Any]:
    """Return a choice's message; the text of servers that put it beside the choice's index counts as one."""
    if isinstance(choice, dict):
        if isinstance(choice.get("message"), dict):
            return choice["message"]
        if isinstance(choice.get("text"), str):
            return {"content": choice["text"]}
    raise Unusable(f"a choice holds no message: {shown(choice)}", "no message")


def _explain_empty(message: dict[str, Any], finish: str, open_thought: bool, named: str, may_be: bool) -> None:
    """Raise what an empty text means; before a stop string nothing need stand, so there it may be empty."""
    thought = open_thought or any(message.get(key) for key in ("reasoning_content", "reasoning", "thinking"))
    if open_thought or finish in LENGTH:
        spent = "thinking used up all tokens" if thought else "all tokens were used up"
        raise RequestFailed(f"{spent} before any text came (finish_reason {named!r}); raise {TOKENS}")
    if not may_be or thought:
        raise Unusable(f"the text is empty (finish_reason {named!r})", "empty")


def content_of(content: Any) -> str:
    """Return the text of a message's content: itself, or its parts that are text; half a surrogate pair becomes U+FFFD.

    Raises:
        Unusable: it is neither.
    """
    if content is None:
        return ""
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list):
        content = "".join(part for part in map(_part, content))
    if not isinstance(content, str):
        raise Unusable(f"the content is no text: {shown(content)}", "no text")
    return SURROGATES.sub("\ufffd", content)


def _part(part: Any) -> str:
    """Return the text of one part; "" for thinking and whatever else is not said."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise Unusable(f"a part of the content is no text: {shown(part)}", "no text")
    text = part.get("text")
    kind = part.get("type") or ""
    return text if isinstance(text, str) and isinstance(kind, str) and kind in TEXT_TYPES else ""


def spoken(text: str) -> tuple[str, bool]:
    """Return a text without the thinking that opens it, and whether that thinking has no end."""
    opened = THINKING.match(text)
    if opened:
        close = text.lower().find(f"</{opened[1].lower()}>", opened.end())
        if close < 0:
            return "", True
        return text[close + len(opened[1]) + 3 :].lstrip(), False
    ended = END.search(text)
    return (text[ended.end() :].lstrip(), False) if ended else (text, False)


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Return a total over several draws, shared out by their lengths: servers count the tokens of all draws
    together."""
    ends = list(accumulate(weights))
    whole = ends[-1] or 1
    upto = [0, *(round(total * end / whole) for end in ends)]
    return [later - earlier for earlier, later in pairwise(upto)]
