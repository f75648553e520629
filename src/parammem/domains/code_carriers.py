"""Code that stands in something else than a fence of Markdown: in HTML, in JSON, between quotes meant as a fence;
and the tokens of chat templates around an answer.
"""

from __future__ import annotations

import ast
import html
import json
import re

from parammem.domains.code_blocks import FENCE, Block, fenced_blocks

_BEGINS = re.compile(r"\A\s{0,20}(?:(?:<[|｜][\w▁]{2,40}[|｜]>|<s>|<bos>|\[/INST\])\s{0,20}){1,8}")
_ENDS = re.compile(
    r"(?:<[|｜](?:endoftext|end_of_text|eot_id|eom_id|im_end|end[▁_]of[▁_]sentence)[|｜]>|</s>|<end_of_turn>|<eos>)"
    r"[ \t]{0,20}(?=\n|\Z|<[|｜])"
)
"""Tokens that end a turn, at the end of a line."""
_MARKED = re.compile(r"<(pre|code)\b[^<>\n]{0,200}>")
_INNER = re.compile(r"</?(?:pre|code|span|br|div)\b[^<>\n]{0,200}>")
_DATA = re.compile(r"<!\[CDATA\[|\]\]>")
_FIELD = re.compile(
    r"[\"'](?:python_)?(?:final_)?(?:code|solution|program|python|answer|completion|source|implementation|content)[\"']\s{0,20}:"
    r"\s{0,20}(?=[\"'])"
)
_PYTHON = re.compile(r"'(?:[^'\\\n]|\\.)*'")
"""A string as Python prints it."""
_MANY = 20
"""Marked pieces, or fields of JSON, that are looked at: the last ones."""
_FALSE = re.compile(r"^[ \t]{0,8}('''|\"\"\"|´´´|‘‘‘|``)(?:python3?|py)[ \t]*$", re.MULTILINE | re.IGNORECASE)


def without_tokens(text: str) -> str:
    """Return an answer without the tokens of a chat template around it, and without what follows the end of the turn.

    A token in a string of the program stays: one between quotes, or in a text of several lines.
    """
    begun = _BEGINS.match(text)
    text = text[begun.end() :] if begun else text
    for found in _ENDS.finditer(text):
        before = text[: found.start()]
        if (
            before.strip()
            and not before.endswith(('"', "'"))
            and not (before.count('"""') % 2 or before.count("'''") % 2)
        ):
            return before
    return text


def with_fences(text: str) -> str:
    """Return a text in which quotes that were meant as a fence (`'''python`) are one."""
    if FENCE.search(text):
        return text
    opened = _FALSE.search(text)
    if not opened:
        return text
    lines = text[opened.end() :].split("\n")
    close = next((n for n in range(len(lines) - 1, 0, -1) if lines[n].strip() == opened[1]), None)
    if close is None:
        return text
    return "\n".join([f"{text[: opened.start()]}```python", *lines[1:close], "```", *lines[close + 1 :]])


def marked_code(text: str) -> list[Block]:
    """Return what stands in `<pre>` and `<code>`, without inner tags and with `&lt;` as `<`."""
    found = []
    for opened in [*_MARKED.finditer(text)][-_MANY:]:
        end = text.find(f"</{opened[1]}>", opened.end())
        inner = text[opened.end() : end] if end >= 0 else text[opened.end() :]
        code = html.unescape(_INNER.sub("", _DATA.sub("", inner)))
        if code.strip():
            found.append(Block(code.strip("\n"), "unnamed", end >= 0))
    return found


def code_in_json(text: str) -> list[Block]:
    """Return what stands in the strings of JSON that are named `code`, `solution` …; of a string with fences, its
    blocks."""
    found: list[Block] = []
    for field in [*_FIELD.finditer(text)][-_MANY:]:
        value = _string(text, field.end())
        if isinstance(value, str) and value.strip():
            found += fenced_blocks(value) if FENCE.search(value) else [Block(value.strip("\n"), "unnamed")]
    return found


def _string(text: str, place: int) -> object:
    """Return the string that begins at a place, as JSON or as Python prints it; None for none."""
    shown = _PYTHON.match(text, place)
    try:
        return ast.literal_eval(shown.group()) if shown else json.JSONDecoder(strict=False).raw_decode(text, place)[0]
    except (ValueError, SyntaxError):
        return None
