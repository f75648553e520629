"""Answers of a mathematics text that stand in no formula and behind no label: `Yes, because …`, `5 is the answer`,
`There are seven ways.`, `The day is Tuesday.`, `2.5 hours, or 150 minutes`.
"""

from __future__ import annotations

import re

from parammem.domains.answers import called_answer
from parammem.domains.math_twice import TWICE, said_twice
from parammem.domains.math_units import spelled_number

_YES_NO = re.compile(r"[\s*_#>\"]{0,10}(?P<said>yes|no)\b[*_\"]{0,4}[.,;:]?\s(?:because|since|as)\b", re.IGNORECASE)
_IS = re.compile(r"\b(?:is|are|was|were)\s(?:an?\s|the\s)?(?P<said>[A-Za-z][a-z]{2,20}(?:\s[A-Za-z]{3,20})?)\.?$")
_ROUNDED = re.compile(
    r"[^\n.]{0,40}\d[^\n]{0,20}?,? (?:which )?(?:rounds?|rounded) (?:up |down )?to \$?(?P<said>\d[\d,.]{0,20}\d|\d)"
)
_MONEY = re.compile(r"(?<![\d,.])(\d[\d,]{0,12}) dollars?,? and (\d\d?) cents?\b")


def money_in_one(text: str) -> str:
    """Return the text with `12 dollars and 50 cents` as `12.50 dollars`."""
    return _MONEY.sub(lambda found: f"{found[1]}.{int(found[2]):02} dollars", text)


def yes_or_no(text: str) -> str:
    """Return the `Yes` or `No` that a text says with its reason behind it; empty for another text."""
    found = _YES_NO.match(text)
    return found["said"] if found else ""


def rounded(text: str) -> str:
    """Return the 8 of `7.5, which rounds up to 8`; empty for another text, and where it is rounded to a place (`to 2
    decimal places`, `to the nearest cent`)."""
    found = _ROUNDED.match(text)
    return (
        found["said"] if found and not re.match(r"\s(?:decimal|significant|places|d\.p)", text[found.end() :]) else ""
    )


def in_a_sentence(text: str) -> tuple[str, str]:
    """Return (the answer, the rule) where a text's words say it in the middle of a line; ("", "") where they do not."""
    line = _last_line(text)
    if said := yes_or_no(text):
        return said, "yes or no with its reason"
    if said := called_answer(line):
        return said, "words that call it the answer"
    for found in TWICE.finditer(line):
        if said_twice(found.group()):
            return found.group(), "one quantity in two units"
    return "", ""


def in_words(text: str) -> tuple[str, str]:
    """Return (the answer, the rule) of a text without any formula or number."""
    line = _last_line(text).strip("*_ ")
    numbers = [
        word for word in re.findall(r"[a-z]{3,}(?:-[a-z]{3,})?", line.lower()) if spelled_number(word) is not None
    ]
    if len(numbers) == 1 and numbers[0] not in ("one", "zero"):
        return numbers[0], "the last line's number in words"
    found = _IS.search(line)
    return (found["said"], "the last line's last words") if found else ("", "")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")[-500:]
