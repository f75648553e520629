"""Text from outside as people may be shown it: in a terminal, a log, a commit message or Markdown."""

from __future__ import annotations

import re
import unicodedata

MOST = 200
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that steer a terminal, reorder text, break lines or show nothing."""
STEERING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200E, 0x200F, 0xFEFF, *range(0xE0000, 0xE0080))
"""Format characters that reorder text or hide in it. Others join letters and signs, and stay where text has lines."""
BYTES = range(0xDC80, 0xDD00)
"""What Python makes of bytes in a file's name that are no UTF-8."""
ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")


def clean(text: str) -> str:
    """Return text without half surrogate pairs, which are no characters and cannot be written."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def shown(text: str, most: int = MOST) -> str:
    r"""Return text as one visible line: control, format and line-separator characters as escapes such as \x1b, cut.

    Args:
        most: characters that are shown at most; a longer text ends in an ellipsis.
    """
    line = "".join(_visible(character) for character in text[: most + 1])
    return line if len(line) <= most else f"{line[: most - 1]}…"


def printable(text: str) -> str:
    r"""Return text of any lines as a terminal may have it: what steers or reorders becomes an escape such as \u001b.

    These escapes are those of JSON, so that JSON which is printed still means the same.
    """
    return "".join(c if c in "\n\t" or not _steers(c) else _json_escape(c) for c in text)


def markdown(text: str, most: int = MOST) -> str:
    r"""Return text as one line of Markdown that shows exactly these characters: no link, tag or table cell."""
    return ACTIVE.sub(r"\\\1", shown(text, most))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in UNSEEN:
        return character
    code = ord(character)
    code = code - 0xDC00 if code in BYTES else code
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _steers(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in UNSEEN - {"Cf", "Cn", "Co"} or (kind == "Cf" and ord(character) in STEERING)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
