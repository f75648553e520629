"""Detects secrets in text: keys, tokens, passwords, private keys, mail addresses. It says yes or no, never what."""

from __future__ import annotations

import math
import re
from collections import Counter

_KNOWN = re.compile(
    "|".join(
        [
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # AWS
            r"\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bgithub_pat_\w{20,}",
            r"\bglpat-[\w-]{20,}",
            r"\bsk-(?:[a-z]+-)*[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic and kin
            r"\bhf_[A-Za-z0-9]{20,}\b",
            r"\bxox[abprs]-[\w-]{10,}",  # Slack
            r"\bAIza[\w-]{30,}",  # Google
            r"\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{40,}",
            r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
            r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",  # JSON web token
            r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@",  # credentials in a URL
            r"\b[Bb]earer\s+[A-Za-z0-9._~+/-]{16,}",
            r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b",  # mail
        ]
    )
)
_NAMED = re.compile(
    r"(?i)(?:\b|_)(?:password|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credentials?)"
    r"[\"']?(\s*[:=]\s*)[\"']?([^\s\"'()\[\]{},;]{6,})"
)
_LONG = re.compile(r"[A-Za-z0-9+/_-]{32,}={0,2}")
_RANDOM_BITS = 4.0
"""Bits a character: English words and identifiers stay below 3.9, base64 of random bytes lies above 4.3 from 32 on."""


def holds_secret(text: str) -> bool:
    """True if the text seems to hold a secret.

    Named values (`password = …`) count when the value is not an ordinary word or when nothing stands around the
    sign, so that prose like "token: the next word" passes. Long runs count when they mix cases and digits and look
    random.
    """
    if _KNOWN.search(text):
        return True
    if any(_is_value(match[1], match[2]) for match in _NAMED.finditer(text)):
        return True
    return any(_is_random(match[0]) for match in _LONG.finditer(text))


def _is_value(sign: str, value: str) -> bool:
    return sign == "=" or any(mark.isdigit() or mark in "!@#$%^&*+" for mark in value)


def _is_random(run: str) -> bool:
    kinds = (str.islower, str.isupper, str.isdigit)
    if not all(any(kind(mark) for mark in run) for kind in kinds):
        return False
    counts = Counter(run)
    return -sum(n / len(run) * math.log2(n / len(run)) for n in counts.values()) >= _RANDOM_BITS
