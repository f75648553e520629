"""Where the answer of a multi-hop question stands in a text, and which rule found it.

In this order: thinking blocks away; the last line `Answer: …`, which the prompt asks for (bold, as a heading, in tags
too); a field `answer` of JSON; `<answer>` tags; `Finish[…]` of an agent; the last `\\boxed`; words such as "the answer
to this question is …"; a first line that answers and is explained by the rest; the last line.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from parammem.domains.answers import Reading, Said, called_answer, json_answers, said_answers
from parammem.domains.math_answer import last_box
from parammem.domains.thinking import tagged, without_thinking

LONGEST = 1_000_000
"""Characters of a text that are looked through, its last ones."""
SHORT = 2000
"""Characters of a line, or of the end of a text, in which a short answer is looked for."""
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
_SENTENCE = re.compile(
    rf"\.[\"”']?\s+(?=(?:{'|'.join(_STARTS)})\b[ ,:']|"
    r"(?:is there|would you|let me|do you|if you|please|i hope|feel free)\s)",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\s{1,4}(?://|#|--?|[–—])\s{1,4}(?:the (?:passages?|text|context)|this|both|passages?|found|see|from|per|as|"
    r"because|stated|which|according|it)\b|;\s{1,4}(?:the|this|it|see|both|passages?|because|he|she|they)\b"
    r"|\s{0,4}(?:[\t|]|<br\s?/?>)\s{0,4}(?:confidence|explanation|reasoning|reason|sources?|evidence)\s?:"
    r"|<br\s?/?>|\s?【|\s\{passages?\s",
    re.IGNORECASE,
)
"""What begins a remark behind an answer on its line."""
_INITIALS = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|No|vs|Vol|ft|Inc|Ltd|Co|Prof|Gen|Col|Capt|Lt|Rev|Hon)|\.[A-Z])$"
)
_BECAUSE = re.compile(
    r"(?:,|;)\s+(?:since|as) (?=[A-Z]\w{0,30}(?:\s\w{1,30}){0,3}\s(?:is|was|are|were|has|had)\s)|"
    r"(?:,|;|\s[–—-])?\s+(?:because\b|since (?=the|he|she|it|they|both|[Pp]assage|\[)|as (?=stated|mentioned|"
    r"shown|described|"
    r"indicated|noted|given|supported|confirmed|per\b|the passage|both passages|[Pp]assage|he |she |it |they )|"
    r"according to (?=the|[Pp]assage|\[|both)|based on (?=the|[Pp]assage|\[|both)|which is (?=the|supported|stated|"
    r"confirmed)|"
    r"(?:is |are )?supported by|per (?=[Pp]assage|the passage|\[))",
)
_RELATIVE = re.compile(r",\s(?:who|whose|which|where)\s[a-z]")
"""In lower case: `As Good as It Gets` and `Ever Since the World Ended` are titles."""
_YES_NO = re.compile(r"[\W_]*(yes|no)\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_MORE = re.compile(
    r"[*_\"'”]*\s*(?:(?:[,;:]|\s[–—-])\s+(?:[a-z]|\S(?=[^\n]*\s(?:is|are|was|were|does|do|did|has|have|had|both)\s))"
    r"|\s*\([a-z]+(?:\s[^()\n]*)?\)|\.\s+(?=[^\d\s])|[.!]?\s*\n)"
)
"""What follows `yes` or `no` where that is the whole answer; not in `No, No, Nanette` or `No. 5`."""
_EXPLAINS = r",?\s(?:is|are|was|were|who|which|where|whose|as|because|since|according|[–—-])\s"
_STRONG_HEAD = re.compile(
    rf"(?:(\*\*|__)(?=\S)(?P<inner>[^*_\n]{{1,200}})(?<=\S)\1(?=\s?\(|{_EXPLAINS})|\"(?P<quoted>[^\n\"]{{1,200}})\"(?={_EXPLAINS}))"
)
"""Bold words at the head of an answer, which what follows them explains."""
_STRONG_WORDS = re.compile(r"(\*\*|__)(?=[^\s*_])(?P<inner>[^*_\n]{1,200})(?<=[^\s*_:])\1(?!\s?:)")
_SENTENCE_LINE = re.compile(r"(?:\S+\s+){3,}\S*[a-z\d)\]\"”*_][.!][\"”*_)]*(?:\[\d+\])*")
"""A line that is a sentence, and so no short answer."""
_LABEL = re.compile(r"^[\s*_#]*(?:final|conclusion|result|output|response|prediction)[*_]*\s?:[*_]*\s+", re.IGNORECASE)
_IT_IS = re.compile(r"^(?:It|That|He|She|They)(?:['’]s|\s(?:is|was|are|were))\s+(?=(?:\S+\s+){0,5}\S+\.$)")
_FINISH = re.compile(r"\b(?:Finish|Answer)\[(?P<inner>[^\[\]\n]{1,500})\]")
_SPACES = re.compile(r"\\[,;: ]|~|\\quad")
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
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
        ("a field of JSON", lambda: _last_field(text)),
        ("the answer tags", lambda: _one_line(tagged(text) or "")),
        (
            "the action that ends",
            lambda: next((found["inner"] for found in reversed([*_FINISH.finditer(text[-SHORT:])])), ""),
        ),
        ("the last box", lambda: last_box(text)),
        ("words that say the answer", lambda: _last([one for one in said if not one.label])),
        (
            "words that say the answer",
            lambda: called_answer(text[-SHORT:]),
        ),
        ("the first line, which the rest explains", lambda: _explained(text)),
        ("the last line's bold words", lambda: _bold(text)),
        ("the last line", lambda: next((line for line in reversed(_unlabelled(text)) if short_form(line)), "")),
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


def _explained(text: str) -> str:
    """Return the first line, if it is yes or no, or a few words above sentences."""
    lines = _lines(text)
    first, last = lines[0], lines[-1]
    said = _yes_or_no(first + "\n")
    if said:
        return said
    short_words = (
        len(first.split()) <= 8 and not first.endswith((":", "?", ",")) and not _SENTENCE_LINE.fullmatch(first)
    )
    heading = re.match(r"#|[-*+]\s|\d+[.)]\s|\|", first)
    return first if len(lines) > 1 and short_words and not heading and _SENTENCE_LINE.fullmatch(last) else ""


def _yes_or_no(text: str) -> str:
    """Return `yes` or `no` at the head of a text that then explains it; empty if it does not begin so."""
    found = _YES_NO.fullmatch(text[:SHORT])
    return found.group(1) if found and _MORE.match(found["rest"]) else ""


def _unlabelled(text: str) -> list[str]:
    """Return the lines without `Conclusion:` and the like, and without `It is` before a few words."""
    return [_IT_IS.sub("", _LABEL.sub("", line)) for line in _lines(text)]


def _lines(text: str) -> list[str]:
    """Return the lines that are not empty, each up to a bound."""
    return [line.strip()[:SHORT] for line in text.split("\n") if line.strip()]


def _bold(text: str) -> str:
    """Return the only bold words of a last line that is a sentence."""
    line = _lines(text)[-1]
    found = list(_STRONG_WORDS.finditer(line))
    return found[0]["inner"] if len(found) == 1 and _SENTENCE_LINE.fullmatch(line) else ""


def _last_field(text: str) -> str:
    return next((value for _, value in reversed(json_answers(text))), "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def short_form(answer: str) -> str:
    """Return an answer without what stands around it: emphasis, quotes, tags, boxes, a full stop, an explanation behind
    it."""
    text = answer.strip().strip(_INVISIBLE).strip()[:SHORT]
    before = None
    while before != text:
        before = text
        if said := _yes_or_no(text):
            return said
        if head := _STRONG_HEAD.match(text):
            text = head["inner"] or head["quoted"]
        text = _without_explanation(_TAGS.sub("", text).strip())
        text = _TEXT.sub(lambda found: _SPACES.sub(" ", found.group(1)), _LEAD.sub("", text))
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
    clauses = list(_RELATIVE.finditer(text))
    for cut in (_REMARK.search(text), _BECAUSE.search(text), clauses[0] if len(clauses) == 1 else None):
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
    text = text.removesuffix("。")
    if text.endswith(".") and not text.endswith("..."):
        text = text[:-1].rstrip()
    return text.rstrip(",;:✅✔☑️🎉👍 ").strip()


def _balanced(text: str, left: str, right: str) -> bool:
    """Return whether every pair that opens in here closes in here."""
    depth = 0
    for sign in text:
        depth += (sign == left) - (sign == right)
        if depth < 0:
            return False
    return depth == 0
