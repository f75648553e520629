"""The official rules of HotpotQA (Yang et al. 2018) and MATH (Hendrycks et al. 2021), written down once more, step by
step and apart from the graders, to compare these with. Not used by the project.
"""

from __future__ import annotations

import re
import string


def hotpot_exact_match(answer: str, gold: str) -> bool:
    """Lower case; punctuation out; articles out; single spaces; then equal."""
    return _hotpot_normal(answer) == _hotpot_normal(gold)


def _hotpot_normal(text: str) -> str:
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    text = re.sub(r"\b(?:a|an|the)\b", " ", text)
    return re.sub(r"\s+", " ", text).strip()


def math_equivalent(left: str, right: str) -> bool:
    """Both stripped; where stripping fails on either, the raw strings decide."""
    try:
        return _stripped(left) == _stripped(right)
    except (AssertionError, IndexError):
        return left == right


REPLACED = (
    ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", ""),
    ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""),
)  # fmt: skip


def _stripped(text: str) -> str:
    for old, new in REPLACED:
        text = text.replace(old, new)
    if "\\text{ " in text:
        parts = text.split("\\text{ ")
        assert len(parts) == 2
        text = parts[0]
    for old, new in (("\\%", ""), ("%", ""), (" .", " 0."), ("{.", "{0.")):
        text = text.replace(old, new)
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    text = _fractions(_roots(text).replace(" ", ""))
    if text == "0.5":
        text = "\\frac{1}{2}"
    return _slash(text)


def _roots(text: str) -> str:
    pieces = text.split("\\sqrt")
    for place in range(1, len(pieces)):
        piece = pieces[place]
        pieces[place] = piece if piece[0] == "{" else "{" + piece[0] + "}" + piece[1:]
    return "\\sqrt".join(pieces)


def _fractions(text: str) -> str:
    pieces = text.split("\\frac")
    made = [pieces[0]]
    for piece in pieces[1:]:
        if piece[0] == "{":
            made.append(piece)
        elif len(piece) < 2:
            return text
        else:
            below = piece[1:] if piece[1] == "{" else "{" + piece[1] + "}" + piece[2:]
            made.append("{" + piece[0] + "}" + below)
    return "\\frac".join(made)


def _slash(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        above, below = int(parts[0]), int(parts[1])
    except ValueError:
        return text
    return f"\\frac{{{above}}}{{{below}}}" if text == f"{above}/{below}" else text
