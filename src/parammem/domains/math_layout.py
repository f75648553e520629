r"""Mathematics on several rows: derivations, systems and lists in `aligned`, `align*`, `gather`, `cases`, `array`, or
with bare row breaks.

What such rows answer is written as one line. Matrices, and cases with conditions, stay as they are.
"""

from __future__ import annotations

import re

DISPLAYS = "equation|align|alignat|flalign|gather|multline|eqnarray|displaymath|math|dmath"
"""Environments that open mathematics by themselves."""
INNER = "aligned|alignedat|gathered|split|array|(?:d|r)?cases|[pbBvV]?matrix|smallmatrix"
"""Environments that stand within mathematics; models also write them without any."""
_ROWS = re.compile(rf"\\(?:begin|end)\{{(?:{DISPLAYS}|aligned|alignedat|gathered|split)\*?\}}(?:\[\w\])?(?:\{{\d+\}})?")
_GRID = re.compile(
    r"(?:\\left\s*+)?+(?:(?:\\\{|\\lbrace|\{)\s*+)?+\\begin\{(?P<kind>array|[dr]?cases)\}(?P<columns>\{[lcr|@{}\s]*\})?"
    r"(?P<body>.*)\\end\{(?P=kind)\}\s*(?:\\right\s*(?:\.|\\\}))?\}?",
    re.S,
)
_EDGE = re.compile(rf"\\(?P<edge>begin|end)\{{(?P<kind>{INNER})\}}")
_LEFT = re.compile(r"\\left\s*(?:\\\{|[(\[|.])\s*$")
_RIGHT = re.compile(r"\s*\\right\s*(?:\\\}|[)\]|.])")
_ASIDE = re.compile(
    r"\\(?:notag|nonumber|hline|hfill)(?![a-zA-Z])|\\(?:tag\*?|label|intertext|shortintertext)\{[^{}]*\}"
)
_BREAK = re.compile(r"\\\\\*?(?:\s*\[[\d.\s]*(?:pt|em|ex|mm|cm|in)\])?")
RELATION = re.compile(r"\\(?:leq?|geq?|leqslant|geqslant|neq?|approx|equiv|lt|gt)(?![a-zA-Z])|[=<>≤≥≈]")
_STEP = re.compile(
    r"(?:\\(?:Rightarrow|Longrightarrow|implies|therefore|iff|Leftrightarrow|Longleftrightarrow|to|rightarrow)"
    r"(?![a-zA-Z])|=>|⇒|⟹|∴|⇔|→|->|\\q?quad(?![a-zA-Z])|\\[ ,;:>]|~)\s*+"
)
_NAME = re.compile(r"\s*(?:\\?[a-zA-Z]+)(?:\s*_\s*(?:\w|\{\w+\}))?'*(?:\([a-zA-Z\d, ]*\))?\s*")
_NUMBER = re.compile(r"(?:[^a-zA-Z\\]|\\(?:[dtc]?frac|sqrt|pi|cdot|times|div|left|right|log|ln|[,;:! %$])(?![a-zA-Z])|"
                     r"\\text\{[^{}]*\})*\d?(?:[^a-zA-Z\\]|\\(?:pi|sqrt|[dt]?frac)(?![a-zA-Z]))*")  # fmt: skip


def on_one_line(text: str) -> str:
    r"""Return what mathematics on several rows says as its answer, on one line; any other text unchanged.

    Of a derivation the last row: `x &= 2 + 3 \\ &= 5` → 5, `2x &\le 6 \\ x &\le 3` → x \le 3. Rows that name different
    things with their values are a list: `x &= 3 \\ y &= 4` → x = 3, y = 4.
    """
    bare = _ROWS.sub(" ", text).strip()
    laid_out = bare != text.strip()
    grid = _GRID.fullmatch(bare)
    if grid and "\\begin" not in grid["body"] and (RELATION.search(grid["body"]) or "cases" in grid["kind"]):
        rows = _rows(grid["body"])
        if not all(_equation(row) for row in rows):
            return text if not laid_out else bare  # conditions, or the cells of a matrix
        return _answer(rows)
    inner = [bare[start:end] for start, end in blocks(bare)]
    hidden, place = "", 0
    for number, (start, end) in enumerate(blocks(bare)):
        hidden, place = f"{hidden}{bare[place:start]}\\nested{{{number}}}", end
    hidden += bare[place:]
    if grid or not (laid_out or "\\\\" in hidden or "&" in hidden):
        return bare if laid_out else text
    rows = _rows(hidden)
    if not rows:
        return text
    said = rows[0] if len(rows) == 1 and "&" not in rows[0] and not laid_out else _answer(rows)
    return re.sub(r"\\nested\{(\d+)\}", lambda found: inner[int(found.group(1))], said)


def blocks(text: str) -> list[tuple[int, int]]:
    """Return where the outermost environments of formulas begin and end, `\\left(` and `\\right)` around them
    included."""
    found: list[tuple[int, int]] = []
    opened: list[re.Match[str]] = []
    for edge in _EDGE.finditer(text):
        if edge["edge"] == "begin":
            opened.append(edge)
        elif opened and opened[-1]["kind"] == edge["kind"]:
            start = opened.pop().start()
            if not opened:
                found.append((start, edge.end()))
        else:
            opened = []
    around = []
    for start, end in found:
        left, right = _LEFT.search(text[max(0, start - 12) : start]), _RIGHT.match(text, end)
        both = left is not None and right is not None
        around.append((start - len(left.group()), right.end()) if left and right and both else (start, end))
    return around


def rows_with_conditions(text: str) -> list[tuple[str, str]] | None:
    """Return the (value, condition) pairs of a function that is defined by cases; None for anything else."""
    grid = _GRID.fullmatch(text.strip())
    if not grid or "\\begin" in grid["body"]:
        return None
    rows = [row.split("&") for row in _rows(grid["body"])]
    if not rows or any(len(row) != 2 for row in rows) or not any(RELATION.search(row[1]) for row in rows):
        return None
    return [(value.strip().rstrip(",;"), _condition(condition)) for value, condition in rows]


def _condition(text: str) -> str:
    text = re.sub(r"\\text(?:rm|bf|it)?\{([^{}]*)\}|\\(?:mathrm|mbox|operatorname)\{([^{}]*)\}", r" \1\2 ", text)
    text = re.sub(r"^\W*(?:if|for|when|where)\b", "", text.strip().rstrip(".,;"), flags=re.IGNORECASE)
    words = re.fullmatch(r"\s*(?:otherwise|else|elsewhere|all other \w+)\s*", text, re.IGNORECASE)
    return "\\text{otherwise}" if words else text.strip()


def _rows(text: str) -> list[str]:
    """Return rows that hold something, without their numbers and remarks."""
    rows = (_ASIDE.sub(" ", row).strip() for row in _BREAK.split(text))
    return [row for row in rows if row.strip(" &")]


def _equation(row: str) -> bool:
    """Return whether a row says one thing, its cells being only places to align: `x & = & 3`, not `x + 1 & x < 0`."""
    cells = [cell.strip() for cell in row.split("&")]
    first = RELATION.search(cells[0])
    if len([cell for cell in cells if cell]) == 1:
        return True
    after = next((cell for cell in cells[1:] if cell), "")
    return RELATION.match(after) is not None or (first is not None and not cells[0][first.end() :].strip())


def _answer(rows: list[str]) -> str:
    parted = [_parted(row) for row in rows]
    named = [(name, sign, value) for name, sign, value in parted if sign]
    if len(rows) > 1 and len(
        {name.replace(" ", "") for name, sign, value in named if _gives(name, sign, value)}
    ) == len(rows):
        return ", ".join(f"{name} = {value}" for name, _, value in named)
    if not named:
        return ", ".join(_whole(row).rstrip(",;") for row in rows)
    name, sign, value = parted[-1]
    if not sign:
        return _whole(rows[-1])
    above = next((place for place in range(len(parted) - 1, -1, -1) if parted[place][0]), 0)
    strict = next((one[1] for one in parted[above:] if one[1] not in ("", "=")), "=")
    if strict != "=":
        return f"{parted[above][0]} {strict} {value}".strip()
    if len(rows) == 1 or not name or _NAME.fullmatch(name) or _NUMBER.fullmatch(name):
        return value
    return f"{name} = {value}"


def _gives(name: str, sign: str, value: str) -> bool:
    """Return whether a row names a thing with its value: x = 3."""
    return sign == "=" and _NAME.fullmatch(name) is not None and _NUMBER.fullmatch(value) is not None


def _whole(row: str) -> str:
    return _STEP.sub(" ", row.replace("&", " ")).strip().rstrip(",;")


def _parted(row: str) -> tuple[str, str, str]:
    """Return left side, sign and last right side of a row, `a = b = c` being a = c; ("", "", row) of one without a
    sign."""
    text = _whole(row)
    signs = list(RELATION.finditer(_hidden(text)))
    if not signs:
        return "", "", text
    if len(signs) > 1 and any(sign.group() != "=" for sign in signs):
        return "", "", text  # 1 < x < 2
    return text[: signs[0].start()].strip(), signs[0].group(), text[signs[-1].end() :].strip().rstrip(",;.")


def _hidden(text: str) -> str:
    """Return the text with what stands in braces blanked out."""
    depth, made = 0, []
    for sign in text:
        depth = max(depth - (sign == "}"), 0)
        made.append(" " if depth else sign)
        depth += sign == "{"
    return "".join(made)
