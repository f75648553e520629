"""One spelling for mathematical answers, with nothing lost: spaces, signs, braces, fractions, roots, thousands.

MATH's official normal form (`math_text`) drops units, row breaks and all spaces; this one keeps whatever could tell two
answers apart. Both sides of a comparison go through it.
"""

from __future__ import annotations

import re

SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "－": "-", "×": r"\times ", "÷": r"\div ",
    "·": r"\cdot ", "⋅": r"\cdot ", "∗": "*", "π": r"\pi ", "∞": r"\infty ", "±": r"\pm ", "∓": r"\mp ",
    "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ", "∅": r"\emptyset ", "⟨": r"\langle ", "⟩": r"\rangle ",
    "⁄": "/", "∕": "/", "…": r"\ldots ", "≈": r"\approx ", "′": "'", "’": "'", "：": ":", "，": ",", "（": "(",
    "）": ")", "％": "%", "＋": "+", "＝": "=", "．": ".", "∖": r"\setminus ", "ℝ": r"\mathbb{R}",
    "α": r"\alpha ", "β": r"\beta ", "θ": r"\theta ", "λ": r"\lambda ", "φ": r"\phi ", "Ω": r"\Omega ",
    "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "", "\u2061": "", "\u2062": "", "\u00ad": "",
}  # fmt: skip
_SIGNS = {ord(sign): said for sign, said in SIGNS.items()}
_HALVES = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅐": "1/7", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅑": "1/9", "⅒": "1/10",
}  # fmt: skip
_POWERS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni", strict=True))
_INDICES = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_WIDE = {ord(wide): str(digit) for digit, wide in enumerate("０１２３４５６７８９")}
THIN = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_SURE_THOUSANDS = re.compile(r"(?<=\d)(?:,\s*\\!\s*|\{\s*,\s*\})(?=\d{3}(?!\d))")
_COMMA = re.compile(r",\s*\\!\s*")
_SPACE = re.compile(
    rf"[{THIN}\t\r\n\f\v~]|\\(?:[,;:> ]|(?:qquad|quad|enspace|thinspace|medspace|thickspace)(?![a-zA-Z]))"
    r"|\\(?:label|tag\*?)\{[^{}]*\}|\\hspace\*?\{[^{}]*\}|\\phantom\{[^{}]*\}"
)
_EMPTY = re.compile(
    r"[\^_]\{\s*\}|\\!|\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|boldsymbol|"
    "mathstrut|large|Large|LARGE|huge|Huge|small|tiny|normalsize|underline|checkmark|"
    r"bf|rm|it|sf|tt|bfseries|ensuremath|notag|nonumber)(?![a-zA-Z])|\{\}"
)
_TEXTS = re.compile(
    r"\\(?:text(?:bf|it|rm|normal|sf|tt|up)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox|operatorname\*?|unit|si)\s*\{"
)
_SPELLINGS = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:leq|leqslant)(?![a-zA-Z])"), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant)(?![a-zA-Z])"), r"\\ge "),
    (re.compile(r"\\neq(?![a-zA-Z])"), r"\\ne "),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"<=|=<"), r"\\le "),
    (re.compile(r">=|=>"), r"\\ge "),
    (re.compile(r"\\(?:lbrace|\{)(?![a-zA-Z])"), r"\\{"),
    (re.compile(r"\\(?:rbrace|\})(?![a-zA-Z])"), r"\\}"),
    (re.compile(r"\\(?:l|r)?vert(?![a-zA-Z])"), "|"),
    (re.compile(r"\\(?:varnothing|O)(?![a-zA-Z])"), r"\\emptyset "),
    (re.compile(r"\\(?:degree|degrees)(?![a-zA-Z])"), r"^\\circ "),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])"), r"^\\circ "),
    (re.compile(r"\\(?:dots|cdots|dotsc|dotsb)(?![a-zA-Z])|\.\.\."), r"\\ldots "),
    (re.compile(r"\{\s*([,:])\s*\}"), r"\1"),
    (re.compile(r"\\(?:[%$€£#])"), lambda found: found.group()[1]),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\log\s*_\s*(?:\{\s*e\s*\}|e(?![a-zA-Z]))"), r"\\ln "),
    (re.compile(r"\\[dt]binom(?![a-zA-Z])"), r"\\binom"),
    (re.compile(r"\{\s*(\w+)\s*\\choose\s*(\w+)\s*\}"), r"\\binom{\1}{\2}"),
)
_THOUSANDS = re.compile(
    r"(?<![\d.,_^/])(?P<whole>\d{1,3}(?:(?P<mark>[ ,])\d{3})(?:(?P=mark)\d{3})*)(?P<rest>\.\d+)?(?![\d/]|,\d)"
)
_COLOURS = re.compile(r"\\(?:text)?colou?r\s*(?:\[\w+\])?\{[\w!.#, -]*\}")
_SO = re.compile(
    r"^\s*(?:(?:=>|⇒|⟹|∴|→|->|\\(?:Rightarrow|Longrightarrow|implies|therefore|rightarrow|iff)(?![a-zA-Z]))\s*"
    r"|\\text\{[^{}]*\b(?:(?:is|are|equals)\s*:?|[Aa]nswer\s?:)\s*\}(?=.*\d))"
)
"""What leads to an answer and is no part of it."""
_QUANTITY = re.compile(r"\\(?:SI|qty|num)(?:\[[^\]]*\])?\{(?P<number>[^{}]*)\}(?:(?<!num)\{(?P<unit>[^{}]*)\})?")
"""siunitx's way to write a number with its unit."""
_CURRENCY = re.compile(r"^\s*\\text\{\s*(?P<name>USD|EUR|GBP|INR|JPY|Rs\.?|Rs|CAD|AUD)\s*\}\s*(?=[-\d.])(?P<rest>.*)$")
_CENTS = re.compile(r"(\d+)\s?\\text\{\s?dollars?,? and\s?\}\s?(\d\d?)\s?\\text\{\s?cents?\s?\}")
_TAIL = re.compile(r"(?:\\[,;:! ]|[ ,;])+$")
_ROOTS = {"∛": 3, "∜": 4}


def tidy(answer: str) -> str:
    """Return the answer in one spelling: ASCII and plain LaTeX commands, single spaces, braced arguments."""
    text = _unquoted(_characters(answer))
    text = re.sub(r"\\cr(?![a-zA-Z])", r"\\\\ ", text)
    text = re.sub(r"\\\\(?=[a-zA-Z])", r"\\", text) if not re.search(r"matrix|array|cases", text) else text
    text = re.sub(r"\\\\(?:\s*\[[^\]]*\])?", " \\\\\\\\ ", text)  # row breaks stand apart, without their extra height
    parts = text.split("\\\\")
    return " ".join(r" \\ ".join(_cleaned(part) for part in parts).split()).strip()


def _cleaned(text: str) -> str:
    text = _QUANTITY.sub(_measured, _COLOURS.sub("", text))
    text = re.sub(r"(?<=\d)'(?=\d{3}(?!\d))", "", text)
    text = _SPACE.sub(" ", _COMMA.sub(",", _SURE_THOUSANDS.sub("", text)))
    text = _EMPTY.sub("", text)
    for pattern, said in _SPELLINGS:
        text = pattern.sub(said, text)
    text = re.sub(r"(?<![A-Za-z\\])sqrt\s*\(", r"\\sqrt(", text)
    text = re.sub(r"^\s*(?:negative|minus)\s+(?=[\d.\\])", "-", text, flags=re.IGNORECASE)
    text = _TEXTS.sub(r"\\text{", text)
    text = re.sub(r"\\text\{\s*([eixyznk])\s*\}(?=\s*(?:[\^_+*/=)}\]-]|$))", _single, text)
    text = re.sub(r"\\text\{\s*(-?[\d.,/]+)\s*\}", r"\1", text)
    text = re.sub(r"(?<=\d)\s?([ap])\.\s?m\.?(?![a-zA-Z])", r" \1m", text)
    text = re.sub(r"\b(?:US|CA|AU|NZ|HK)\s?(?=\$)", "", text)
    text = re.sub(r"(?<=[\d}]),?\s?\\text\{\s?,?\s?\(?(?:since|because|as|so the answer)\b.*$", "", text)
    text = re.sub(r"\\text\{\s*([-+])\s*\}", r"\1", text)
    text = re.sub(r"^\s*\\text\{\s*(-?\d[\d.,:/]{0,30}(?:\s[A-Za-z][A-Za-z. ]{0,40})?)\s*\}\s*$", r"\1", text)
    text = re.sub(r"(?<=[\d}])\s?\\text\{\s?\((?![^()]*\b(?:mod|base)\b)[a-z][^(){}]{2,60}\)\s?\}\s*$", "", text)
    text = re.sub(r",?\s*\\text\{\s?,?\s?respectively\s?\}\s*$", "", text)
    text = _CENTS.sub(lambda found: f"{found[1]}.{int(found[2]):02}\\text{{ dollars}}", text)
    text = _CURRENCY.sub(r"\g<rest>\\text{ \g<name>}", text)
    text = re.sub(r"\\text\{\s*\}", " ", text)
    return _arguments(" ".join(text.split()))


def _measured(found: re.Match[str]) -> str:
    unit = (found["unit"] or "").replace("\\", " ").strip()
    return found["number"] + (f"\\text{{ {unit}}}" if unit else "")


def _single(found: re.Match[str]) -> str:
    """Return the letter of `\\mathrm{e}` within a formula; alone it stays a word, as choices (A) are."""
    whole = found.string.strip() == found.group().strip()
    return found.group() if whole else found.group(1)


def _characters(text: str) -> str:
    """Return unicode signs as LaTeX."""
    text = re.sub(rf"(\d?)\s*([{''.join(_HALVES)}])", _half, text)
    for marks, opened in ((_POWERS, "^{"), (_INDICES, "_{")):
        text = re.sub(
            rf"[{''.join(map(re.escape, marks))}]+",
            lambda found, marks=marks, opened=opened: opened + "".join(marks[c] for c in found.group()) + "}",
            text,
        )
    text = re.sub(r"([√∛∜])\s*(?:\(([^()]*)\)|\{([^{}]*)\}|([a-zA-Z]|\d+(?:\.\d+)?))", _root, text)
    return text.translate(_SIGNS).translate(_WIDE)


def _half(found: re.Match[str]) -> str:
    above, below = _HALVES[found.group(2)].split("/")
    return f"{found.group(1)}\\frac{{{above}}}{{{below}}}"


def _root(found: re.Match[str]) -> str:
    index = f"[{_ROOTS[found.group(1)]}]" if found.group(1) in _ROOTS else ""
    return f"\\sqrt{index}{{{found.group(2) or found.group(3) or found.group(4) or ''}}}"


def _unquoted(text: str) -> str:
    """Return a text without what stands around the whole: math delimiters, emphasis, quotes, a full stop."""
    before = None
    while before != text:
        before = text
        text = text.strip().strip("*`").strip()
        for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ('"', '"'), ("“", "”")):
            inner = text[len(left) : -len(right)]
            closes = text.startswith(left) and text.endswith(right) and len(text) > len(left + right)
            if closes and left not in inner and right not in inner and not inner.endswith("\\"):
                text = inner
        text = _TAIL.sub("", _SO.sub("", text))
        if text.endswith(".") and not text.endswith("..."):
            text = text[:-1]
    return text


def _arguments(text: str) -> str:
    """Put the arguments of `\\frac12`, `\\frac 1 2`, `\\sqrt 3`, `\\sqrt(3)` in braces, as TeX reads them (one sign is
    one argument), but for `\\sqrt(3)`, whose writer means the bracket."""
    text = re.sub(r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"\\sqrt\s*(\\[a-zA-Z]+|[0-9a-zA-Z])", _after_root, text)
    made, place = "", 0
    for found in re.finditer(r"\\frac(?![a-zA-Z])\s*", text):
        if found.start() < place:
            continue
        first, after = argument(text, found.end())
        second, end = argument(text, after)
        if not first or not second:
            continue
        made += text[place : found.start()] + f"\\frac{{{_arguments(first)}}}{{{_arguments(second)}}}"
        place = end
    return made + text[place:]


def _after_root(found: re.Match[str]) -> str:
    follows = found.string[found.end() : found.end() + 1]
    if found.group(1).startswith("\\") and follows == "{":
        return found.group()  # \sqrt\frac{1}{2}: left to the parser
    return f"\\sqrt{{{found.group(1)}}}"


def argument(text: str, place: int) -> tuple[str, int]:
    """Return one TeX argument from here, without its braces, and where it ends; ("", place) if there is none."""
    while place < len(text) and text[place] == " ":
        place += 1
    if place >= len(text) or text[place] in "}^_":
        return "", place
    if text[place] == "{":
        end = closing(text, place)
        return (text[place + 1 : end].strip(), end + 1) if end > 0 else ("", place)
    command = re.compile(r"\\[a-zA-Z]+").match(text, place)
    if command:
        follows = text[command.end() : command.end() + 1]
        return ("", place) if follows == "{" else (command.group(), command.end())
    return text[place], place + 1


def closing(text: str, place: int) -> int:
    """Return where the brace that opens here closes; -1 if nowhere. Escaped braces do not count."""
    depth, escaped = 0, False
    for at in range(place, len(text)):
        sign = text[at]
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return at
    return -1


def joined_thousands(text: str) -> str:
    """Return `10,000`, `10 000` → `10000`. Only for a text that is one number, or for numbers in a list with wider
    commas."""
    return _THOUSANDS.sub(lambda found: re.sub(r"[ ,]", "", found["whole"]) + (found["rest"] or ""), text)
