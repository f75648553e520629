"""Code in what tools print and what copying leaves: patches, notebooks, files that a shell command writes, numbered
lines, spaces and quotes of typesetting. Each becomes plain Python, where it can be read so.
"""

from __future__ import annotations

import json
import re
import textwrap
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from parammem.core.python_source import parse_python
from parammem.domains.code_blocks import Block

_PATCH = re.compile(r"^(?:\*\*\* Begin Patch|diff --git |@@ |--- \S)", re.MULTILINE)
_HEADER = re.compile(
    r"(?:\+\+\+ |--- |@@|diff |index |\*\*\* |\\ No newline|(?:new|deleted) file |similarity |rename |"
    r"(?:old|new) mode )"
)
_WRITTEN = re.compile(r"<<-?\s?(['\"]?)(?P<end>\w{1,40})\1")
_NUMBERED = re.compile(r"\s{0,8}(?P<number>\d{1,4})(?:\s?[|│]|[.:)])?[ \t]?(?P<code>.*)")
_TYPESET = {ord(space): " " for space in "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"}
_TYPESET |= {ord(nothing): "" for nothing in "\u200b\u200c\u200d\u2060\ufeff\u00ad"}
_TYPESET |= {ord(quote): plain for quote, plain in zip("‘’“”", "''\"\"", strict=True)}
_MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)


def copied_code(blocks: Sequence[Block], text: str) -> list[Block]:
    """Return the Python in blocks that are none as they stand; in a text without blocks, of a patch that stands in it.

    Each way is tried on each block, and what Python can read is kept.
    """
    found = []
    for block in blocks or _patches(text):
        codes = (code for way in WAYS for code in way(block.code))
        found += [Block(code, "python", block.closed) for code in codes if code.strip() and parse_python(code)]
    return found


def _patches(text: str) -> list[Block]:
    """Return a patch that stands in a text without a fence, up to the end of the text."""
    begun = _PATCH.search(text)
    return [Block(text[begun.start() :], "unnamed")] if begun else []


def _patched(code: str) -> Iterator[str]:
    """Yield what a patch leaves: its new lines and those that it keeps."""
    lines = [line for line in code.split("\n") if not _HEADER.match(line)]
    if any(line.startswith("+") for line in lines):
        kept = [line for line in lines if not line.startswith("-")]
        yield "\n".join(line[1:] if line[:1] in ("+", " ") else line for line in kept).strip("\n")


def _unnumbered(code: str) -> Iterator[str]:
    """Yield the lines without the numbers before them, where each has one and they count up."""
    found = [_NUMBERED.fullmatch(line) for line in code.split("\n") if line.strip()]
    numbers = [int(line["number"]) for line in found if line]
    if len(numbers) == len(found) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        yield textwrap.dedent("\n".join(line["code"] for line in found if line))


def _untypeset(code: str) -> Iterator[str]:
    """Yield the code with plain spaces and quotes."""
    plain = code.translate(_TYPESET)
    if plain != code:
        yield textwrap.dedent(plain)


def _cells(code: str) -> Iterator[str]:
    """Yield the code cells of a notebook as one program, without the notebook's own commands."""
    try:
        cells = json.loads(code)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return
    yield _MAGIC.sub("", "\n\n".join(source if isinstance(source, str) else "".join(source) for source in sources))


def _written(code: str) -> Iterator[str]:
    """Yield each file that a shell command writes with `<<EOF`."""
    lines = code.split("\n")
    places: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        places.setdefault(line.strip(), []).append(place)
    behind = 0
    for place, line in enumerate(lines):
        found = _WRITTEN.search(line) if place >= behind else None
        ends = places.get(found["end"], []) if found else []
        if (first := bisect_right(ends, place)) < len(ends):
            behind = ends[first] + 1
            yield "\n".join(lines[place + 1 : behind - 1])


WAYS: tuple[Callable[[str], Iterator[str]], ...] = (_patched, _unnumbered, _untypeset, _cells, _written)
