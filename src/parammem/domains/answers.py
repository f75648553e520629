"""Where a text says its answer: in lines such as `**Final Answer:** …`, in words such as "the answer to this is …".

What is mathematics and what is a short phrase, the domains say; here is what both share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from parammem.core.record import Record

LONG = 2000
"""Characters of a line that are read after the word `answer`."""
MANY = 20
"""Places of one line where `answer` stands that are looked at, from its head and from its end."""
_WORD = re.compile(r"\b(?:answers?|ans|(?<=correct )(?:option|choice))\b", re.IGNORECASE)
_BEFORE = re.compile(
    r"(?:\d{1,2}[.)]\s*)?(?:(?:so|thus|therefore|hence|and|finally|then)[,:]?\s+)?(?:(?:the|my|our|your)\s+)?"
    r"(?:(?:final|correct|short|shortest|exact|best|overall|numerical|right|complete|full)\s+)*",
    re.IGNORECASE,
)
MARKUP = r"[*_`\"'#]*"
_COLON = re.compile(rf"{MARKUP}\s?(?:\([^()\n]{{0,60}}\)\s?)?{MARKUP}\s?(?:[:：=]|[–—-](?=\s))\s*[*_]*\s*")
_FIRST = r"(?:(?:therefore|thus|hence|then|simply|just|clearly|indeed|actually|now|also)\b)?,?\s?"
_VERB = re.compile(
    rf"{MARKUP}(?P<about>\s(?:to|of|for|in|here|we)\b[^:=.\n]{{0,200}}?)?{MARKUP}(?:,?\s){_FIRST}"
    r"(?:is|are|equals|was|will be|would be|must be|should be|has to be|can be|comes to|becomes|turns out to be)\b"
    rf"(?:\s{_FIRST})?\s?{MARKUP}\s?[:：=]?\s*",
    re.IGNORECASE,
)  # fmt: skip
_ABOUT_COLON = re.compile(rf"{MARKUP}\s(?:to|of|for|in)\b[^:=\n]{{1,200}}?{MARKUP}\s?[:：]\s*[*_]*\s*", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"[\s.…_*<>\[\](){}?\\$]*|<[^<>]*>|\[[^\[\]]*answer[^\[\]]*\]|(?:your|the|final) answer.?", re.IGNORECASE
)
_UNDERLINE = re.compile(r"\s*(?:-{3,}|={3,})\s*")
"""Makes the line above it a heading."""


class Reading(Record):
    """What was read out of a text as its answer, and by which rule."""

    answer: str
    """Empty when the text answers nothing."""
    rule: str


class Equality(Record):
    """Whether an answer is the gold one, and who said so."""

    equal: bool
    by: str
    """The rule that decided, or why nothing could."""


@dataclass(frozen=True)
class Said:
    """One place where a text says its answer."""

    rest: str
    """What stands behind it on its line; of a heading, the lines below up to the next empty one."""
    label: bool
    """`Answer: …` on a line of its own; otherwise words within a sentence."""
    place: int
    """Where in the text the line begins."""


def said_answers(text: str) -> Iterator[Said]:
    """Yield every place where the text says its answer, first to last. Placeholders (`Answer: …`) are none."""
    lines = text.split("\n")
    place = 0
    for number, line in enumerate(lines):
        places = list(_WORD.finditer(line))
        for found in places if len(places) < 2 * MANY else [*places[:MANY], *places[-MANY:]]:
            said = _said(lines, number, line, found, place)
            if said is not None:
                yield said
        place += len(line) + 1


def _said(lines: list[str], number: int, line: str, found: re.Match[str], place: int) -> Said | None:
    before = line[max(0, found.start() - 80) : found.start()].lstrip(" \t>#*_`•+-|\"'{(")
    starts = found.start() < 80 and _BEFORE.fullmatch(before) is not None
    after = " ".join(line[found.end() : found.end() + LONG].split(" "))
    colon = _COLON.match(after) or _ABOUT_COLON.match(after) if starts else _COLON.match(after)
    verb = _VERB.match(after)
    if colon and not (verb and verb.end() > colon.end()):
        rest = after[colon.end() :]
        below = not rest.strip(" *_`")
        return _checked(_below(lines, number) if below else rest, starts, place)
    if verb:
        rest = after[verb.end() :]
        return _checked(rest if rest.strip(" *_`") else _below(lines, number), False, place)
    if starts and not after.strip(" *_`#:."):
        return _checked(_below(lines, number), True, place)  # a heading
    return None


def _checked(rest: str, label: bool, place: int) -> Said | None:
    return None if _PLACEHOLDER.fullmatch(rest.strip()[:200]) else Said(rest, label, place)


def _below(lines: list[str], number: int) -> str:
    """Return the next lines that are not empty, up to an empty one; a formula on lines of its own as a whole."""
    found: list[str] = []
    for line in lines[number + 1 : number + 12]:
        if not found and _UNDERLINE.fullmatch(line):
            continue
        if line.strip():
            found.append(line)
        elif found and not _open("\n".join(found)):
            break
    return "\n".join(found)[:LONG]


def _open(text: str) -> bool:
    """Return whether a formula or an environment that begins in a text does not end in it."""
    return (
        text.count("\\[") > text.count("\\]")
        or text.count("\\begin{") > text.count("\\end{")
        or text.count("$$") % 2 == 1
    )
