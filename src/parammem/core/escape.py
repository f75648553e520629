"""Text from outside as people may be shown it: in a terminal, a log, a commit message or Markdown."""

from __future__ import annotations

import re
import unicodedata

MOST = 200
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that steer a terminal, reorder text, break lines or show nothing."""
ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")


def shown(text: str, most: int = MOST) -> str:
    r"""Return text as one visible line: control, format and line-separator characters as escapes such as \x1b, cut.

    Args:
        most: characters that are shown at most; a longer text ends in an ellipsis.
    """
    line = "".join(_visible(character) for character in text[: most + 1])
    return line if len(line) <= most else f"{line[: most - 1]}…"


def markdown(text: str, most: int = MOST) -> str:
    r"""Return text as one line of Markdown that shows exactly these characters: no link, tag or table cell."""
    return ACTIVE.sub(r"\\\1", shown(text, most))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in UNSEEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
