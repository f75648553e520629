"""What a model thought before it answered with code, taken out: thinking blocks in their spellings.

A tag in a program is no thinking block, so this looks at fences too; answers without code have no such trouble.
"""

from __future__ import annotations

import re

from parammem.domains.code_blocks import fence_after

_NAMES = r"think|thinking|thoughts?|reason|reasoning|scratchpad|analysis"
_OPEN = re.compile(
    rf"[ \t>]*(?:<\|?(?:seed:)?(?:begin_of_)?(?:{_NAMES})(?:\s[^<>\n]{{0,200}})?\|?>|\[THINK\]|◁think▷"
    r"|(?:<\|start\|>assistant)?<\|channel\|>\s?(?:analysis|commentary)[^<\n]{0,80}<\|message\|>)",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"<\|?/(?:seed:)?(?:{_NAMES})\s?\|?>|<\|end_of_(?:{_NAMES})\|>|\[/THINK\]|◁/think▷"
    r"|<\|end\|>(?:<\|start\|>assistant)?(?:<\|channel\|>\s?final[^<\n]{0,80}<\|message\|>)?"
    r"|<\|start\|>assistant<\|channel\|>\s?final[^<\n]{0,80}<\|message\|>",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"^(?:.*[^\w\"'`(\n])?(?:{_CLOSE.pattern})[ \t]*$", re.IGNORECASE | re.MULTILINE)
"""A closing tag at the end of a line."""


def code_without_thinking(text: str) -> tuple[str, str]:
    """Return (what was answered, what was thought last and never ended).

    A closing tag without an opening one ends thinking that began with the text: chat templates open it in the prompt.
    """
    text = _behind_unopened(text)
    kept: list[str] = []
    inside, place = "", 0
    while place < len(text):
        end = text.find("\n", place)
        end = len(text) if end < 0 else end + 1
        line = text[place:end]
        opened = None if inside else _OPEN.match(line)
        if opened is None:
            inside = fence_after(line.rstrip("\n"), inside)
            kept.append(line)
            place = end
            continue
        after = _end(text, place + opened.end())
        if after is None:
            return "".join(kept), text[place + opened.end() :]
        place = after
    return "".join(kept), ""


def _end(text: str, place: int) -> int | None:
    """Return where thinking that began before this place ends, with what is nested in it; None if it does not."""
    depth = 1
    while depth:
        closed = _CLOSE.search(text, place)
        if closed is None:
            return None
        depth += sum(1 for line in text[place : closed.start()].split("\n") if _OPEN.match(line)) - 1
        place = closed.end()
    return place


def _behind_unopened(text: str) -> str:
    """Return the text behind the last closing tag that stands before any opening one."""
    opened = next(
        (found.start() for found in re.finditer(r"^", text, re.MULTILINE) if _OPEN.match(text, found.start())),
        len(text),
    )
    closing = [found.end() for found in _ALONE.finditer(text, 0, opened)]
    return text[closing[0] :] if closing and text[closing[0] :].strip() else text
