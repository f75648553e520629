"""The rules of a house in plain English: said in sentences, and read out of sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping

SAID = {
    ("day", "ordered"): ("count by the day of the order", "the day on which it was ordered counts"),
    ("day", "paid"): ("count by the day of payment", "the day on which it was paid counts"),
    ("cancelled", "in"): ("keep cancelled orders in", "cancelled orders count too"),
    ("cancelled", "out"): ("leave cancelled orders out", "cancelled orders do not count"),
    ("amount", "net"): ("give amounts net", "amounts are without tax"),
    ("amount", "gross"): ("give amounts gross", "amounts are with tax"),
    ("customer", "once"): ("count each customer once", "a customer who orders twice is one customer"),
    ("customer", "every order"): ("count a customer for every order", "a customer who orders twice counts twice"),
    ("last day", "in"): ("the last day belongs to the period", "include the last day"),
    ("last day", "out"): ("the last day does not belong to the period", "exclude the last day"),
}
"""(rule, value) → sentences that say it."""
_NO = re.compile(
    r"\b(?:not|n't|without|leave|excluded?|excluding|exclusive|ignored?|dropp?e?d?|omit|out|never|before)\b"
)
_ONCE = re.compile(r"\b(?:once|one customer|distinct|unique)\b")
_WITH = re.compile(r"\b(?:gross|with (?:tax|vat)|includ\w+ (?:tax|vat))\b")
_WITHOUT = re.compile(r"\b(?:net|without (?:tax|vat)|exclud\w+ (?:tax|vat)|before tax)\b")


def say(department: str, rules: Mapping[str, str], names: Iterable[str], rng: random.Random) -> str:
    """Return sentences that say the named rules."""
    said = [rng.choice(SAID[name, rules[name]]) for name in names]
    return f"For {department}: " + " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in said)


def read(advice: str) -> dict[str, str]:
    """Return rule → value, of the rules that a text says. Of two that contradict each other the last one counts."""
    found: dict[str, str] = {}
    for sentence in re.split(r"[.;:\n]", advice.lower()):
        found |= _rule_in(sentence)
    return found


def _rule_in(sentence: str) -> dict[str, str]:
    if "cancel" in sentence:
        return {"cancelled": "out" if _NO.search(sentence) else "in"}
    if "last day" in sentence:
        return {"last day": "out" if _NO.search(sentence) else "in"}
    if "customer" in sentence:
        return {"customer": "once" if _ONCE.search(sentence) else "every order"}
    if _WITHOUT.search(sentence) or _WITH.search(sentence):
        return {"amount": "net" if _WITHOUT.search(sentence) else "gross"}
    if re.search(r"\b(?:day|date)\b", sentence) and re.search(r"\b(?:paid|pay\w*|order\w*)\b", sentence):
        return {"day": "paid" if re.search(r"\b(?:paid|pay\w*)\b", sentence) else "ordered"}
    return {}
