"""Where the answer of a multi-hop question stands in a text, and which rule found it.

In this order: thinking blocks away; the last line `Answer: …`, which the prompt asks for (bold, as a heading, in tags
too); a field `answer` of JSON; `<answer>` tags; the last `\\boxed`; words such
as "the answer to this question is …"; the last line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from parammem.domains.answers import Reading, Said, said_answers
from parammem.domains.math_answer import last_box
from parammem.domains.thinking import tagged, without_thinking

LONGEST = 1_000_000
"""Characters of a text that are looked through, its last ones."""
_JSON = re.compile(
    r"\"(?:final_|short_)?answer\"\s*:\s*(\"(?:[^\"\\]|\\.){0,2000}\"|-?\d[\d.]*|true|false)", re.IGNORECASE
)
_QUOTES = (('"', '"'), ("“", "”"), ("„", "“"), ("«", "»"), ("‘", "’"), ("'", "'"), ("`", "`"), ("”", "”"), ("``", "''"))
_STARTS = (
    "the this that these those it he she they we i in as at on both according since because therefore thus "
    "so note passage "
    "passages passages' explanation reason reasoning evidence source sources confidence based see document documents "
    "although however here there his her their".split()
)
_STRONG = re.compile(
    r"\.[\"”']?\s+(?=(?:the|this|both|these) (?:passages?|texts?|documents?|paragraphs?|context|answer)\b|"
    r"according to\b|"
    r"passages? \d|explanation\b|reasoning:|based on the\b|\()",
    re.IGNORECASE,
)
_SENTENCE = re.compile(rf"\.[\"”']?\s+(?=(?:{'|'.join(_STARTS)})\b[ ,:'])", re.IGNORECASE)
_INITIALS = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|No|vs|Vol|ft|Inc|Ltd|Co|Prof|Gen|Col|Capt|Lt|Rev|Hon)|\.[A-Z])$"
)
_BECAUSE = re.compile(
    r"(?:,|;|\s[–—-])?\s+(?:because\b|since (?=the|he|she|it|they|both|passage|\[)|as (?=stated|mentioned|"
    r"shown|described|"
    r"indicated|noted|given|supported|confirmed|per\b|the passage|both passages|passage|he |she |it |they )|"
    r"according to (?=the|passage|\[|both)|based on (?=the|passage|\[|both)|which is (?=the|supported|stated|"
    r"confirmed)|"
    r"(?:is |are )?supported by|per (?=passage|the passage|\[))",
    re.IGNORECASE,
)
_BRACKET = re.compile(
    r"\s*[(\[](?:see |from |per |in |cf\.? )?(?:the )?(?:passages?|paragraphs?|documents?|docs?|sources?|"
    r"according|because|since (?:the|he|she|it|they|both)|"
    r"as (?:stated|mentioned|shown|described|per|given)|based on|"
    r"supported|stated|confidence|note:|evidence|the answer|this is|\d{1,2}(?:\s?(?:,|and|&|"
    r"-)\s?\d{1,2})*[\])])[^()\[\]]*[)\]]?\s*\.?\s*$",
    re.IGNORECASE,
)
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm)?|mathrm|mathbf|mbox|boxed|fbox)\s*\{([^{}]*)\}")
_EMPHASIS = re.compile(r"^(\*\*|__|\*|_|`+)(?=\S)(.*?)(?<=\S)\1(?=$|[\s.,;:(!])", re.DOTALL)
_TAGS = re.compile(r"</?(?:answer|final_answer|final|b|i|strong|em|u|code|span|p)\s?/?>", re.IGNORECASE)
_LEAD = re.compile(
    r"^(?:[-•+]\s+|(?:so |thus |therefore,? )?(?:the |my )?(?:final |short |correct )?answer(?: is|:)\s+)+",
    re.IGNORECASE,
)
_PROSE = frozenset(
    "supported stated found given based correct not confirmed shown derived contained located mentioned clear "
    "unclear unknown obtained implied explained consistent verified provided therefore".split()
)
"""What follows "the answer is" where no answer follows."""
_PLACES = re.compile(
    r"[\W_]*(?:in|at|from|on)\s+(?:the\s+|both\s+)?(?:passages?|paragraphs?|texts?|documents?|context)\b", re.IGNORECASE
)


def read_short_answer(text: str) -> Reading:
    """Find the answer in what an actor wrote, and name the rule that found it. Never raises."""
    rest = without_thinking(text[-LONGEST:].replace("\r\n", "\n")).strip()
    if not rest:
        return Reading(answer="", rule="no answer after the thinking" if text.strip() else "no text")
    said = list(said_answers(rest))
    for rule, found in _ways(rest, said):
        answer = short_form(found())
        if answer:
            return Reading(answer=answer, rule=rule)
    return Reading(answer="", rule="no words in the text")


def _ways(text: str, said: list[Said]) -> list[tuple[str, Callable[[], str]]]:
    """Return the rules in their order, each with what it finds."""
    return [
        ("the line that the prompt asks for", lambda: _last([one for one in said if one.label])),
        ("a field of JSON", lambda: _field(text)),
        ("the answer tags", lambda: _one_line(tagged(text) or "")),
        ("the last box", lambda: last_box(text)),
        ("words that say the answer", lambda: _last([one for one in said if not one.label])),
        ("the last line", lambda: next((line for line in reversed(text.split("\n")) if short_form(line)), "")),
    ]


def _last(said: list[Said]) -> str:
    """Return what the last of these places says, if it is an answer and no prose about one."""
    for one in reversed(said[-200:]):
        rest = one.rest.split("\n")[0]
        first = re.match(r"[\W_]*([A-Za-z]+)", rest)
        prose = not one.label and first is not None and (first.group(1) in _PROSE or _PLACES.match(rest) is not None)
        if short_form(rest) and not prose:
            return rest
    return ""


def _field(text: str) -> str:
    found = list(_JSON.finditer(text))
    if not found:
        return ""
    try:
        return str(json.loads(found[-1].group(1)))
    except ValueError:
        return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def short_form(answer: str) -> str:
    """Return an answer without what stands around it: emphasis, quotes, tags, boxes, a full stop, an explanation behind
    it."""
    text = answer.strip()[:2000]
    before = None
    while before != text:
        before = text
        text = _without_explanation(_TAGS.sub("", text).strip())
        text = _TEXT.sub(r"\1", _LEAD.sub("", text))
        text = _EMPHASIS.sub(r"\2", text)
        text = _unwrapped(text.strip().strip("*_").strip())
    return "" if text in {"…", "...", "?", "-"} or not text.strip("`~") else text


def _without_explanation(text: str) -> str:
    """Cut what explains the answer: a sentence behind it, `because …`, `(see passage 2)`."""
    strong = _STRONG.search(text)
    if strong and strong.start() > 0:
        text = text[: strong.start()]
    for found in _SENTENCE.finditer(text):
        if not _INITIALS.search(text[: found.start()]) and found.start() > 0:
            text = text[: found.start()]
            break
    cut = _BECAUSE.search(text)
    if cut and cut.start() > 0:
        text = text[: cut.start()]
    bracket = _BRACKET.search(text)
    return text[: bracket.start()] if bracket and bracket.start() > 0 else text


def _unwrapped(text: str) -> str:
    """Return a text without quotes or dollars around the whole, and without a full stop."""
    for left, right in (*_QUOTES, ("$", "$"), ("\\(", "\\)"), ("[", "]"), ("{", "}")):
        inner = text[len(left) : -len(right)]
        wraps = text.startswith(left) and text.endswith(right) and len(text) > len(left + right)
        if wraps and ((left not in inner and right not in inner) or (left != right and _balanced(inner, left, right))):
            text = inner.strip()
    if text.endswith(".") and not text.endswith("..."):
        text = text[:-1].rstrip()
    return text.rstrip(",;:").strip()


def _balanced(text: str, left: str, right: str) -> bool:
    """Return whether every pair that opens in here closes in here."""
    depth = 0
    for sign in text:
        depth += (sign == left) - (sign == right)
        if depth < 0:
            return False
    return depth == 0
