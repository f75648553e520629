"""Where code stands in a text: fenced blocks as a Markdown parser finds them, lines of Python, prompts of its shell.
Which of it is the solution, code_text.py says.

The parser is markdown-it with a rule of our own for fences. It differs from CommonMark's where models differ: a fence
line in a string of the program does not end its block, a block may be indented by any width, its lines may stand left
of the list that it belongs to, and the closing fence may follow the last line of code directly.
"""

from __future__ import annotations

import ast
import re
import textwrap
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from parammem.core.python_source import parse_python

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock

Language = Literal["python", "unnamed", "markdown", "other"]
OTHERS = frozenset(
    """
    bash sh shell zsh fish console terminal cmd bat powershell text txt plaintext plain output out stdout stdin input
    log traceback error json jsonl yaml yml toml ini cfg xml html css csv tsv sql diff patch c cpp c++ cxx h hpp cs
    csharp java kotlin kt scala js javascript jsx ts typescript tsx go golang rust rs ruby rb php perl pl r julia jl
    swift lua haskell hs ocaml matlab latex tex math mermaid dot makefile dockerfile pseudocode pseudo algorithm http
    """.split()
)
MARKDOWN = frozenset({"markdown", "md", "mdx", "gfm", "rst"})
FENCE = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})", re.MULTILINE)
"""A line that begins with a fence, also in a list or a quotation."""
_LATE = re.compile(r"(?<=\S)[ \t]+(```[ \t]*[\w+.-]*[ \t]*)$", re.MULTILINE)
_DEEP = re.compile(r"^(?=[ \t]{4,}(?:```|~~~))", re.MULTILINE)
_SHELL = re.compile(r"^[ \t]*(?:>>>(?:[ \t]|$)|In \[\d+\]:)", re.MULTILINE)
_PROMPT = re.compile(r"^[ \t]*(?:>>> ?|In \[\d+\]: ?)(.*)$")
_GOES_ON = re.compile(r"^[ \t]*\.\.\.:? ?(.*)$")
_REJECTING = re.compile(
    r"\b(?:wrong|incorrect|buggy|broken|for comparison|(?:do not|don['’]t|never|not) (?:write|do|use|like)|original|"
    r"your (?:code|version|attempt)|(?:previous|old|earlier) (?:code|version|attempt)|naive|too slow|"
    r"bad)\b|^before$|❌",
    re.IGNORECASE,
)
_OFFERING = re.compile(
    r"\b(?:fix\w*|correct\w*|improv\w*|better|rewr\w+|rewritten|new|updated?|final|refactor\w*|optimi[sz]\w*|working|"
    r"instead of|use this|using|without|solution|here is the code)\b",
    re.IGNORECASE,
)
_TYPED = re.compile(r"\A(?:(?:[$%] |C:\\|Python \d|\[(?:GCC|Clang|MSC)|Type \").*\n){0,5}(?=[ \t]*>>>)")
"""Lines above the first prompt of a Python shell."""
_TRIED = 12
"""Closing fences that are tried for one block."""
_FORGOTTEN = 30
"""Fences that somebody forgot to close are found up to this many; each costs a look at the rest of the text."""
_DEEPEST = 3
"""Blocks of Markdown in blocks of Markdown that are looked into."""


@dataclass(frozen=True)
class Block:
    """A piece of code in a text."""

    code: str
    language: Language
    closed: bool = True
    """False: the text ends before the block does."""
    rejected: bool = False
    """The words before it say that it is not the solution, but an earlier or a wrong one."""


def language_of(info: str) -> Language:
    """Return the language that an info string names: `python title="x"`, `{.python}`, `py3`, `python:src/x.py`,
    `x.py`."""
    words = re.split(r"[\s,;:={}()\[\]]+", info.strip().strip("{").strip().lstrip("."), maxsplit=1)
    word = words[0].lower()
    if re.match(r"(?:i?python|py|jupyter|sage)", word) or word.endswith(".py"):
        return "python"
    if word in MARKDOWN:
        return "markdown"
    return "other" if word in OTHERS else "unnamed"


def fenced_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a text, in order. Blocks of Markdown are given as the blocks that stand in them."""
    return _blocks(text, 0)


def loosely_fenced_blocks(text: str) -> list[Block]:
    """Return the same where fences stand at the end of a line of prose, or deep in a paragraph."""
    loose = _DEEP.sub("\n", _LATE.sub(r"\n\n\1", text))
    return [] if loose == text else _blocks(loose, 0)


def inline_code(text: str) -> list[Block]:
    """Return what stands between backticks within a line: ```` ```python print(1)``` ````, `` `print(1)` ``."""
    spans = [child for token in _parser().parse(text) for child in token.children or () if child.type == "code_inline"]
    return [Block(*_without_word(span.content.strip()), closed=True) for span in spans]


def _without_word(code: str) -> tuple[str, Language]:
    """Return code without the name of a language before it."""
    word, _, rest = code.partition(" ")
    return (rest.strip(), "python") if rest and language_of(word) == "python" else (code, "unnamed")


def _blocks(text: str, depth: int) -> list[Block]:
    found: list[Block] = []
    lines = text.split("\n")
    for token in _parser().parse(text):
        if token.type != "fence":
            continue
        language, code = language_of(token.info), token.content
        nested = language == "markdown" or (language != "python" and FENCE.match(code.lstrip("\n")))
        if nested and depth < _DEEPEST:
            found += _blocks(code, depth + 1)
        elif code.strip():
            rejected = _rejects(lines, token.map[0] if token.map else 0)
            found.append(Block(code.strip("\n"), language, token.meta["closed"], rejected))
    return found


def _rejects(lines: list[str], place: int) -> bool:
    """Return whether the last sentence before a block says that what follows is wrong, or what there was before."""
    above = next((line for line in reversed(lines[max(0, place - 3) : place]) if line.strip()), "")[-300:]
    sentence = re.split(r"[.!?]\s", above.strip(" *_#:"))[-1]
    return _REJECTING.search(sentence) is not None and not _OFFERING.search(sentence)


@cache
def _parser() -> MarkdownIt:
    """Return a parser of blocks and inline code. HTML, indented code, tables and the rest are prose to it: `<answer>`
    before a fence would otherwise hide the block."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("zero").enable(["blockquote", "list", "heading", "backticks"])
    parser.block.ruler.before("blockquote", "fence", _fence, {"alt": ["paragraph", "blockquote", "list"]})
    return parser


def _fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Return the rule for a fenced block: markdown-it's own, but for which line closes it."""
    line = _line(state, start)
    opened = re.match(r"(`{3,}|~{3,})(.*)", line)
    if not opened or (opened[1][0] == "`" and "`" in opened[2]):
        return False
    if silent:
        return True
    close, last = _close(state, start, end, opened[1], opened[2])
    again = _opened_again(state, start, close, opened[1])
    head = _code_after(opened[2])
    token = state.push("fence", "code", 0)
    token.info = opened[2].strip()[: len(opened[2].strip()) - len(head)] if head else opened[2]
    token.content = (head + "\n" if head else "") + _content(state, start, again or close) + ("" if again else last)
    token.meta = {"closed": bool(again) or close < end}
    state.line = again or min(end, close + 1)
    token.map = [start, state.line]
    return True


def _code_after(info: str) -> str:
    """Return code that stands in the opening line, after the language: ```` ```python def f(): ````."""
    word, _, rest = info.strip().partition(" ")
    looks = re.match(r"(?:async |def |class |import |from \w|@|print\(|[A-Za-z_]\w* = )", rest)
    return rest.strip() if looks and language_of(word) == "python" else ""


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()


def _content(state: StateBlock, start: int, close: int) -> str:
    return state.getLines(start + 1, close, state.sCount[start], True)


def _close(state: StateBlock, start: int, end: int, mark: str, info: str) -> tuple[int, str]:
    """Return the line that closes the block (`end`: none does), and what stands in it before the fence.

    It is the first line with a fence alone, as in CommonMark; but if the lines before it are no Python and those before
    a later one are, it is that one: the earlier stood in a string. Then a fence at the end of a line of code counts.
    """
    alone = re.compile(rf"{re.escape(mark[0])}{{{len(mark)},}}")
    places = _places(state, start, end, mark)
    language = language_of(info)
    if language in ("markdown", "other"):
        nested = language == "markdown"
        return _plain_close(state, places, alone, nested, end), ""
    first, tried = end, 0
    for number in places:
        line = state.src[state.bMarks[number] : state.eMarks[number]].rstrip()
        closing = alone.fullmatch(_line(state, number)) is not None
        first = min(first, number) if closing else first
        last = "" if closing else line.removesuffix(mark)
        if not closing and (not line.endswith(mark) or last.endswith(mark[0])):
            continue
        code = _content(state, start, number) + last
        if (closing or code.strip()) and _reads(code) and not (first < number and not code.strip()):
            return number, last
        tried += 1
        if tried >= _TRIED or (closing and code.count('"""') % 2 == code.count("'''") % 2 == 0):
            break  # only in a string that goes on over lines can a fence stand alone
    if first == end:
        first = _plain_close(state, places, alone, False, end)
    return first, ""


def _opened_again(state: StateBlock, start: int, close: int, mark: str) -> int:
    """Return the first line before the closing one that opens a block of Python anew, where the lines above it are
    Python: the fence between the two was forgotten. 0 if there is none. (In a string, what stands above is none.)"""
    opening = re.compile(rf"{re.escape(mark)}\s?py\w*")
    places = _places(state, start, close, mark)[:_TRIED]
    again = next((number for number in places if opening.fullmatch(_line(state, number))), 0)
    above = _content(state, start, again) if again else ""
    state.env["again"] = state.env.get("again", 0) + bool(again)
    return again if state.env["again"] <= _FORGOTTEN and above.strip() and _reads(above) else 0


def _places(state: StateBlock, start: int, end: int, mark: str) -> list[int]:
    """Return the lines after this one that a fence of this kind stands in; found once for the text."""
    key = f"lines with {mark[0]}"
    if key not in state.env:
        lines = range(state.lineMax)
        state.env[key] = [n for n in lines if mark[0] * 3 in state.src[state.bMarks[n] : state.eMarks[n]]]
    places = state.env[key]
    return places[bisect_right(places, start) : bisect_left(places, end)]


def _plain_close(state: StateBlock, places: list[int], alone: re.Pattern[str], nested: bool, end: int) -> int:
    """Return the first line with a closing fence alone. In a block of Markdown (`nested`) fences that open close before
    it."""
    depth = 0
    for number in places:
        line = _line(state, number)
        if alone.fullmatch(line):
            if depth == 0:
                return number
            depth -= 1
        elif nested:
            depth += bool(alone.match(line)) and "`" not in line.lstrip("`~")
    return next((n for n in places if alone.fullmatch(_line(state, n))), end)


def _reads(code: str) -> bool:
    """Return whether this is Python, as it is, indented as a whole, or behind prompts."""
    return parsed(code) is not None


def parsed(code: str) -> ast.Module | None:
    """Return the tree of a block's code. None: it is no Python."""
    return parse_python(plain(code))


def plain(code: str) -> str:
    """Return code at the left margin and without the prompts of a shell; what cannot be read so stays as it is."""
    if parse_python(code) is not None:
        return code
    if _SHELL.match(_TYPED.sub("", code.lstrip("\n"))):
        return without_prompts(code)
    moved = textwrap.dedent(code)
    return moved if moved != code and parse_python(moved) is not None else code


def without_prompts(text: str) -> str:
    """Return the statements typed into a Python shell. What it answered is left out, and so are expressions, which are
    asked for their answer."""
    typed: list[list[str]] = []
    going = False
    for line in text.split("\n"):
        begins, goes_on = _PROMPT.match(line), _GOES_ON.match(line)
        if begins:
            typed.append([begins[1]])
        elif going and goes_on and typed:
            typed[-1].append(goes_on[1])
        going = bool(begins or (going and goes_on))
    kept = []
    for lines in typed:
        code = "\n".join(lines).rstrip()
        tree = parse_python(code)
        if tree is None or not all(isinstance(node, ast.Expr) for node in tree.body):
            kept.append(code)
    return "\n".join(kept)


def has_prompts(text: str) -> bool:
    return _SHELL.search(text) is not None


def fence_after(line: str, inside: str) -> str:
    """Return the fence that is open after this line, if `inside` was before it; "" for none. For lines of a text that
    is not parsed as a whole, as the items of a list."""
    match = re.match(r"[ \t]*(`{3,}|~{3,})(.*)", line)
    if not match:
        return inside
    mark, info = match[1], match[2]
    if not inside:
        return "" if mark[0] == "`" and "`" in info else mark
    closes = mark[0] == inside[0] and len(mark) >= len(inside) and not info.strip()
    return "" if closes else inside


def open_fence(text: str) -> str:
    """Return the fence that a text leaves open; "" if all are closed."""
    inside = ""
    for line in text.split("\n"):
        inside = fence_after(line, inside)
    return inside


def outside_fences(text: str) -> Iterator[str]:
    """Yield the lines of a text that stand in no fenced block."""
    inside = ""
    for line in text.split("\n"):
        before, inside = inside, fence_after(line, inside)
        if not before and not inside:
            yield line
