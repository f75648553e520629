"""Read Python source of models and third parties in this process: a syntax tree, a literal value, or nothing.

Such text makes `ast.parse` raise RecursionError and MemoryError (3,000 minus signs), ValueError (NUL bytes, integers of
more digits than Python reads) and warnings, and takes it minutes (a dotted name of 100,000 parts). All of it ends here.
`compile` is never called on it: it can end the process (100,000 `for` in one comprehension).
"""

from __future__ import annotations

import ast
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any

LONGEST = 60_000
"""Characters of a source that are looked into. The slowest known ones of this length take about four seconds."""
_FORMATTED = re.compile(r"""\b(?:f|rf|fr)["']""", re.IGNORECASE)
_LONG_FORMAT = 100_000
_quiet = threading.Lock()
"""Warning filters belong to the process: two threads that set them side by side could leave them changed."""


def parse_python(source: str, longest: int = LONGEST) -> ast.Module | None:
    """Return the syntax tree of a source; None where it has none, is too long, or Python cannot read it at all."""
    if len(source) > longest:
        return None
    try:
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except Exception:  # SyntaxError, ValueError, MemoryError, RecursionError, and what later versions raise
        return None


def parse_expression(source: str, longest: int = LONGEST) -> ast.expr | None:
    """Return the tree of one expression; None as for `parse_python`."""
    tree = parse_python(f"({source}\n)", longest)
    node = tree.body[0] if tree is not None and len(tree.body) == 1 else None
    return node.value if isinstance(node, ast.Expr) else None


def literal_of(text: str | ast.expr) -> Any:
    """Return the value of a Python literal.

    Raises:
        ValueError: it is none, or Python cannot read it, for whatever reason.
    """
    if isinstance(text, str) and len(text) > _LONG_FORMAT and _FORMATTED.search(text) and text.count("{") > 1000:
        raise ValueError("a literal holds no f-string")  # reading a long one takes minutes
    try:
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except Exception as error:
        raise ValueError(f"no Python literal: {type(error).__name__}: {str(error)[:100]}") from None


def unparsed(node: ast.AST) -> str:
    """Return the source of a tree in canonical spelling. Raises ValueError where it is nested too deeply to be
    written."""
    try:
        return ast.unparse(node)
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"too deep to be written: {type(error).__name__}") from None


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is loaded, in order: those within if, try, with and loops too."""
    stack = list(reversed(body))
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        inner = [part for name in ("body", "orelse", "finalbody") for part in getattr(node, name, [])]
        for handler in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
            inner += handler.body
        stack += reversed(inner)
