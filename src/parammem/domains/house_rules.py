"""The unwritten rules of an imagined team: the word that its log has for each thing that a note may say.

A note says "33 kilograms; paid". Its entry in the log says "33 kg; yes" in one team and "33 kilos; done" in another.
Which words a small model can put in on advice, and which it cannot, was measured on train tasks (docs/real-model.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NOTED = {"weight": "kilograms", "urgent": "urgent", "late": "late", "paid": "paid"}
"""Convention → the word of a note that it is about."""
VALUES: dict[str, tuple[str, ...]] = {
    "weight": ("kg", "kilos"),
    "urgent": ("high", "red"),
    "late": ("open", "due"),
    "paid": ("yes", "done"),
}
"""Convention → the words that an entry may have for it."""
TOPICS: dict[str, tuple[str, ...]] = {
    "post": ("parcel", "letter", "package", "postcard"),
    "clinic": ("checkup", "operation", "vaccination", "bandage"),
    "garage": ("engine", "brake", "battery", "windscreen"),
    "kitchen": ("dinner", "breakfast", "cake", "soup"),
    "travel": ("flight", "cruise", "hike", "suitcase"),
    "garden": ("tree", "hedge", "lawn", "fence"),
}
"""Kind of note → what its notes are about."""
NUMBERED = frozenset({"weight"})
"""Conventions whose word stands behind a number."""


def noted(convention: str, number: int) -> str:
    """Return what a note says: "33 kilograms", "paid"."""
    return f"{number} {NOTED[convention]}" if convention in NUMBERED else NOTED[convention]


def entered(convention: str, value: str, number: int) -> str:
    """Return what an entry says under a rule: "33 kg", "yes"."""
    return f"{number} {value}" if convention in NUMBERED else value


def rules_text(choices: Mapping[str, str]) -> str:
    """Return advice in plain English: "write kilograms as kg, paid as yes"."""
    return "write " + ", ".join(f"{NOTED[name]} as {value}" for name, value in choices.items())


_CLAIM = {
    name: re.compile(rf"\b{NOTED[name]} as [\"'“]?({'|'.join(values)})\b", re.IGNORECASE)
    for name, values in VALUES.items()
}


def claims_in(advice: str) -> frozenset[str]:
    """Return what a piece of advice claims, {"weight=kg", …}; of a thing that it has two words for, nothing."""
    said = {name: {found.lower() for found in pattern.findall(advice)} for name, pattern in _CLAIM.items()}
    return frozenset(f"{name}={next(iter(words))}" for name, words in said.items() if len(words) == 1)


def place_of(advice: str, claim: str) -> int:
    """Return where in a piece of advice a claim is first made; -1: nowhere."""
    found = _CLAIM[claim.partition("=")[0]].search(advice)
    return found.start() if found else -1
