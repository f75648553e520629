"""MATH's official rules as text: the last box, the normal form of an answer, and equality.

Source: Hendrycks et al. 2021 (arXiv:2103.03874). The normal form loses row breaks, units and all spaces, so it judges
only what `math_same` cannot read, and always both sides.
"""

from __future__ import annotations

import re


def boxed(text: str) -> str | None:
    """Return what the last `\\boxed{…}` (or `\\fbox{…}`, or `\\boxed x`) holds; None if there is none that closes."""
    places = list(re.finditer(r"\\f?boxed\s*(\{|\s)", text))
    if not places:
        return None
    last = places[-1]
    if last.group(1) != "{":
        return re.split(r"[\s$]", text[last.end() :].strip(), maxsplit=1)[0] or None
    depth = 1
    for place in range(last.end(), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[last.end() : place].strip()
    return None


def official_equal(left: str, right: str) -> bool:
    """Return MATH's official rule: the normal forms are the same string; where one has none, the answers themselves
    are."""
    try:
        return _official_form(left) == _official_form(right)
    except ValueError:
        return left == right


def _official_form(answer: str) -> str:
    """Return MATH's official normal form: spelling of fractions and roots, units, degrees, signs and spaces do not
    count.

    The steps are in the official order, which matters. Raises ValueError where the official code stumbles.
    """
    text = answer.replace("\n", "").replace("\\!", "").replace("\\\\", "\\")
    text = text.replace("tfrac", "frac").replace("dfrac", "frac").replace("\\left", "").replace("\\right", "")
    text = text.replace("^{\\circ}", "").replace("^\\circ", "").replace("\\$", "")
    text, *units = text.split("\\text{ ")
    if len(units) > 1:
        raise ValueError("more than one unit")
    text = text.replace("\\%", "").replace("%", "").replace(" .", " 0.").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    name, *value = text.split("=")
    if len(value) == 1 and len(name) <= 2:
        text = value[0]
    text = _whole_fractions(_whole_roots(text).replace(" ", ""))
    return _slash(r"\frac{1}{2}" if text == "0.5" else text)


def _whole_roots(text: str) -> str:
    """Rewrite `\\sqrt3` → `\\sqrt{3}`."""
    if text.endswith("\\sqrt"):
        raise ValueError("a root of nothing")
    return re.sub(r"\\sqrt([^{])", r"\\sqrt{\1}", text)


def _whole_fractions(text: str) -> str:
    """Rewrite `\\frac12` and `\\frac1{2}` → `\\frac{1}{2}`. Left as it is where an argument is missing."""
    first, *parts = text.split("\\frac")
    made = first
    for part in parts:
        if part.startswith("{"):
            made += "\\frac" + part
        elif not part:
            raise ValueError("a fraction of nothing")
        elif len(part) < 2:
            return text
        elif part[1] == "{":
            made += f"\\frac{{{part[0]}}}{part[1:]}"
        else:
            made += f"\\frac{{{part[0]}}}{{{part[1]}}}{part[2:]}"
    return made


def _slash(text: str) -> str:
    """Rewrite `3/4` of whole numbers → `\\frac{3}{4}`."""
    match = re.fullmatch(r"(-?\d+)/(-?\d+)", text)
    if not match:
        return text
    above, below = (str(int(part)) for part in match.groups())
    return f"\\frac{{{above}}}{{{below}}}" if text == f"{above}/{below}" else text
