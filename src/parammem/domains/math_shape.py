"""What kind of thing a mathematical answer is: a value, a list, a pair or interval, a matrix, a relation, words.

Two answers of different kinds are different answers; `math_same` compares those of one kind. Input is tidy text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from parammem.domains.math_bases import in_a_base
from parammem.domains.math_layout import rows_with_conditions
from parammem.domains.math_tidy import closing, joined_thousands
from parammem.domains.math_units import number, spelled_number, split_unit, undecorated

DEPTH = 12
"""Brackets in brackets that are taken apart; deeper ones stay one value."""
MOST = 60
"""Members of a list that are taken apart."""
_AND = re.compile(
    r",?\s*(?:\\(?:lor|vee)(?![a-zA-Z])|\\text\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*,?|"
    r"\s*\\text\{\s*[,;]\s*\}"
)
_MATRIX = re.compile(
    r"\\begin\{(?P<kind>[pbB]?matrix|smallmatrix|array)\}(?:\{[lcr|\s]*\})?(?P<body>.*)\\end\{(?P=kind)\}", re.S
)
_TRANSPOSED = re.compile(
    r"(?P<matrix>.*\\end\{\w+\}\s*[)\]]?)\s*\^\s*\{?\s*(?:T|\\top|\\intercal|\\text\{T\}|\\mathsf\s?\{?T\}?)\s*\}?",
    re.S,
)
_RELATION = re.compile(r"\\(?:le|ge|ne|in|approx|equiv|sim)(?![a-zA-Z])|[=<>]")
_WORD = re.compile(r"[A-Za-z][A-Za-z .,'-]*")
_FUNCTIONS = frozenset("sqrt sinh cosh tanh".split())
_NAME = re.compile(
    r"[A-Za-z]?(?:\\(?:angle|text\{[^{}]*\}|overline|vec|hat|mathbf|[a-z]{2,10}(?<!frac)(?<!sqrt))\s*)*"
    r"(?:\{?[A-Za-z]{0,20}\}?)(?:_\{?\w+\}?)?'*(?:\([^()+*/^]*\))?(?:_\{?\w+\}?)?(?:\^\{?-1\}?\([a-z]\))?"
)


_PARTS = {"half": 2, "halve": 2, "quarter": 4} | {
    word: below for below, word in enumerate("third fourth fifth sixth seventh eighth ninth tenth".split(), 3)
}
_PART = re.compile(rf"(?P<above>[a-z]+)[\s-]+(?P<below>{'|'.join(_PARTS)})s?", re.IGNORECASE)
_TWICE = re.compile(
    r"(?P<first>[A-Za-z][A-Za-z -]{2,60}|-?[\d,]+)\s*\(\s*(?P<second>[A-Za-z][A-Za-z -]{2,60}|-?[\d,]+)\s*\)"
)
"""A number with itself in brackets."""
_OUTWARD = re.compile(r"(?=\]|.*\[$)(?P<left>[\[\]])(?P<inner>[^\[\]]+[,;][^\[\]]+)(?P<right>[\[\]])")
"""Intervals whose open ends have their brackets turned outward."""
_SUCH_THAT = re.compile(r"\||\\mid(?![a-z])|\\vert(?![a-z])|:|\\colon(?![a-z])")


@dataclass(frozen=True)
class Shape:
    """One answer, taken apart."""

    kind: str
    """value, text, base, list, set, tuple, union, matrix, cases (of rows), ratio, relation."""
    text: str
    items: tuple[Shape, ...] = ()
    marks: tuple[str, ...] = ()
    """Brackets of a tuple, signs of a relation, rows of a matrix, the base of a number."""
    also: Shape | None = None
    """`1,234` is also a list of two."""


@lru_cache(maxsize=4096)
def shape_of(text: str, depth: int = 0) -> Shape:
    """Take a tidy answer apart."""
    text = _bare(text.strip())
    if depth > DEPTH:
        return Shape("value", text)
    if text in ("\\emptyset", "\\{ \\}", "\\{\\}"):
        return Shape("set", text)
    text = _in_digits(text)
    for read in (
        _decorated,
        _cases,
        _matrix,
        _base,
        _thousands,
        _words,
        _listed,
        _related,
        _united,
        _bracketed,
        _signed,
        _ratio,
    ):
        found = read(text, depth + 1)
        if found is not None:
            return found
    return Shape("value", text)


def _in_digits(text: str) -> str:
    """Return `seventeen` and `\\text{two}` in digits, `17 (seventeen)` and `twelve (12)` without their repetition."""
    found = _TWICE.fullmatch(re.sub(r"\\text\{([^{}]*)\}", r"\1", text)) if "(" in text else None
    if found:
        first, second = found["first"].strip(), found["second"].strip()
        values = [str(spelled_number(one)) if one[:1].isalpha() else joined_thousands(one) for one in (first, second)]
        if values[0] == values[1] and first[:1].isalpha() != second[:1].isalpha():
            return values[0]
    word = re.sub(r"^\\text\{([^{}]*)\}$", r"\1", text)
    if not word[:1].isalpha() or len(word) > 80:
        return text
    sign = "-" if re.match(r"(?:minus|negative)\s", word) else ""
    word = word.split(" ", 1)[1] if sign else word
    value = spelled_number(word)
    if value is None and (part := _PART.fullmatch(word)):
        above = {"a": 1, "an": 1}.get(part["above"]) or spelled_number(part["above"])
        return text if above is None else f"{sign}\\frac{{{above}}}{{{_PARTS[part['below']]}}}"
    return text if value is None else f"{sign}{value}"


def _decorated(text: str, depth: int) -> Shape | None:
    """Return a pair, list or word with a sign of money, a degree sign or a unit, which say nothing; values keep
    theirs."""
    plain = undecorated(text)
    if plain == text or not plain:
        return None
    found = shape_of(plain, depth)
    money = re.match(r"\$\s*(?!\\frac|\\sqrt|[-+.\d])", text)
    return None if found.kind in ("value", "ratio", "relation") and not money else found


def _bare(text: str) -> str:
    """Return a text without braces around the whole."""
    while text.startswith("{") and closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _cases(text: str, depth: int) -> Shape | None:
    """Return a function defined by cases: a set of (value, condition), in any order."""
    rows = rows_with_conditions(text)
    if rows is None:
        return None
    shapes = (Shape("row", text, (shape_of(value, depth), shape_of(when, depth))) for value, when in rows)
    return Shape("cases", text, tuple(shapes))


def _matrix(text: str, depth: int) -> Shape | None:
    """Return a matrix, perhaps transposed, perhaps with a factor before it."""
    if turned := _TRANSPOSED.fullmatch(text):
        found = _matrix(turned["matrix"].strip(), depth)
        return _transposed(found) if found else None
    inner = text[1:-1].strip() if text[:1] + text[-1:] in {"()", "[]"} else text
    found = _MATRIX.fullmatch(inner)
    if not found:
        start = text.find("\\begin{")
        factor = re.sub(r"\s*\\(?:cdot|times)\s*$", "", text[: max(start, 0)]).strip()
        times = _matrix(text[start:], depth) if factor and not re.search(r"[=,<>&]", factor) else None
        return _multiplied(factor, times) if times and closing(text, start + 6) > 0 else None
    if "\\begin" in found["body"]:
        return None
    rows = [row for row in (part.strip() for part in found["body"].split("\\\\")) if row and row != "\\hline"]
    cells = [[shape_of(cell, depth) for cell in row.split("&")] for row in rows]
    flat = tuple(cell for row in cells for cell in row)
    return Shape("matrix", text, flat, tuple(str(len(row)) for row in cells))


def _transposed(matrix: Shape) -> Shape | None:
    widths = {int(width) for width in matrix.marks}
    if len(widths) != 1:
        return None
    (width,) = widths
    columns = [matrix.items[column::width] for column in range(width)]
    return Shape(
        "matrix", matrix.text, tuple(c for column in columns for c in column), (str(len(matrix.marks)),) * width
    )


def _multiplied(factor: str, matrix: Shape) -> Shape:
    """Return a matrix with its factor in every entry."""
    by = "-1" if factor == "-" else factor
    times = number(by)
    cells = []
    for cell in matrix.items:
        value = number(cell.text)
        if times is None or value is None:
            cells.append(Shape("value", f"({by}) \\cdot ({cell.text})"))
            continue
        product = times * value
        sign = "-" if product < 0 else ""
        cells.append(Shape("value", f"{sign}\\frac{{{abs(product.numerator)}}}{{{product.denominator}}}"))
    return Shape("matrix", matrix.text, tuple(cells), matrix.marks)


def matrix_of(shape: Shape) -> Shape:
    """Return rows in square brackets, `[[1, 2], [3, 4]]`, as the matrix that they are; any other shape as it is."""
    rows = shape.items
    if shape.kind != "tuple" or shape.marks != ("[", "]") or not all(r.marks == ("[", "]") for r in rows):
        return shape
    return Shape(
        "matrix", shape.text, tuple(cell for r in rows for cell in r.items), tuple(str(len(r.items)) for r in rows)
    )


def _base(text: str, depth: int) -> Shape | None:
    found = in_a_base(text)
    return Shape("base", found[0], marks=(str(found[1]),)) if found else None


def _thousands(text: str, depth: int) -> Shape | None:
    """Read `1,450` and `1 450 dollars` as one number; the first may also be a list."""
    value, _, _ = split_unit(text)
    joined = joined_thousands(value)
    if joined == value or re.search(r"[,;]", joined) or re.search(r"\d [\d]", joined):
        return None
    if not re.fullmatch(r"[-+]?\d+(?:\.\d+)?", joined):  # 70,000 - 50,000 = 20,000
        return shape_of(joined_thousands(text), depth) if not re.search(r"[(\[{]", text) else None
    also = None
    if "," in value and value == text:
        also = Shape("list", text, tuple(Shape("value", part) for part in text.split(",")))
    return Shape("value", text.replace(value, joined, 1), also=also)


def plain_words(text: str) -> str:
    """Return the words of an answer without their LaTeX, in lower case: `\\text{(B)}` → b."""
    plain = re.sub(r"\\text\{([^{}]*)\}|\\[ ]", r"\1", undecorated(text))
    plain = " ".join(re.sub(r"^(?:option|choice)\s+", "", plain.strip(), flags=re.IGNORECASE).split())
    plain = re.sub(r"^\(?([A-Za-z])[.):]$|^\(([A-Za-z])\)$", lambda found: found.group(1) or found.group(2), plain)
    plain = re.sub(r"^(?:there (?:is|are) |(?:an?|the|on) (?=\w))", "", plain.rstrip(".").lower())
    return re.sub(r"\bsolutions$", "solution", {"dne": "does not exist"}.get(plain, plain))


def _words(text: str, depth: int) -> Shape | None:
    """Read words: in \\text, or of four letters and more. Lists of words are lists."""
    whole = re.fullmatch(r"\(?\s*\\text\{([^{}]*)\}\s*\)?", text)
    if whole and (_AND.search(whole.group(1)) or re.search(r"[,;]", whole.group(1))):
        return _listed(whole.group(1), depth)
    if whole:
        return Shape("text", plain_words(text))
    plain = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).strip()
    if undecorated(text) != text:
        return None  # a letter with a unit
    if not _WORD.fullmatch(plain) or _AND.search(plain) or "," in plain:
        return None
    long = [word for word in re.split(r"[ .'-]+", plain) if len(word) >= 4 or word.lower() in ("yes", "no")]
    return Shape("text", plain_words(text)) if long and not _FUNCTIONS & set(long) else None


def _listed(text: str, depth: int) -> Shape | None:
    text = _AND.sub(", ", text) if _top(text, _AND) else text
    parts = split_top(text)
    if len(parts) < 2 or len(parts) > MOST:
        return None
    parts = [part for part in parts if part]
    items = [shape_of(part, depth) for part in parts]
    if (
        items
        and items[0].kind == "relation"
        and items[0].marks == ("=",)
        and all(i.kind != "relation" for i in items[1:])
    ):
        name, first = items[0].items  # n = 2, 3, 4
        rest = Shape("list", text, _flat([first, *items[1:]]))
        return (
            Shape("relation", text, (name, rest), ("=",)) if is_name(name.text) else Shape("list", text, _flat(items))
        )
    return Shape("list", text, _flat(items))


def _flat(items: Sequence[Shape]) -> tuple[Shape, ...]:
    """Return the members of a list, with those of a `±` among them."""
    return tuple(member for item in items for member in (item.items if item.kind == "list" else (item,)))


def _related(text: str, depth: int) -> Shape | None:
    places = _top(text, _RELATION)
    if not places or len(places) > 8:
        return None
    ends = [0, *(place.end() for place in places)]
    starts = [*(place.start() for place in places), len(text)]
    sides = [text[a:b].strip() for a, b in zip(ends, starts, strict=True)]
    if not all(sides[1:]):
        return None
    marks = tuple(place.group() for place in places)
    if not sides[0]:  # "= 5"
        return shape_of(text[ends[1] :].strip(), depth) if marks in (("=",), ("\\approx",)) else None
    return Shape("relation", text, tuple(shape_of(side, depth) for side in sides), marks)


def _united(text: str, depth: int) -> Shape | None:
    places = _top(text, re.compile(r"\\cup(?![a-zA-Z])|(?<=[)\]}])\s*U\s*(?=[(\[\\])"))
    if not places:
        return None
    cuts = [0, *(edge for place in places for edge in (place.start(), place.end())), len(text)]
    parts = [text[a:b].strip() for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
    return Shape("union", text, tuple(shape_of(part, depth) for part in parts))


def _bracketed(text: str, depth: int) -> Shape | None:
    if apart := _OUTWARD.fullmatch(text):  # ]2, 3[
        left, right = "(" if apart["left"] == "]" else "[", ")" if apart["right"] == "[" else "]"
        return shape_of(left + apart["inner"] + right, depth)
    if point := re.fullmatch(r"[A-Z](?:_\w|')?\s*(?P<pair>\(.*,.*\))", text):
        text = point["pair"]  # P(1, 2)
    opened = re.match(r"\\\{|\\langle(?![a-z])|[(\[]", text)
    closed = re.search(r"(?:\\\}|\\rangle|[)\]])$", text)
    if not opened or not closed or not _encloses(text, closed.start()):
        return None
    inner = text[opened.end() : closed.start()].strip()
    marks = (opened.group(), closed.group())
    if not inner:
        return Shape("set", text) if marks == ("\\{", "\\}") else None
    if marks == ("\\{", "\\}"):
        if _top(inner, _SUCH_THAT):
            return _such_that(inner, depth)
        members = shape_of(inner, depth)
        return Shape("set", text, members.items if members.kind == "list" else (members.also or members,))
    parts = [part for part in split_top(inner) if part]
    if len(parts) == 1:
        return shape_of(inner, depth) if marks == ("(", ")") else None
    return Shape("tuple", text, tuple(shape_of(part, depth) for part in parts), marks)


def _such_that(inner: str, depth: int) -> Shape | None:
    """Read `{x | x > 2}` and `{x \\in R : x > 2}` as the relation; None for other ones, which are texts to compare."""
    place = _top(inner, _SUCH_THAT)[0]
    head, condition = inner[: place.start()].strip(), inner[place.end() :].strip()
    element = re.fullmatch(r"([a-zA-Z])(?:\s*\\in\s*(?:\\mathbb\s*\{?\s*R\s*\}?|R))?", head)
    found = shape_of(condition, depth)
    known = element and found.kind == "relation" and any(side.text == element.group(1) for side in found.items)
    return found if known else None


def _signed(text: str, depth: int) -> Shape | None:
    """Read `1 ± 2` as two values; with `∓` beside it, the signs go together."""
    pm = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")
    found = pm.findall(text)
    if not found or len(found) > 3:
        return None
    if "\\mp" in found:
        ways = [{"\\pm": "+", "\\mp": "-"}, {"\\pm": "-", "\\mp": "+"}]
        texts = [pm.sub(lambda sign, way=way: way[sign.group()], text) for way in ways]
    else:
        texts = [text]
        for _ in found:
            texts = [pm.sub(sign, each, count=1) for each in texts for sign in ("+", "-")]
    return Shape("list", text, tuple(shape_of(each.strip().removeprefix("+"), depth) for each in texts))


def _ratio(text: str, depth: int) -> Shape | None:
    places = _top(text, re.compile(r":|\\colon(?![a-z])|\\text\{\s*(?:to|:)\s*\}|(?<=\d)\s+to\s+(?=\d)"))
    if not places or len(places) > 8:
        return None
    cuts = [0, *(edge for place in places for edge in (place.start(), place.end())), len(text)]
    parts = [text[a:b].strip() for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
    return Shape("ratio", text, tuple(shape_of(part, depth) for part in parts)) if all(parts) else None


def is_name(text: str) -> bool:
    """Return whether a side of an equation only names what the other side says: x, f(x), A_1, \\angle ABC."""
    return bool(text) and len(text) <= 40 and text not in {"e", "\\pi"} and bool(_NAME.fullmatch(text.strip()))


def split_top(text: str) -> list[str]:
    """Return the parts between commas and semicolons that stand in no bracket. `1,000, 2,000` has two."""
    if re.search(r"[,;]\s", text):
        text = joined_thousands(text) if re.search(r"\d,\d{3}(?!\d)", text) else text
    cuts = [place.start() for place in _top(text, re.compile("[,;]"))]
    return [text[a + 1 if a >= 0 else 0 : b].strip() for a, b in zip([-1, *cuts], [*cuts, len(text)], strict=True)]


def _top(text: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """Return matches that stand in no bracket."""
    depths, depth = [], 0
    for place, sign in enumerate(text):
        depth += sign in "([{" or text.startswith("\\langle", place)
        depths.append(depth)
        depth -= sign in ")]}" or text.startswith("\\rangle", place)
    return [found for found in pattern.finditer(text) if depths[found.start()] == 0]


def _encloses(text: str, close: int) -> bool:
    """Return whether the bracket that the text opens with closes here and not before."""
    depth = 0
    for place, sign in enumerate(text):
        depth += sign in "([{" or text.startswith("\\langle", place)
        depth -= sign in ")]}" or text.startswith("\\rangle", place)
        if depth == 0 and place >= close:
            return True
        if depth == 0 and not (sign == "\\" and place + 1 < len(text)):
            return False
    return False
