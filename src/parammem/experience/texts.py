"""What text of third parties may hold: more than advice of our own, as statements of real tasks do."""

from __future__ import annotations

import re
import unicodedata

SEEN = frozenset(
    "\n\t\r"
    "\u00ad\u200b\u2060\ufeff"  # where a word may or may not be broken: in statements of LeetCode and of web pages
    "\u200c\u200d\u200e\u200f\u061c"  # joiners and directions of single letters: Persian, Hindi, Arabic, emoji
)
"""Characters without a shape that ordinary text holds. Those that turn whole runs of text around are not among them."""
PAIRS = 3
"""Wrongly decoded pairs from which on a text is garbled, where the whole of it does not tell."""
_PAIR = re.compile("[\u00c3\u00c2\u00e2\u00d0\u00d1][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")


def hides_characters(text: str) -> bool:
    """Return whether a text holds an invisible character that ordinary texts do not have."""
    if text.isascii() and text.isprintable():
        return False
    return any(mark not in SEEN and unicodedata.category(mark) in {"Cc", "Cf", "Co", "Cs", "Cn"} for mark in text)


def is_garbled(text: str) -> bool:
    """Return whether bytes were decoded wrongly, or no letter or digit is in it. Brackets and formulas are no
    garbage."""
    if "\ufffd" in text or _was_utf8(text):
        return True
    visible = [mark for mark in text[:10_000] if not mark.isspace()]
    return len(visible) > 8 and not any(mark.isalnum() for mark in visible)


def _was_utf8(text: str) -> bool:
    """Return whether UTF-8 was read as Latin-1 or Windows-1252: then the way back gives UTF-8 again, or pairs pile
    up."""
    found = len(_PAIR.findall(text))
    if not found:
        return False
    for encoding in ("latin-1", "cp1252"):
        try:
            text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return True
    return found >= PAIRS
