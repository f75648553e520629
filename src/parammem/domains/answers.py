"""Where a text says its answer: in lines such as `**Final Answer:** …`, in words such as "the answer to this is …".

What is mathematics and what is a short phrase, the domains say; here is what both share.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from parammem.core.record import Record

LONG = 2000
"""Characters of a line that are read after the word `answer`."""
MANY = 20
"""Places of one line where `answer` stands that are looked at, from its head and from its end."""
_WORD = re.compile(
    r"\b(?:answers?|ans|(?<=correct )(?:option|choice)|réponse|respuesta|antwort|risposta|resposta|odpowiedź|"
    r"antwoord|svar|cevap|ответ|відповідь)\b|答案|回答(?=\s?[:：])|答(?=\s?[:：])|答え(?=\s?[:：])|정답|답변|الإجابة|उत्तर",
    re.IGNORECASE,
)
"""Models of several languages write their label in Chinese, French … even where the question is English."""
_BEFORE = re.compile(
    r"(?:\d{1,2}[.)]\s*)?(?:(?:so|thus|therefore|hence|and|finally|then)[,:]?\s+)?(?:(?:the|my|our|your)\s+)?"
    r"(?:(?:final|correct|short|shortest|exact|best|overall|numerical|right|complete|full)\s+)*"
    r"(?:最终|最后|正确|简短)?(?:的)?",
    re.IGNORECASE,
)
MARKUP = r"[*_`\"'#]*"
_COLON = re.compile(
    rf"{MARKUP}\s?(?:\([^()\n]{{0,60}}\)\s?)?{MARKUP}\s?(?:[:：]|=(?!=)|[-=]>|[→⟶⇒]|[\])]\s?[:：]|[是为]\s?[:：]?|[–—-](?=\s))[*_]*\s*(?:[*_]+\s+)?"
)
_FIRST = (
    r"(?:(?-i:therefore|thus|hence|then|simply|just(?!\s(?:over|under|about)\b)|clearly|indeed|actually|now|also|likely|"
    r"most likely|probably|certainly|definitely|specifically)\b)?,?\s?"
)
_QUOTED = r"\"[^\"\n]{0,300}\"|“[^”\n]{0,300}”"
_ASKED = r"(?:where|who|whom|whose|when|which|what|how|why|whether)"
_AUXILIARY = r"(?:is|are|was|were|did|does|do|has|have|had|can|will|would)"
_ABOUT = (
    rf"\s(?:to|of|for)\s(?:the question )?(?:of )?{_ASKED}\b[^:=.,\n]{{0,150}}?\s{_AUXILIARY}\s[^:=.,\n]{{1,150}}?"
    rf"|\s(?:to|of|for|in|here|we)\b(?:{_QUOTED}|[^:=.\n\"“]|\"(?![^\"\n]*\")|“(?![^”\n]*”)){{0,200}}?"
    r"|,\s[^,:=.\n]{1,80},|\s\([^()\n]{1,80}\)"
)
"""What an answer is about, between the word and its verb; a question in it has a verb of its own."""
_VERB = re.compile(
    rf"{MARKUP}(?P<about>{_ABOUT})?{MARKUP}(?:,?\s){_FIRST}"
    rf"(?:is|are|equals|was|(?:will|would|must|should|can|could|may|might|has to|have to)\s{_FIRST}be|comes to|becomes|"
    r"(?:turns out|seems|appears) to be)\b"
    rf"(?:\s{_FIRST})?\s?{MARKUP}\s?[:：=]?\s*",
    re.IGNORECASE,
)  # fmt: skip
_ABOUT_COLON = re.compile(rf"{MARKUP}\s(?:to|of|for|in)\b[^:=\n]{{1,200}}?{MARKUP}\s?[:：]\s*[*_]*\s*", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"[\s.…_*<>\[\](){}?\\$]*|<[^<>]*>|\[[^\[\]]*answer[^\[\]]*\]|(?:your|the|final) answer.?", re.IGNORECASE
)
_UNDERLINE = re.compile(r"\s*(?:-{3,}|={3,})\s*")
"""Makes the line above it a heading."""
_RULE = re.compile(r"\|?(?:\s?:?-+:?\s?\|)*\s?:?-+:?\s?\|?")
"""The line below the head of a table."""


_IS_IT = re.compile(
    r"(?:^|[.:]\s|,\s)\s*(?:(?:so|thus|hence|therefore)\s)?(?P<inner>[^.,:\n]{1,80}?)\s(?-i:(?:is|was)\sthe)\s(?:(?:final|correct|right|short)\s)?"
    r"answer\b",
    re.IGNORECASE | re.MULTILINE,
)
_JSON = re.compile(
    r"\"(?:final_|short_)?answer\"\s*:\s*(\"(?:[^\"\\]|\\.){0,2000}\"|-?\d[\d.]*|true|false)", re.IGNORECASE
)


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
    below: bool
    """It stands on the lines below."""
    label: bool
    """`Answer: …` on a line of its own; otherwise words within a sentence."""
    place: int
    """Where in the text the line begins."""

    @property
    def item(self) -> bool:
        """Whether it is one item of a list, `- 7`, on a line of its own."""
        return self.below and re.fullmatch(r"[-*•] \S[^\n]*", self.rest.strip()) is not None


def said_answers(text: str) -> Iterator[Said]:
    """Yield every place where the text says its answer, first to last. Placeholders (`Answer: …`) are none."""
    lines = text.split("\n")
    place = 0
    for number, line in enumerate(lines):
        if '"' in line and _JSON.search(line):
            place += len(line) + 1
            continue  # see json_answers
        if line.lstrip().startswith("|"):
            cell = _cell(lines, number)
            if cell:
                yield Said(cell, False, True, place)
            place += len(line) + 1
            continue
        places = list(_WORD.finditer(line))
        for found in places if len(places) < 2 * MANY else [*places[:MANY], *places[-MANY:]]:
            said = _said(lines, number, line, found, place)
            if said is not None:
                yield said
        place += len(line) + 1


def json_answers(text: str) -> list[tuple[int, str]]:
    """Return (place, value) of every field `answer` of JSON in a text."""
    found = []
    for field in _JSON.finditer(text):
        try:
            found.append((field.start(), str(json.loads(field.group(1)))))
        except ValueError:
            continue
    return found


def called_answer(text: str) -> str:
    """Return what the last words of the form "… is the answer" call so; empty without such."""
    return next((one["inner"] for one in reversed([*_IS_IT.finditer(text)])), "")


def _cell(lines: list[str], number: int) -> str:
    """Return what a row of a table says beside the word `answer`; of a column with that head, its last cell. Empty if
    none."""
    cells = _cells(lines[number])
    place = next(
        (n for n, cell in enumerate(cells) if _BEFORE.fullmatch(_WORD.sub("", cell)) and _WORD.search(cell)), None
    )
    if place is None:
        return ""
    below = lines[number + 1 : number + 2]
    if not below or not _RULE.fullmatch(below[0].strip()):
        return cells[place + 1] if place + 1 < len(cells) else ""
    rows = list(itertools.takewhile(lambda line: line.lstrip().startswith("|"), lines[number + 2 : number + 102]))
    last = _cells(rows[-1]) if rows else []
    return last[place] if place < len(last) else ""


def _cells(line: str) -> list[str]:
    return [cell.strip(" *_`") for cell in line.strip()[:LONG].strip("|").split("|")]


def _said(lines: list[str], number: int, line: str, found: re.Match[str], place: int) -> Said | None:
    before = line[max(0, found.start() - 80) : found.start()].lstrip(" \t>#*_`•+-=|\"'{([🔹🔸✅👉")
    starts = found.start() < 80 and _BEFORE.fullmatch(before) is not None
    after = " ".join(line[found.end() : found.end() + LONG].split(" "))
    colon = _COLON.match(after) or _ABOUT_COLON.match(after) if starts else _COLON.match(after)
    verb = _VERB.match(after)
    if colon and not (verb and verb.end() > colon.end()):
        return _checked(after[colon.end() :], lines, number, starts, place)
    if verb:
        return _checked(after[verb.end() :], lines, number, False, place)
    if starts and not after.strip(" *_`#:.=-"):
        return _checked("", lines, number, True, place)  # a heading
    return None


def _checked(rest: str, lines: list[str], number: int, label: bool, place: int) -> Said | None:
    """Return what a line says behind its label, or the lines below it where it says nothing; None for a placeholder."""
    below = not rest.strip(" *_`")
    rest = _below(lines, number) if below else rest
    return None if _PLACEHOLDER.fullmatch(rest.strip()[:200]) else Said(rest, below, label, place)


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
