"""Numbers read exactly, and the units behind them.

A unit is dropped only from behind a value; what is dropped is kept beside it, so that 5 cm and 5 m stay two answers.
"""

from __future__ import annotations

import re
from fractions import Fraction

UNITS: dict[str, tuple[str, ...]] = {
    "mm": ("mm", "millimeter", "millimetre"),
    "cm": ("cm", "centimeter", "centimetre"),
    "m": ("m", "meter", "metre"),
    "km": ("km", "kilometer", "kilometre"),
    "inch": ("in", "inch", "inches"),
    "foot": ("ft", "foot", "feet"),
    "yard": ("yd", "yard"),
    "mile": ("mi", "mile"),
    "mg": ("mg", "milligram"),
    "g": ("g", "gram", "gm"),
    "kg": ("kg", "kilogram"),
    "ounce": ("oz", "ounce"),
    "pound": ("lb", "lbs", "pound"),
    "ton": ("ton", "tonne"),
    "ml": ("ml", "milliliter", "millilitre"),
    "liter": ("l", "liter", "litre"),
    "gallon": ("gal", "gallon"),
    "second": ("s", "sec", "second"),
    "minute": ("min", "minute"),
    "hour": ("h", "hr", "hour"),
    "day": ("day",),
    "week": ("week",),
    "month": ("month",),
    "year": ("yr", "year"),
    "am": ("am", "a.m", "a.m."),
    "pm": ("pm", "p.m", "p.m."),
    "degree": ("degree", "deg"),
    "radian": ("rad", "radian"),
    "percent": ("%", "percent", "pct", "percentage point"),
    "dollar": ("dollar", "usd", "$"),
    "cent": ("cent", "¢"),
    "euro": ("euro", "eur", "€"),
    "sterling": ("gbp", "£"),
    "yen": ("yen", "jpy", "¥"),
    "rupee": ("rupee", "rs", "inr", "₹"),
    "mph": ("mph",),
    "kmh": ("kmh", "kph", "km/h"),
}
_KNOWN = {said: name for name, ways in UNITS.items() for said in ways}
_NO_UNIT = frozenset(
    "or and to out of plus minus times over divided squared cubed point than at not about approximately "
    "between factorial "
    "mod root power half halves third thirds quarter quarters fourth fourths fifth fifths tenth tenths if "
    "when because "
    "since is are was were no none x y z n k i e pi sqrt sin cos tan log ln hundred base choose any all "
    "infinity undefined "
    "negative positive below above under around nearly almost".split()
)
"""Words that change what the number before them says."""
_FACTORS = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORDS = re.compile(
    r"(?P<value>.*[\d})!.])(?P<gap>\s*+)(?P<unit>(?:\\text\{[^{}]*+\}|[A-Za-z¢€£¥₹$][A-Za-z.'-]*+)"
    r"(?:\\text\{[^{}]*+\}|[A-Za-z¢€£¥₹$][A-Za-z.'-]*+|\s++|/|\^\s?(?:\d|\{\d\}))*)",
    re.S,
)
_DEGREES = re.compile(r"(.*\S)\s*\^\\circ\s*(?:\\text\{\s*)?[CF]?\s*\}?", re.S)
_PERCENT = re.compile(
    r"(.*\S)\s*(?:%|\\text\{\s*(?:%|percent|percentage points?)\s*\}|\bpercent(?:age points?)?|\bpct)", re.S
)
_AFTER_LETTER = re.compile(
    r"(?P<value>.*\S)\s*\\text\{\s*(?:(?:square|sq\.?|cubic|"
    r"cu\.?)\s+)?(?P<unit>[A-Za-z]+)\.?\s*\}(?:\s*\^\s?\{?[23]\}?)?",
    re.S,
)
_RATE = re.compile(
    r"(?P<value>.*[\d})!.])\s*(?:\\frac\{\s*\\text\{[^{}]+\}(?:\^\{?[23]\}?)?\s*\}\{\s*\\text\{[^{}]+\}(?:\^\{?[23]\}?)?\s*\}"
    r"|(?:\\text\{[^{}]+\}\s*|(?<=\d)\s*\\text\{[^{}]+\}\s*)+\^\s?\{\s*-\d\s*\}"
    r"|\\text\{[^{}^]*\^\s?(?:\{-?\d\}|-?\d)[^{}^]*\}|\\mu\s*\\text\{[^{}]+\}|(?:\\text\{\s?[kM]\s?\}\s*)?\\Omega)",
    re.S,
)
_MODULUS = re.compile(
    r"(?P<value>.*\d)\s*(?:\\[pb]?mod\s*\{?\s*(?P<by>\d+)\s*\}?|\(?\s*\\text\{\s*\(?mod\s*(?P<said>\d+)\)?\s*\}\s*\)?)",
    re.S,
)
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_MONEY = re.compile(r"([-+]?)\s*([$€£¥₹])\s*(?=[-+.\d\\])")
DIGITS = 2000
"""A number of more digits is not read here."""
_PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_OVER = re.compile(
    r"(?P<sign>[-+]?)\s*(?:(?P<whole>\d+)\s*)?\\frac\{\s*(?P<above>[-+]?[\d.]+)\s*\}\{\s*(?P<below>[-+]?[\d.]+)\s*\}"
)
_SLASH = re.compile(r"(?P<sign>[-+]?)\s*(?:(?P<whole>\d+)[\s-]+)?(?P<above>[-+]?[\d.]+)\s*/\s*(?P<below>[-+]?[\d.]+)")
_REPEATING = re.compile(r"(?P<sign>[-+]?)(?P<whole>\d*)\.(?P<once>\d*)\\(?:overline|bar|dot)\s*\{(?P<again>\d+)\}")
_GOES_ON = re.compile(r"(?P<sign>[-+]?)(?P<whole>\d*)\.(?P<once>\d*?)(?P<again>\d{1,6}?)(?P=again)+\s*(?:\\ldots|…)")
"""0.1666…: digits that come at least twice before the dots."""
_SCIENCE = re.compile(
    r"(?P<first>[-+]?(?:\d+\.?\d*|\.\d+))\s*(?:(?:\\times|\\cdot|"
    r"\*)\s*10\s*\^\s*\{?\s*(?P<power>[-+]?\d{1,3})\s*\}?|[eE](?P<e>[-+]?\d{1,3}))"
)


def number(text: str) -> Fraction | None:
    """Return the exact value of a whole number, a decimal, a fraction, a mixed number or one in scientific notation;
    None for anything else."""
    text = text.strip()
    if len(text) > DIGITS:
        return None
    while len(text) > 2 and text[0] in "({" and text[-1] == {"(": ")", "{": "}"}[text[0]]:
        text = text[1:-1].strip()
    text = re.sub(r"^([-+])\s+", r"\1", text)
    try:
        if _PLAIN.fullmatch(text):
            return Fraction(text.rstrip(".") if text.endswith(".") else text)
        if over := _OVER.fullmatch(text) or _SLASH.fullmatch(text):
            return _mixed(over)
        if science := _SCIENCE.fullmatch(text):
            return Fraction(science["first"].rstrip(".")) * Fraction(10) ** int(science["power"] or science["e"])
        if again := _REPEATING.fullmatch(text) or _GOES_ON.fullmatch(text):
            return _repeating(again)
    except (ValueError, ZeroDivisionError):
        return None
    return None


def is_improper(text: str) -> bool:
    """Return whether a text looks like a mixed number and is none, such as `1 9/4`."""
    found = _OVER.fullmatch(text.strip()) or _SLASH.fullmatch(text.strip())
    return bool(found and found["whole"]) and number(text) is None


def _repeating(found: re.Match[str]) -> Fraction:
    """Read `0.1\\overline{6}` as 1/6."""
    once, again = found["once"], found["again"]
    value = Fraction(int((found["whole"] or "0") + once)) + Fraction(int(again), 10 ** len(again) - 1)
    value /= 10 ** len(once)
    return -value if found["sign"] == "-" else value


def _mixed(found: re.Match[str]) -> Fraction | None:
    above, below = Fraction(found["above"]), Fraction(found["below"])
    part = above / below
    if found["whole"]:
        if (
            found["above"][0] in "+-"
            or found["below"][0] in "+-"
            or "." in found["above"] + found["below"]
            or part >= 1
        ):
            return None  # no mixed number
        part += int(found["whole"])
    return -part if found["sign"] == "-" else part


_SPELLED = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
} | {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}  # fmt: skip


def spelled_number(text: str) -> int | None:
    """Return the value of a number below a million in words, `two hundred and five`; None for anything else."""
    words = re.sub(r"[\s-]+", " ", text.strip().lower().removesuffix(".")).split(" ")
    whole = part = 0
    before = ""
    for word in words:
        if word == "and" and before in ("hundred", "thousand"):
            continue
        if word in _SPELLED:
            value = _SPELLED[word]
            if before in _SPELLED and not (_SPELLED[before] >= 20 and 0 < value < 10):
                return None
            part += value
        elif word == "hundred" and before in _SPELLED and 0 < part < 10:
            part *= 100
        elif word == "thousand" and 0 < part < 1000 and not whole:
            whole, part = part * 1000, 0
        else:
            return None
        before = word
    return whole + part if before else None


def split_unit(text: str) -> tuple[str, str, Fraction]:
    """Return a tidy answer as its value, its unit ("" without one) and the factor that a word such as `million`
    means."""
    text, unit = _without_money(text)
    factor = Fraction(1)
    for _ in range(3):  # 39^\\circ \\text{ units}
        value, found, times = _last_unit(text)
        if value == text:
            break
        text, factor = value, factor * times
        unit = found if unit in ("", "other", found) else unit if found in ("", "other") else "other"
    return text, unit, factor


def _last_unit(text: str) -> tuple[str, str, Fraction]:
    if found := _MODULUS.fullmatch(text):
        return found["value"].strip(), f"mod {found['by'] or found['said']}", Fraction(1)
    if found := _RATE.fullmatch(text):
        return found["value"].strip(), "other", Fraction(1)
    if found := _PERCENT.fullmatch(text):
        return found.group(1).strip(), "percent", Fraction(1)
    if (found := _DEGREES.fullmatch(text)) and not _FUNCTION.search(found.group(1)):
        return found.group(1).strip(), "degree", Fraction(1)
    if (found := _AFTER_LETTER.fullmatch(text)) and _behind_anything(found["unit"]):
        return found["value"].strip(), named_unit([found["unit"]]), Fraction(1)
    found = _WORDS.fullmatch(text)
    if not found or found["value"].count("{") != found["value"].count("}"):
        return text, "", Fraction(1)
    value, unit = found["value"].strip(), found["unit"]
    words = re.sub(r"\\text|[{}]", " ", re.sub(r"\^\s?(?:\d|\{\d\})", "", unit)).split()
    factor = Fraction(1)
    if words and words[0].lower() in _FACTORS:
        factor, words = Fraction(_FACTORS[words[0].lower()]), words[1:]
    apart = bool(found["gap"]) or "\\text" in unit
    if not all(_is_unit(word, apart, "\\text" in unit) for word in words):
        return text, "", Fraction(1)
    return value, named_unit(words), factor


def _behind_anything(word: str) -> bool:
    """Return whether a word is a unit that may stand behind a letter or a bracket."""
    return word.lower() in ("unit", "units") or (len(word) > 1 and word != "in" and named_unit([word]) != "other")


def undecorated(text: str) -> str:
    """Return an answer without a sign of money before it, and without degree signs and a unit behind it."""
    before = None
    while before != text:
        before = text
        text = text.removeprefix("$").strip()
        text = re.sub(r"\s*\^\\circ$", "", text)
        found = _AFTER_LETTER.fullmatch(text)
        if found and _behind_anything(found["unit"]):
            text = found["value"].strip()
    return text


def _without_money(text: str) -> tuple[str, str]:
    """Return `$5 + $13` → `5 + 13`: the signs of money, and which it was."""
    found = _MONEY.search(text)
    if not found:
        return text, ""
    return _MONEY.sub(r"\1", text).strip(), _KNOWN[found.group(2)]


def _is_unit(word: str, apart: bool, as_text: bool) -> bool:
    """Return whether a word behind a value can be a unit. Letters that stand for themselves in a formula (10ab) are
    none."""
    plain = word.lower().strip(".'-")
    if word in _KNOWN or word == "/":
        return as_text or len(word) > 1 or not word.isalpha()
    if plain in _NO_UNIT or not re.fullmatch(r"[a-z.'/-]+", plain):
        return False
    if as_text or (apart and (len(plain) >= 4 or plain == "per")):
        return True
    return len(plain) > 1 and (plain in _KNOWN or plain.removesuffix("s") in _KNOWN)


def named_unit(words: list[str]) -> str:
    """Return the unit that these words name, in one spelling; "other" for one that is not in the table, "" for none."""
    if any(word == "/" or word.lower() == "per" for word in words):
        return "other"  # a rate
    for word in words:
        plain = word.lower().strip("'-,")
        for way in (plain, plain.strip("."), plain.removesuffix("s"), plain.strip(".").removesuffix("s")):
            if way in _KNOWN:
                return _KNOWN[way]
    return "other" if words else ""


def without_letter(text: str, unit: str) -> str:
    """Return a value without a bare letter behind it that is this unit: `144 m^3` where metres are meant. Elsewhere m
    is a variable."""
    found = re.fullmatch(r"(.*[\d}])\s*([a-zA-Z])(?:\s*\^\s?\{?[23]\}?)?", text, re.DOTALL)
    return found.group(1) if found and _KNOWN.get(found.group(2)) == unit else text


def units_agree(left: str, right: str) -> bool:
    """Return whether two units may be the same: an unnamed one agrees with any, as the official rule has it."""
    return left == right or "" in (left, right) or "other" in (left, right)
