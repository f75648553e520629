"""Numbers in a base that is not ten."""

from __future__ import annotations

import re

_BASE = re.compile(
    r"\(?\s?(?P<digits>-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s?\)?\s?(?:_\s?\(?\s?(?:base )?(?P<base>\d+|[a-z]+)\s?\)?"
    r"|\(?\s?(?:in )?(?:base[ -]?(?P<said>\d+|[a-z]+)|(?P<name>binary|octal|hex|hexadecimal))\s?\)?)"
)
_PREFIXED = {"0b": 2, "0o": 8, "0x": 16}
_BASES = {
    name: number for number, name in enumerate("two three four five six seven eight nine ten eleven "
                                               "twelve".split(), 2)
} | {"sixteen": 16, "hex": 16, "hexadecimal": 16, "binary": 2, "octal": 8, "decimal": 10}  # fmt: skip


def in_a_base(text: str) -> tuple[str, int] | None:
    """Return digits and base of a tidy answer: 201_3, (201)_{3}, `201 in base three`, 0b101; None for others."""
    if prefixed := re.fullmatch(r"(0[box])([0-9A-Fa-f]+)", text):
        return in_a_base(f"{prefixed[2]}_{_PREFIXED[prefixed[1]]}")
    found = _BASE.fullmatch(" ".join(re.sub(r"\\text\b|[{}]", " ", text).split()).replace("_ ", "_"))
    if not found:
        return None
    said = found["base"] or found["said"] or found["name"]
    base = int(said) if said.isdigit() else _BASES.get(said, 0)
    digits = found["digits"]
    if not 2 <= base <= 36 or not all(int(digit, 16) < base for digit in digits if digit.isalnum()):
        return None
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    return sign + (digits.lstrip("0") or "0").upper(), base
