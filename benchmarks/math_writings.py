"""Real MATH answers written otherwise, with the right verdict known by construction: who judges them right?

`benchmarks.graders` runs this. Kinds that keep the value ask whether a right answer is known again; kinds that change
it, whether a wrong one passes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Way = Callable[[str], str | None]
"""A gold answer → another writing of it (or of another value); None where the kind does not apply."""
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_PAIR = re.compile(r"(?:\\left)?([(\[])\s*([^,()\[\]{}]+),\s*([^,()\[\]{}]+?)\s*(?:\\right)?([)\]])")


@dataclass(frozen=True)
class Written:
    """One pair, and whether it is right."""

    kind: str
    gold: str
    answer: str
    right: bool


def whole(pattern: str, write: Callable[[re.Match[str]], str | None]) -> Way:
    """Return a way that applies where the whole answer matches."""

    def way(gold: str) -> str | None:
        found = re.fullmatch(pattern, gold.strip())
        return write(found) if found else None

    return way


def _grouped(mark: str) -> Way:
    return whole(r"-?\d{4,}", lambda found: f"{int(found.group()):,}".replace(",", mark))


def _as_decimal(gold: str) -> str | None:
    found = _FRACTION.fullmatch(gold)
    if not found:
        return None
    below = int(found[3])
    while below > 1 and below % 2 == 0:
        below //= 2
    while below > 1 and below % 5 == 0:
        below //= 5
    value = Fraction(int(found[2]), int(found[3]))
    return f"{found[1]}{float(value)!r}" if below == 1 and len(repr(float(value))) < 10 else None


def _as_mixed(gold: str) -> str | None:
    found = _FRACTION.fullmatch(gold)
    if not found or int(found[2]) <= int(found[3]):
        return None
    above, below = divmod(int(found[2]), int(found[3])), int(found[3])
    return f"{found[1]}{above[0]} {above[1]}/{below}" if above[1] else None


def _members(gold: str) -> list[str]:
    plain = not re.search(r"[()\[\]=]|\\text|\\begin|\\{|\\!|\{,\}", gold)
    members = [part.removeprefix("\\ ").strip() for part in re.split(r",(?!\d{3})", gold)] if plain else []
    return members if len(set(members)) > 1 and all(members) else []


def _listed(write: Callable[[list[str]], str]) -> Way:
    return lambda gold: write(_members(gold)) if _members(gold) else None


def _pair(write: Callable[[str, str, str, str], str | None]) -> Way:
    return whole(_PAIR.pattern, lambda found: write(*found.groups()))


def _other_bracket(left: str, one: str, two: str, right: str) -> str | None:
    if "infty" in one + two:
        return None
    return f"{'[' if left == '(' else '('}{one},{two}{right}"


def _turned(left: str, one: str, two: str, right: str) -> str | None:
    return f"{left}{two},{one}{right}" if one != two else None


def _rows(gold: str) -> str | None:
    return gold.replace("\\\\", "\\\\[2pt]").replace("pmatrix", "bmatrix") if "\\\\" in gold else None


RIGHT: dict[str, Way] = {
    "thousands by thin space (LaTeX)": _grouped("\\,"),
    "thousands by thin space (Unicode)": _grouped("\u202f"),
    "thousands by comma": _grouped(","),
    "fraction as decimal": _as_decimal,
    "fraction as mixed number": _as_mixed,
    "list in another order": _listed(lambda members: ", ".join(reversed(members))),
    "list with and": _listed(lambda members: " \\text{ and } ".join(members)),
    "root without braces": lambda gold: re.sub(r"\\sqrt\{(\d)\}", r"\\sqrt \1", gold) if "\\sqrt{" in gold else None,
    "row breaks with height": _rows,
    "unit added": whole(r"-?\d+", lambda found: f"{found.group()} \\text{{ cm}}^2"),
    "unit left out": whole(r"(-?[\d.]+)\s*\\(?:text|mbox)\s*\{[^{}]*\}(?:\^\d)?", lambda found: found[1]),
    "variable named": lambda gold: f"x = {gold}" if re.fullmatch(r"-?\d+|\\frac\{\d+\}\{\d+\}", gold) else None,
    "minus sign of Unicode": lambda gold: gold.replace("-", "−") if re.match(r"-\d", gold) else None,
    "zeros behind the point": whole(r"-?\d+", lambda found: f"{found.group()}.00"),
    "choice without its bracket": whole(r"\\text\{\(?([A-Z])\)?\}", lambda found: f"({found[1]})"),
}
WRONG: dict[str, Way] = {
    "another bracket": _pair(_other_bracket),
    "a pair turned round": _pair(lambda left, one, two, right: _turned(left, one.strip(), two.strip(), right)),
    "a pair as a set": _pair(lambda left, one, two, right: f"\\{{{one},{two}\\}}"),
    "another base": whole(r"(\d+)_\{?(\d+)\}?", lambda found: f"{found[1]}_{{{int(found[2]) + 1}}}"),
    "a list without its first member": _listed(lambda members: ", ".join(members[1:])),
    "a list with one more": lambda gold: f"{gold} \\text{{ or }} 77777" if re.fullmatch(r"-?\d+", gold) else None,
    "a tenth of a millionth more": whole(r"-?\d+", lambda found: f"{found.group()}.0000001"),
    "another unit": lambda gold: gold.replace("{ cm}", "{ m}").replace("{ inches}", "{ feet}")
    if "{ cm}" in gold or "{ inches}" in gold else None,
    "a sign lost": whole(r"-(\d+|\\frac\{\d+\}\{\d+\})", lambda found: found[1]),
    "plus or minus it": whole(r"[1-9]\d*", lambda found: f"\\pm {found.group()}"),
    "a mixed number run together": whole(r"(\d+)\\frac\{?(\d)\}?\{?(\d"
                                         r"+)\}?", lambda found: _run_together(*found.groups())),
    "a fraction torn apart": whole(r"\\frac\{(\d)(\d)\}\{(\d+)\}", lambda found: _torn(*found.groups())),
    "rows exchanged": lambda gold: _exchanged(gold),
    "letters behind it": whole(r"[1-9]\d*", lambda found: f"{found.group()}ab"),
}  # fmt: skip


def _run_together(whole_: str, above: str, below: str) -> str | None:
    """`1\\frac{4}{5}` → 14/5, where that is another number."""
    same = Fraction(int(whole_ + above), int(below)) == int(whole_) + Fraction(int(above), int(below))
    return None if same else f"\\frac{{{whole_}{above}}}{{{below}}}"


def _torn(first: str, second: str, below: str) -> str | None:
    """`\\frac{19}{4}` → `1 9/4`, where that is another number."""
    same = Fraction(int(first + second), int(below)) == int(first) + Fraction(int(second), int(below))
    return None if same else f"{first} {second}/{below}"


def _exchanged(gold: str) -> str | None:
    found = re.fullmatch(r"(\\begin\{pmatrix\})(.*?)\\\\(.*?)(\\end\{pmatrix\})", gold)
    rows = [row.strip() for row in f"{found[2]}\\\\{found[3]}".split("\\\\")] if found else []
    if not found or rows[0] == rows[1] or len(rows) > 2:
        return None
    return f"{found[1]}{found[3]}\\\\{found[2]}{found[4]}"


def written(golds: Sequence[str], seed: int = 0) -> list[Written]:
    """One pair per gold answer: of the kinds that apply to it, one is drawn; first right or wrong, then which."""
    rng = random.Random(seed)
    pairs = []
    for gold in golds:
        found = {right: [(kind, answer) for kind, way in ways.items() if (answer := way(gold)) is not None]
                 for right, ways in ((True, RIGHT), (False, WRONG))}  # fmt: skip
        right = rng.random() < 0.5
        right = right if found[right] else not right
        if found[right]:
            kind, answer = rng.choice(found[right])
            pairs.append(Written(kind, gold, answer, right))
    return pairs
