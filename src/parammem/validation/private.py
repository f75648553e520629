"""Finds secrets and personal data in text, and says what kind they are, never what they are.

Secrets and mail addresses are found by `parammem.validation.secrets`, the one detector of the project; here are the
personal numbers, each by a kept library: telephone numbers by phonenumbers, account, card and social security numbers
by python-stdnum's check digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from parammem.validation.secrets import TOO_MANY, find_secrets

# Each pattern takes at most a few dozen characters, so that a search is linear in the text.
_PHONE = re.compile(r"\+\d[\d ().-]{6,18}\d")
_CARD = re.compile(r"(?<![\d.])\b(?:(?:\d{4}[ -]){3}\d{4}|\d{15,16})\b")  # the digits of a fraction are no card
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_SSN = re.compile(r"\b\d{3}-\d{2}-\d{4}\b")
_ISSUERS = re.compile(r"4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12}")

MOST_NUMBERS = 2000
"""Different numbers of one form that are checked in a text; a check takes tens of microseconds."""


def find_private(text: str) -> tuple[str, ...]:
    """Return kinds of secrets and personal data in the text, sorted; empty if none. A kind is words, e.g. "AWS Access
    Key".

    A text with more than MOST_NUMBERS different numbers that have the form of personal ones, none of them valid so
    far, is of the kind TOO_MANY: what was not looked at is not said to be clean.
    """
    found = set(find_secrets(text))
    if not _likely().search(text.encode("utf-8", "replace")):
        return tuple(sorted(found))
    for kind, pattern, is_valid in _NUMBERS:
        if pattern.search(text):
            found |= _numbers(kind, pattern, is_valid, text)
    return tuple(sorted(found))


@cache
def _likely() -> Any:
    """Return RE2's pattern of what every number of these forms holds, in digits of any script.

    RE2 looks through a text in a small part of the time that the four patterns take, and most texts hold none.
    """
    import re2

    digit = r"\p{Nd}"
    parts = [
        rf"\+{digit}",
        rf"{digit}{{4}}[ -]?{digit}{{4}}",
        rf"[A-Z]{{2}}{digit}{{2}}",
        rf"{digit}-{digit}{{2}}-{digit}",
    ]
    return re2.compile("|".join(parts).encode())


def _numbers(kind: str, pattern: re.Pattern[str], is_valid: Callable[[str], bool], text: str) -> set[str]:
    seen: set[str] = set()
    for match in pattern.finditer(text):
        if match[0] in seen:
            continue
        if is_valid(match[0]):
            return {kind}
        seen.add(match[0])
        if len(seen) == MOST_NUMBERS:
            return {TOO_MANY}
    return set()


def _is_phone(text: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return False


def _is_card(text: str) -> bool:
    """Return whether a text is a card's number. Known issuers only: one in ten of all long numbers has a fitting check
    digit."""
    from stdnum import luhn

    digits = re.sub(r"[ -]", "", text)
    return _ISSUERS.fullmatch(digits) is not None and luhn.is_valid(digits)


def _is_account(text: str) -> bool:
    from stdnum import iban

    return iban.is_valid(text)


def _is_social(text: str) -> bool:
    from stdnum.us import ssn

    return ssn.is_valid(text)


_NUMBERS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("telephone number", _PHONE, _is_phone),
    ("card number", _CARD, _is_card),
    ("bank account number", _IBAN, _is_account),
    ("social security number", _SSN, _is_social),
)
