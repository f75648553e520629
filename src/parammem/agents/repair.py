"""What a teacher wrote → a label that can be trained on.

Real output lacks tags and list numbers, leaves fences open and special tokens in, and chats before and after. Of 1,312
published reflections 23% had no numbered list, 45% lacked their tag, 9% had unbalanced fences; 1,246 held a `</s>`.

What is mended is said by name; what cannot be mended is no label.
"""

from __future__ import annotations

import re
from typing import Literal

from parammem.core.record import Record
from parammem.domains.code_blocks import FENCE, fence_after, open_fence

Repair = Literal[
    "thinking", "special tokens", "tag missing", "tag open", "wrapped in a fence", "chatter", "numbers", "cut short",
    "fence closed",
]  # fmt: skip
LEAST_WORDS = 12
"""A shorter text says nothing of a task."""

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_SPECIAL = re.compile(
    r"</?s>|<\|[^|>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|<(?:pad|unk|bos|eos|mask)>|<(?:start|end)_of_turn>|</think>|\ufffd",
    re.IGNORECASE,
)
_WRAPPED = re.compile(
    r"\s*(`{3,}|~{3,})[ \t]*+(?:text|markdown|md|plaintext)?[ \t]*+\n(?P<inner>.*?)\n?\1\s*", re.DOTALL | re.IGNORECASE
)
_ITEM = re.compile(
    r"^(?:#{1,4}\s*)?(?:\*\*)?(?:(?:Pitfall|Mistake|Error)\s*)?(\d{1,2})[.):](?:\*\*)?\s+", re.IGNORECASE
)
_BULLET = re.compile(r"^(?:[-*•–]|\([a-z0-9]\))\s+")
_FAREWELL = re.compile(
    r"^(?:let me know|i hope|hope this|feel free|these are the|please note|if you)\b.*", re.IGNORECASE
)
_REFUSAL = re.compile(r"\b(?:i(?:'m| am) sorry|i can(?:no|')t (?:help|assist|provide)|as an ai\b)", re.IGNORECASE)

_SENTENCE_END = re.compile(r"(?<=[^\W\d_`)\]])[)\"'`]*[.!?][)\"'`]*(?=\s)")
"""Not the point of a number or of a list."""


class Mended(Record):
    """A label and what was done to it."""

    text: str
    repairs: tuple[Repair, ...]


def mend(text: str, tag: str, cut: bool = False) -> Mended | None:
    """Return the label in what a teacher wrote: a numbered list, tags and chatter gone, every fence closed.

    Args:
        tag: the tag it was asked to write between, e.g. pitfalls.
        cut: the text ended because it grew too long; then its last item is not whole, and goes.

    Returns:
        None if there is no label in it: it is empty or a refusal, has too few words, or nothing whole is left.
    """
    done: list[Repair] = []
    text = _swap(_THINKING, text, done, "thinking")
    text = _swap(_SPECIAL, text, done, "special tokens")
    text = _between(text, tag, done)
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped and not open_fence(wrapped["inner"]):
        text = wrapped["inner"]
        done.append("wrapped in a fence")
    items = _items(text, done)
    open_end = items and open_fence(items[-1]) != ""
    if items and (cut or (open_end and len(items) > 1)):
        items = items[:-1]
        done.append("cut short")
    made = "\n".join(f"{number}. {_closed(item, done)}" for number, item in enumerate(items, 1))
    if len(re.findall(r"\w+", made)) < LEAST_WORDS or (len(items) == 1 and _REFUSAL.search(made)):
        return None
    return Mended(text=made, repairs=tuple(dict.fromkeys(done)))


def _swap(pattern: re.Pattern[str], text: str, done: list[Repair], name: Repair) -> str:
    made = pattern.sub("", text)
    if made != text:
        done.append(name)
    return made


def _between(text: str, tag: str, done: list[Repair]) -> str:
    """Return what stands between the tags; up to the end where the second is missing, from the start where the first
    is."""
    start = re.search(rf"<{tag}>", text, re.IGNORECASE)
    end = re.search(rf"</{tag}>", text[start.end() if start else 0 :], re.IGNORECASE)
    if not start and not end:
        done.append("tag missing")
    elif not start or not end:
        done.append("tag open")
    inner = text[start.end() if start else 0 :]
    return (inner[: end.start()] if end else inner).strip()


def _items(text: str, done: list[Repair]) -> list[str]:
    """Return the items of the list: at numbers, else bullets, else paragraphs. What comes before the first is
    chatter."""
    lines = _without_farewell(text.splitlines(), done)
    for mark, numbered in ((_ITEM, True), (_BULLET, False)):
        before, items = _split(lines, mark)
        if items:
            if before.strip():
                done.append("chatter")
            if not numbered:
                done.append("numbers")
            return items
    done.append("numbers")
    return _paragraphs("\n".join(lines))


def _split(lines: list[str], mark: re.Pattern[str]) -> tuple[str, list[str]]:
    """Return (what comes before the first item, the items), looking for marks at the left margin and outside fences
    alone."""
    before: list[str] = []
    items: list[list[str]] = []
    inside = ""
    for line in lines:
        match = None if inside else mark.match(line)
        inside = fence_after(line[match.end() :] if match else line, inside)
        if match:
            items.append([line[match.end() :]])
        else:
            (items[-1] if items else before).append(line)
    return "\n".join(before), [made for made in ("\n".join(item).strip() for item in items) if made]


def _paragraphs(text: str) -> list[str]:
    """Return paragraphs; a fenced block belongs to the one before it."""
    items: list[str] = []
    for part in re.split(r"\n\s*\n", text):
        inside = bool(items) and bool(open_fence(items[-1]) or FENCE.match(part.lstrip("\n")))
        if inside:
            items[-1] += "\n" + part
        elif part.strip():
            items.append(part.strip())
    return items


def _without_farewell(lines: list[str], done: list[Repair]) -> list[str]:
    kept = list(lines)
    while kept and (not kept[-1].strip() or _FAREWELL.match(kept[-1].strip())):
        if kept[-1].strip():
            done.append("chatter")
        kept.pop()
    return kept


def _closed(item: str, done: list[Repair]) -> str:
    fence = open_fence(item)
    if not fence:
        return item
    done.append("fence closed")
    return f"{item}\n{fence}"


def whole_sentences(text: str) -> str:
    """Return the sentences of prose that are whole: up to the last full stop, question or exclamation mark after a
    word. Empty where fewer than LEAST_WORDS words are left, or a fence would stay open.
    """
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    kept = text[: ends[-1]].strip() if ends else ""
    return kept if len(re.findall(r"\w+", kept)) >= LEAST_WORDS and not open_fence(kept) else ""
