"""Finds secrets and personal data in text, and says what kind they are, never what they are.

detect-secrets knows the forms of keys and tokens, phonenumbers telephone numbers, stdnum account, card and social
security numbers by their check digits. The rule of `parammem.validation.secrets` is asked as well: what it would keep
out of training later need not come in.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from parammem.validation.secrets import holds_secret

# Forms that are told by themselves. The others of detect-secrets need a word beside them (Cloudant, IBM, Artifactory,
# Softlayer, Keyword) or guess by entropy: on programs they are slow and cry wolf; `holds_secret` covers those words.
DETECTORS = (
    "AWSKeyDetector AzureStorageKeyDetector BasicAuthDetector DiscordBotTokenDetector GitHubTokenDetector "
    "GitLabTokenDetector JwtTokenDetector MailchimpDetector NpmDetector OpenAIDetector PrivateKeyDetector "
    "PypiTokenDetector SendGridDetector SlackDetector SquareOAuthDetector StripeDetector TelegramBotTokenDetector "
    "TwilioKeyDetector"
).split()

# Whatever the detectors find is at least so long without a space, or has one of these in it; most short texts do not.
_HINT = re.compile(r"\S{14}|@|BEGIN|earer|(?i:passw|pwd|passphrase|secret|token|key|credential)\w*[\"']?\s*[:=]")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
_PHONE = re.compile(r"\+\d[\d ().-]{6,18}\d")
_CARD = re.compile(r"\b(?:\d{4}[ -]){3}\d{4}\b|\b\d{15,16}\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_SSN = re.compile(r"\b\d{3}-\d{2}-\d{4}\b")


def find_private(text: str) -> tuple[str, ...]:
    """Kinds of secrets and personal data in the text, sorted; empty if none. A kind is words, e.g. "AWS Access Key"."""
    found = _numbers(text)
    if _HINT.search(text):
        found |= _tokens(text)
    return tuple(sorted(found))


def _tokens(text: str) -> set[str]:
    found = {detector.secret_type for detector in _detectors() if any(True for _ in detector.analyze_string(text))}
    if "@" in text and _MAIL.search(text):
        found.add("mail address")
    if not found and holds_secret(text):
        found.add("something like a secret")
    return found


def _numbers(text: str) -> set[str]:
    from stdnum import iban, luhn
    from stdnum.us import ssn

    found = set()
    if any(_is_phone(match[0]) for match in _PHONE.finditer(text)):
        found.add("telephone number")
    if any(_is_card(re.sub(r"[ -]", "", match[0]), luhn) for match in _CARD.finditer(text)):
        found.add("card number")
    if any(iban.is_valid(match[0]) for match in _IBAN.finditer(text)):
        found.add("bank account number")
    if any(ssn.is_valid(match[0]) for match in _SSN.finditer(text)):
        found.add("social security number")
    return found


def _is_phone(text: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return False


def _is_card(digits: str, luhn: Any) -> bool:
    """Known issuers only: one in ten of all long numbers has a fitting check digit."""
    known = re.match(r"4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12}", digits)
    return known is not None and known[0] == digits and luhn.is_valid(digits)


@cache
def _detectors() -> tuple[Any, ...]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    kinds = {kind.__name__: kind for kind in get_mapping_from_secret_type_to_class().values()}
    return tuple(kinds[name]() for name in DETECTORS)
