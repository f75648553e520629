"""Advice that a run was given, and the marked block in which it stands in the texts that the agent was sent.

A block is `<parammem-advice digest=… draw=…>text</parammem-advice>`. Whoever puts advice before an agent writes it with
`marked`; `without_advice` takes it out again, so that advice never becomes part of a task's text or identity.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from parammem.core.record import Record, digest_of

OPENING, CLOSING = "<parammem-advice", "</parammem-advice>"
_ATTRIBUTE = re.compile(r"""\b(digest|draw|adapter)\s*=\s*["']?([\w.:+-]{1,200})""")
LONGEST_TAG = 1000
"""Characters of an opening tag; what is longer is ordinary text."""


class GivenAdvice(Record):
    """A piece of advice that a run was given."""

    text: str
    digest: str
    """As its block says it; else the SHA-256 of the text. Outcomes are put together by it."""
    draw: int | None = Field(default=None, ge=0)
    """Which draw for this task it was, from 0; None if the log does not say."""
    adapter: str = ""
    """Digest of the adapter that wrote it; empty if the log does not say."""

    @model_serializer(mode="wrap")
    def _written(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in whole(self).items() if value not in ("", None) or name == "text"}


class Unmarked(NamedTuple):
    """A text, and the advice that stood in it."""

    text: str
    advice: tuple[GivenAdvice, ...]


def marked(advice: GivenAdvice) -> str:
    """Return the block in which an agent is sent a piece of advice."""
    draw = "" if advice.draw is None else f" draw={advice.draw}"
    adapter = f" adapter={advice.adapter}" if advice.adapter else ""
    return f"{OPENING} digest={advice.digest}{draw}{adapter}>\n{advice.text}\n{CLOSING}"


def without_advice(text: str, is_one: Callable[[GivenAdvice, str], bool] = lambda _advice, _block: True) -> Unmarked:
    """Return a text without its blocks of advice, and the advice. A block that does not end is ordinary text.

    Args:
        is_one: whether a block, which is given with its bare text, is taken out.
    """
    if OPENING not in text:
        return Unmarked(text, ())
    kept: list[str] = []
    part: list[str] = []
    found: list[GivenAdvice] = []
    at = 0
    while (start := text.find(OPENING, at)) >= 0:
        tag_end = text.find(">", start, start + LONGEST_TAG)
        end = text.find(CLOSING, tag_end) if tag_end >= 0 else -1
        if tag_end < 0:
            part.append(text[at : start + len(OPENING)])
            at = start + len(OPENING)
            continue
        if end < 0:
            break
        said, behind = _read(text[start:tag_end], text[tag_end + 1 : end]), end + len(CLOSING)
        if is_one(said, text[start:behind]):
            kept.append("".join([*part, text[at:start]]))
            part = []
            found.append(said)
        else:
            part.append(text[at:behind])
        at = behind
    kept.append("".join([*part, text[at:]]))
    return Unmarked(_joined(kept) if found else text, tuple(found))


def _joined(parts: list[str]) -> str:
    """Return what stands around the blocks, without the blank lines that a block leaves behind."""
    ends = [parts[0].rstrip(), *(part.strip() for part in parts[1:-1]), parts[-1].lstrip()]
    return "\n\n".join(filter(None, ends))


def _read(tag: str, body: str) -> GivenAdvice:
    named = dict(_ATTRIBUTE.findall(tag))
    text, draw = body.strip(), named.get("draw", "")
    return GivenAdvice(
        text=text,
        digest=named.get("digest") or digest_of(text),
        draw=int(draw) if draw.isascii() and draw.isdigit() and len(draw) < 10 else None,
        adapter=named.get("adapter", ""),
    )
