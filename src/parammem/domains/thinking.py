"""Thinking blocks, which are no part of an answer, and answer tags, in the spellings of different models.

Which answer is in the rest, the domains say.
"""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|thoughts|reasoning|reason|reflection|scratchpad|analysis"
_OPEN = re.compile(
    rf"<\|?(?:seed:)?(?:begin_of_)?(?P<name>{_NAMES})(?:\s[^<>\n]{{0,200}})?\|?>"
    r"|\[(?:THINK|think)\]|◁think▷|<\|channel\|>\s?(?:analysis|commentary)[^<\n]{0,80}<\|message\|>",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"<\|?/(?:seed:)?(?:{_NAMES})\s?\|?>|<\|end_of_(?:{_NAMES})\|>|\[/(?:THINK|think)\]|◁/think▷"
    r"|<\|end\|>(?:<\|start\|>assistant)?(?:<\|channel\|>\s?final[^<\n]{0,80}<\|message\|>)?"
    r"|<\|start\|>assistant<\|channel\|>\s?final[^<\n]{0,80}<\|message\|>",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|(?:end|return|start)\|>|<\|channel\|>\s?final[^<\n]{0,80}<\|message\|>", re.IGNORECASE)
_TAG = re.compile(r"[<\[](?P<name>(?:final|short)?[_ ]?answer|final|solution|output|result)[>\]](?!\()", re.IGNORECASE)
_BOX = re.compile(r"<\|begin_of_box\|>(.*?)<\|end_of_box\|>", re.DOTALL)
_ENDS = re.compile(
    r"(?<=\S)\s*(?:<[|｜](?:endoftext|end_of_text|eot_id|im_end|end[▁_]of[▁_]sentence|endofprompt)[|｜]>|</s>|<end_of_turn>|<eos>)"
)
_TOKENS = re.compile(
    r"<[|｜][a-zA-Z_▁]{2,40}[|｜]>|</s>|<(?:end|start)_of_turn>|\[/INST\]|<(?:eos|pad|bos)>|<\|(?:im_end|eot_id)\|>"
)
"""Tokens of chat templates, which some servers leave in the text. What follows the end of a turn is no answer."""


def without_thinking(text: str) -> str:
    """Remove thinking blocks and a chat template's tokens from what a model wrote, return the rest.

    Blocks may be nested. One that is never closed reaches to the end: the model was cut off while it thought.
    A closing tag without an opening one (chat templates open the block in the prompt) ends a block that began with the
    text.
    """
    marks = sorted(
        [(found.start(), found.end(), True) for found in _OPEN.finditer(text)]
        + [(found.start(), found.end(), False) for found in _CLOSE.finditer(text)]
    )
    kept: list[str] = []
    depth, place = 0, 0
    for start, end, opens in marks:
        if start < place:
            continue
        if opens:
            if depth == 0:
                kept.append(text[place:start])
            depth += 1
        elif depth == 0:
            harmony = text[start:end].startswith("<|")  # <|end|> also ends an answer; </think> ends thinking only
            kept = [*kept, text[place:start]] if harmony else []
        else:
            depth -= 1
        place = end
    if depth == 0:
        kept.append(text[place:])
    rest = _CHANNEL.sub("", "\n".join(kept) if len(kept) > 1 else "".join(kept))
    ended = _ENDS.search(rest)
    rest = rest[: ended.start()] if ended else rest
    return _TOKENS.sub("", _BOX.sub(r"\\boxed{\1}", rest))


def tagged(text: str) -> str | None:
    """Return what the last `<answer>…</answer>` holds (to the end where it does not close); None without such a tag, or
    with an empty one."""
    opened = list(_TAG.finditer(text))
    for found in reversed(opened):
        rest = text[found.end() :]
        closed = re.search(rf"[<\[]/{re.escape(found['name'])}\s?[>\]]", rest, re.IGNORECASE)
        if not closed and found.group().startswith("["):
            continue  # a placeholder, or a link
        if found["name"].lower() in ("output", "result") and (not closed or rest[closed.end() :].strip()):
            continue  # of a program that the model ran on its way
        inner = (rest[: closed.start()] if closed else rest).strip()
        if inner and inner not in {"...", "…"}:
            return inner
    return None
