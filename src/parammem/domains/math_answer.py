"""Where the answer of a mathematics text stands, and which rule found it.

In this order: thinking blocks away; within `<answer>` tags, if there are any; the last `\\boxed` (with those that
belong to it); the line that says the answer (`####`, `Answer:`, "the answer is"); the last expression.

math-verify reads expressions (`math_worker`) but does not find them: its patterns take dollars for LaTeX and a
`\\boxed{}` in a sentence about boxes for the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from parammem.domains.answers import Reading, json_answers, said_answers
from parammem.domains.math_layout import DISPLAYS, blocks, on_one_line
from parammem.domains.math_prose import in_a_sentence, in_words, money_in_one, rounded, yes_or_no
from parammem.domains.math_tidy import closing
from parammem.domains.math_units import spelled_number
from parammem.domains.thinking import tagged, without_thinking

LONGEST = 1_000_000
"""Characters of a text that are looked through, its last ones."""
_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox)\s*(?P<open>\{)|\\f?boxed\s*(?P<bare>\\?[a-zA-Z]+(?=[\s$.,;]|$)|-?[\d.,/]*\d)"
)
_NOT_IT = re.compile(
    r"\b(?:not|rather than|instead of|unlike|(?:mistake|error|trap|(?:wrong|incorrect) answer)\s(?:is|would be|of))"
    r"\s(?:simply\s|just\s)?[$\\(\[\s]*$",
    re.IGNORECASE,
)
"""Words before a box that is not the answer."""
_HTML = re.compile(r"<(?P<tag>b|strong|i|em|u|p|span|div|center|h[1-6])(?:\s[^<>\n]*)?>(?P<inner>[^<>]*)</(?P=tag)>")
_LABEL_IN_TEX = re.compile(
    r"(?P<open>\$\$?|\\\[|\\\()\s*\\(?:text(?:bf)?|math(?:rm|bf))\{\s*(?P<label>(?:final )?answer)\s*+(?::\s*+)?\}"
    r"\s*[:=]?",
    re.IGNORECASE,
)
_EMPTY = re.compile(
    r"(?!\\\{\s*\\\}$)[\s.…?_*{}\\$]*|\\(?:ldots|dots|cdots|cdot|square)|(?:\\text\{)?\s*"
    r"(?:your|the|final|insert)?[ _]?(?:final )?(?:answer|result|solution)(?: here)?\s*\}?|\\text\{\s*\}",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"(?:\s|\$|\\[()\[\],;: ]|[,;&]|\\q?quad|(?:\\text\{)?\s*\b(?:and|or)\b\s*\}?|"
    r"\*)*(?P<name>[a-zA-Z](?:_\{?\w\}?)?\s*=\s*)?"
)
_JOINER = re.compile(r"\s*+(?:[,;]|(?:,\s*+)?(?:and|or))\s*+")
"""What stands between parts of one answer."""
_WORDS_IN = re.compile(r"(?<![\\a-zA-Z{])(?!(?:sqrt|pi)(?![a-zA-Z]))[A-Za-z]{2,}(?![a-zA-Z]*\})")
_MARKS = re.compile(
    rf"\$\$|\\\[|\\\]|\\\(|\\\)|(?<!\\)\$|\\begin\{{(?:{DISPLAYS})\*?\}}(?:\{{\d+\}})?|\\end\{{(?:{DISPLAYS})\*?\}}"
)
_BARE = re.compile(
    r"(?<![\w.,])(?:(?:(?<![\d)]\s)[-+−]\s?)|(?<=[\d)]\s)[-−](?=[\d.]))?(?:[$€£¥]\s?)?"
    r"(?:(?<![:\d])\d{1,4}(?::\d{1,4})+(?![:\d])|\d+\s+\d+/\d+|(?:\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?![\d])|\d+)?(?:\.\d+|"
    r"(?<=\d))(?:\s?/\s?\d+(?:\.\d+)?)?|\d*[½⅓⅔¼¾⅕⅛])"
    r"(?:\s?(?:\\?%|\\pi\b|π|√\d+))?"
    r"|[-−]?(?:\d+)?\\[dt]?frac\s?\{[^{}]{1,80}\}\s?\{[^{}]{1,80}\}|[-−]?\d*\\?√?\\?sqrt\s?\{[^{}]{1,80}\}|"
    r"[-−]?\d*√\d+"
)
_STOP = re.compile(
    r"(?:,\s*+|(?<!\s)\s++[–—-]\s++|(?<!\s)\s++\(?|(?<!\s)\s*+;\s*+)\b(?:since|because|as|so|which|where|when|given|due|that|if|but|"
    r"hence|thus|therefore|"
    r"with|after|by|for|from|this|these|it|we|i|he|she|they|who|meaning|making|using|rounded|assuming|i\.e|"
    r"e\.g|namely|rather|instead|and not|not)\b"
    r"|;\s++(?!and\b|or\b)(?=[a-z]{2,}\b[^;]*:|check|note|see)"
    r"|(?<=\s)\((?=\d[^()]*\s(?!and\b|or\b|sin\b|cos\b|tan\b|log\b|ln\b)[a-z]{2,}\b)"
    r"|\.(?:\s++(?=[A-Z\\$(*])|\s*+$)|\.?\*\*(?=\s|$)|(?<!\s)\s++(?:\((?=[a-z]{2})|//|#)|[!?](?=\s|$)",
)
_NO_ANSWER = frozenset(
    "correct right wrong incorrect verified checked confirmed supported consistent reasonable not unique unclear based "
    "shown above below written explained obvious unknown missing justified".split()
)
_LEAD = re.compile(
    r"(?:(?:about|approximately|exactly|therefore|thus|simply|just|a total of|the|equal to|given by|found to be|"
    r"as follows|obtained as|now|value|number|fraction|that|at)[:,]?\s+)+",
    re.IGNORECASE,
)
_STRONG = re.compile(r"(\*\*|__)(?P<inner>(?!\s)[^*_\n]{1,60})\1")
_END_OF_PROOF = re.compile(r"\\(?:blacksquare|square|Box|qed|checkmark)(?![a-zA-Z])")
_REMARK = re.compile(r"\((?=[^()\n]*(?:[a-z]{3,}|\s[-+*/=×·]\s))[^()\n]*\)")
_BOLD = re.compile(r"(?<!\w)\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?!\w)")
_BULLET = r"\n\s*+(?:[-*•]|\d{1,2}[.)])\s++"
_ITEM = re.compile(r"\s*+(?:[-*•]|\d{1,2}[.)])\s++\S")
_SOLUTIONS = re.compile(r"\b(?:answers|solutions|roots|values|zeros|numbers)\b", re.IGNORECASE)
_JOINING = re.compile(r"\\text\{[^{}]*\}|\b(?:and|or)\b")
_HASHES = re.compile(r"^[^\S\n]*+####\s*+(?P<rest>\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Span:
    """A stretch of mathematics in a text."""

    start: int
    end: int
    inner: str


def read_answer(text: str) -> Reading:
    """Find the answer in what an actor wrote, and name the rule that found it. Never raises."""
    rest = _plain(money_in_one(without_thinking(text[-LONGEST:].replace("\r\n", "\n"))))
    if not rest.strip():
        return Reading(answer="", rule="no answer after the thinking" if text.strip() else "no text")
    inner = tagged(rest)
    for scope, where in ((inner, " in the answer tags"), (rest, "")):
        if scope is None:
            continue
        found = _boxes(scope) or _said(scope) or _named(in_a_sentence(scope)) or (_whole if where else _last)(scope)
        if found is not None:
            return Reading(answer=found.answer, rule=found.rule + where)
    return _named(in_words(rest)) or Reading(answer="", rule="no expression in the text")


def _plain(text: str) -> str:
    """Return a text without HTML around words, and with a label that stands in a formula, `$$\\text{Answer: } 7$$`,
    before it."""
    for _ in range(3 if "</" in text else 0):  # tags in tags
        text = _HTML.sub(lambda tag: f"**{tag['inner']}**" if tag["tag"] in ("b", "strong") else tag["inner"], text)
    return _LABEL_IN_TEX.sub(r"\g<label>: \g<open>", text) if "nswer" in text else text


def _named(found: tuple[str, str]) -> Reading | None:
    return Reading(answer=found[0], rule=found[1]) if found[0] else None


def _whole(text: str) -> Reading | None:
    """Return what stands in answer tags, if it is no long prose."""
    found = _expression(text)
    return Reading(answer=found, rule="the text") if found else _last(text)


def _boxes(text: str) -> Reading | None:
    """Return the last box that holds something, and those before it that only commas, `and` or `or` part from it."""
    inners = list(dict.fromkeys(on_one_line(box.inner) for box in _last_boxes(text)))
    if not inners:
        return None
    rule = "the last box" if len(inners) == 1 else "the last boxes, which belong together"
    return Reading(answer=", ".join(inners), rule=rule)


def _last_boxes(text: str) -> list[Span]:
    boxes = [box for box in _all_boxes(text) if not _EMPTY.fullmatch(box.inner)]
    boxes = [box for box in boxes if not _NOT_IT.search(text[max(0, box.start - 60) : box.start])] or boxes
    chain = boxes[-1:]
    for box in reversed(boxes[:-1]):
        between = text[box.end : chain[0].start]
        if len(between) > 40 or not _BETWEEN.fullmatch(between):
            break
        chain.insert(0, box)
    return chain


def last_box(text: str) -> str:
    """Return what the last box, or those that belong together, hold, as it is written; empty without one."""
    return ", ".join(dict.fromkeys(box.inner for box in _last_boxes(text)))


def _all_boxes(text: str, depth: int = 0) -> list[Span]:
    """Return boxes that close, outermost, first to last; of a box in a box alone, what that one holds."""
    found: list[Span] = []
    end, unclosed = 0, 0
    for box in _BOX.finditer(text):
        if box.start() < end:
            continue
        if box["bare"]:
            if re.search(r"\d|^\\|^[a-zA-Z]$", box["bare"]):
                found.append(Span(box.start(), box.end(), box["bare"].rstrip(".,;")))
            continue
        close = closing(text, box.start("open")) if unclosed < 3 else -1
        if close < 0:
            unclosed += 1  # each reads to the end of the text
            continue
        inner = text[box.end() : close].strip()
        nested = _all_boxes(inner, depth + 1) if depth < 3 else []
        if len(nested) == 1 and nested[0].end - nested[0].start == len(inner):
            inner = nested[0].inner
        end = close + 1
        found.append(Span(box.start(), end, inner))
    return found


def _said(text: str) -> Reading | None:
    """Return the last line that says an answer which can be read."""
    found: list[tuple[int, str, str]] = []
    for mark in _HASHES.finditer(text):
        if not _is_heading(mark["rest"], last=not text[mark.end() :].strip()):
            found.append((mark.start(), mark["rest"], "the line of ####"))
    found += [(place, value, "a field of JSON") for place, value in json_answers(text)]
    for said in said_answers(text):
        found.append(
            (said.place, said.rest.lstrip("-*• ") if said.item else said.rest, "the line that says the answer")
        )
    for _, rest, rule in sorted(found, key=lambda one: one[0])[:-50:-1]:
        answer = _expression(rest)
        if answer:
            return Reading(answer=answer, rule=rule)
    return None


def _is_heading(rest: str, last: bool) -> bool:
    """Return whether a line is a heading: `#### Step 3: add` and `#### 3. Add` are headings; `#### 18` and `#### 18
    apples` are answers."""
    if re.match(r"\d+[.)]\s+[A-Za-z]", rest):
        return not last
    if spelled_number(rest) is not None:
        return False
    return not re.match(r"(?:\*\*|\$|\\|[-+−(\[{.√½€£]|\d)", rest)


def _expression(rest: str) -> str:
    """Return the answer at the head of what follows `answer is`; empty if that is no answer but prose about one."""
    if listed := _listed("\n" + rest.strip()):
        return listed
    rest = rest.strip().lstrip("*_`>: ").strip().replace("。", ".")
    if said := yes_or_no(rest) or rounded(rest):
        return said
    rest = re.sub(r"(?<=\d) ?\\\((\\text\{[^{}]{1,40}\})\\\)", r" \1", rest)
    rest = re.sub(
        r"^(?:(?=[A-E]\)\s)|an? (?!half|third|quarter|fourth|fifth|dozen|hundred|thousand|million)(?=[a-z]{3}))",
        lambda found: "" if found.group() else "(",
        rest,
    )
    rest = _LEAD.sub("", rest) if _LEAD.match(rest) else rest
    first = re.match(r"[A-Za-z]+", rest)
    if not rest or (first and first.group().lower() in _NO_ANSWER):
        return ""
    spans = spans_of(rest)
    if spans and _only_words(rest[: spans[0].start]):
        head = rest[: spans[0].start]
        name = re.search(r"([A-Za-z](?:_\w)?)\s*=\s*$", head)
        return (name.group() if name else "") + _joined(rest, spans)
    stop = _STOP.search(rest)
    head = rest[: stop.start()] if stop and stop.start() else rest
    head = head.split("\n")[0].strip().strip('*_`"“”').rstrip(".,;: ").strip("*_` ")
    while head.endswith("}") and head.count("}") > head.count("{"):
        head = head[:-1].rstrip(' "')  # of JSON
    words = re.findall(r"(?<![\\A-Za-z{])[A-Za-z']+", head)
    if re.search(r"\d|\\[a-zA-Z]", head):
        return head if len(words) <= 6 else _first_number(head)
    return head if len(words) <= 4 else ""


def _only_words(text: str) -> bool:
    return len(text) < 80 and not re.search(r"\d|[.!?](?:\s|$)", text)


def _first_number(text: str) -> str:
    """Return the only number of a sentence; empty if it has more."""
    found = [match.group().strip() for match in _BARE.finditer(text) if match.group().strip()]
    return found[0] if len(found) == 1 else ""


def _joined(text: str, spans: list[Span]) -> str:
    """Return the first stretch of mathematics, with those that `,`, `and` or `or` joins to it."""
    found = [spans[0]]
    for span in spans[1:]:
        if not _JOINER.fullmatch(text[found[-1].end : span.start]):
            break
        found.append(span)
    unit = re.match(r"\s?(?:%|percent\b|degrees?\b)", text[found[-1].end :]) if len(found) == 1 else None
    return ", ".join(on_one_line(span.inner) for span in found) + (unit.group() if unit else "")


def _last(text: str) -> Reading | None:
    """Return the last stretch of mathematics or number, with those joined to it."""
    line = next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")
    line = _BOLD.sub(r"\1", line) if re.search(r"=", line) else line
    bare = re.sub(r"^(?:A|答案)\s*[:：]\s*(?=[-\d$\\.])", "", line.strip("*_`> "))
    if listed := _listed(_last_list(text)):
        return Reading(answer=listed, rule="the last list of solutions")
    spans = [span for span in spans_of(text) if re.search(r"[\dA-Za-z]", _END_OF_PROOF.sub("", span.inner))]
    alone = not spans_of(line) and 0 < len(bare) < 200 and not _WORDS_IN.search(_JOINING.sub("", bare))
    alone = alone and not bare.startswith("\\end{")
    if alone and re.search(r"\d|^[A-Za-z]$|\\[a-z]", bare) and not re.match(r"[-+*]\s", line):
        return Reading(answer=bare.rstrip(".,;"), rule="the last line")
    covered = _masked(text, spans)
    strong = [found for found in _STRONG.finditer(line) if _BARE.search(found["inner"])] if not spans_of(line) else []
    if len(strong) == 1:
        return Reading(
            answer=_first_number(strong[0]["inner"]) or strong[0]["inner"], rule="the last line's bold number"
        )
    numbers = [
        Span(n.start(), n.end(), n.group().strip())
        for n in _BARE.finditer(covered)
        if re.search(r"\d|[½-⅞]", n.group())
    ]
    every = sorted([*spans, *numbers], key=lambda span: span.start)
    remarks = [found.span() for found in _REMARK.finditer(covered)]
    every = [span for span in every if not any(a < span.start < b for a, b in remarks)] or every
    every = [span for span in every if not text[: span.start][-5:].endswith((" not ", ",not "))] or every
    if not every:
        return _bold_words(line)
    chain = [every[-1]]
    for span in every[-2::-1]:
        if not _JOINER.fullmatch(text[span.end : chain[0].start]):
            break
        chain.insert(0, span)
    return Reading(answer=", ".join(on_one_line(span.inner) for span in chain), rule="the last expression")


def _last_list(text: str) -> str:
    """Return the items that end a text, below a line that announces solutions; empty for another end."""
    lines = [line for line in text.split("\n") if line.strip()]
    start = len(lines)
    while start and _ITEM.match(lines[start - 1]):
        start -= 1
    head = lines[start - 1].rstrip() if start else ""
    return "\n" + "\n".join(lines[start:]) if head.endswith(":") and _SOLUTIONS.search(head) else ""


def _listed(items: str) -> str:
    """Return the formulas or numbers of a list whose items hold one each and no words; empty for another list."""
    parts = [part.strip(" .,;*") for part in re.split(_BULLET, items) if part.strip()]
    found = [_alone(part) for part in parts]
    return ", ".join(found) if len(parts) > 1 and all(found) else ""


def _alone(item: str) -> str:
    """Return the formula or the number that an item is; empty for another item."""
    spans = spans_of(item)
    if len(spans) == 1 and len(spans[0].inner) + 6 > len(item):
        return spans[0].inner
    return item if not spans and _BARE.fullmatch(item) else ""


def _bold_words(line: str) -> Reading | None:
    """Return the only bold words of the last line, where the text holds no mathematics."""
    found = _BOLD.findall(line)
    short = len(found) == 1 and len(found[0].split()) <= 4
    return Reading(answer=found[0].strip(" .:,"), rule="the last line's bold words") if short else None


def _masked(text: str, spans: list[Span]) -> str:
    """Return the text with its stretches of mathematics blanked out."""
    made, place = [], 0
    for span in spans:
        made += [text[place : span.start], " " * (span.end - span.start)]
        place = span.end
    return "".join([*made, text[place:]])


def spans_of(text: str) -> list[Span]:
    """Return the stretches of mathematics in a text: $…$, $$…$$, \\(…\\), \\[…\\], equation environments.

    Environments such as aligned or pmatrix count too where they stand in none of these.

    Dollars that are money open none: a closing one has no space before it and no digit behind it, and prose is no
    mathematics.
    """
    found: list[Span] = []
    opened: re.Match[str] | None = None
    for mark in _MARKS.finditer(text):
        sign = mark.group()
        if opened is None or (opened.group() == "$" and sign == "$" and not _closes(text, opened, mark)):
            opened = mark if sign not in {"\\]", "\\)"} and not sign.startswith("\\end") else None
        elif _pairs(opened.group(), sign):
            inner = text[opened.end() : mark.start()]
            if inner.strip():
                found.append(Span(opened.start(), mark.end(), inner.strip()))
            opened = None
        elif opened.group() == "$":
            opened = mark if sign not in {"\\]", "\\)"} and not sign.startswith("\\end") else None
    bare = _masked(text, found)
    found += [Span(start, end, bare[start:end]) for start, end in blocks(bare)]
    return sorted(found, key=lambda span: span.start)


def _pairs(left: str, right: str) -> bool:
    ends = {"$": "$", "$$": "$$", "\\[": "\\]", "\\(": "\\)"}
    begun = re.match(r"\\begin(\{[^{}]*\})", left)
    return ends.get(left) == right or (begun is not None and right == "\\end" + begun.group(1))


def _closes(text: str, opened: re.Match[str], mark: re.Match[str]) -> bool:
    """Return whether this dollar closes that one."""
    inner = text[opened.end() : mark.start()]
    if "\n\n" in inner or len(inner) > LONGEST // 500:
        return False
    if text[mark.end() : mark.end() + 1].isdigit():
        return False
    money = re.match(r"\s?\d", inner) is not None
    if money and (inner[-1:].isspace() or len(_WORDS_IN.findall(re.sub(r"\\text\{[^{}]*\}", "", inner))) > 1):
        return False
    return len(_WORDS_IN.findall(re.sub(r"\\[a-z]+\{[^{}]*\}", "", inner))) < 4
