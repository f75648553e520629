"""Every regular expression of `src/` and `flows/`, found by their syntax trees, with inputs made to slow each down.

A new pattern is covered by being written: nothing has to be registered. The inputs follow from the pattern's own parse
tree: each thing that repeats is pumped, after what comes before it, with and without an end that cannot match, and what
comes before it is repeated too, since a search starts anew at each place.
"""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import re._parser as sre  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).parents[1]
FLAGS = re.compile(r"re\.[A-Z]+(?: \| re\.[A-Z]+)*")
METHODS = {"search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split"}
MANY = 20
"""A part that may come more often than this counts as unbounded."""
GENERIC = (
    "a", "A", "1", " ", "\n", "\t", "a.", "a ", "1,", "-", "_", "(", "[", "{", "<", "$", "\\", "#", "*", ">", '"', "'",
    "`", "a@", "a(", "a[", "a=", " \n", "1. ", "```\n", "~~~\n", "<think>", "\\boxed{", "answer is ", "def f(",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A pattern of the source, and how it is used there."""

    place: str
    """File below the root, and the name it is bound to or its line."""
    pattern: str
    flags: int
    methods: frozenset[str]


def patterns() -> list[Found]:
    """Every call of `re` with a pattern, in order of the files."""
    files = sorted(file for folder in ("src", "flows", "experiments") for file in (ROOT / folder).rglob("*.py"))
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    used = _methods_by_name(trees.values())
    return [found for file, tree in trees.items() for found in _of_file(file, tree, used)]


def _methods_by_name(trees: Any) -> dict[str, set[str]]:
    """Name of a compiled pattern → the methods that are called on it anywhere."""
    used: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                name = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
                used.setdefault(name, set()).add(node.attr)
    return used


def _of_file(file: Path, tree: ast.Module, used: dict[str, set[str]]) -> Iterator[Found]:
    names = {id(n.value): n.targets[0].id for n in ast.walk(tree)
             if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)}  # fmt: skip
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.args):
            continue
        if node.func.attr not in METHODS | {"compile"}:
            continue
        name = names.get(id(node), "")
        methods = used.get(name, set()) or {"finditer"} if node.func.attr == "compile" else {node.func.attr}
        shown = name or f"line {node.lineno}"
        pattern, flags = _pattern(file, node, name)
        yield Found(f"{file.relative_to(ROOT)}: {shown}", pattern, flags, frozenset(methods))


def _pattern(file: Path, node: ast.Call, name: str) -> tuple[str, int]:
    """The pattern's text: a compiled one of a module by importing it; what a function puts in is `name`."""
    if name and (module := _module(file)) is not None and isinstance(getattr(module, name, None), re.Pattern):
        compiled = getattr(module, name)
        text = compiled.pattern  # of bytes: the same characters as text
        return text if isinstance(text, str) else text.decode("latin-1"), compiled.flags & ~re.UNICODE
    flags = [arg for arg in node.args[1:] if FLAGS.fullmatch(ast.unparse(arg))] + [
        k.value for k in node.keywords if k.arg == "flags"
    ]
    value = 0
    for flag in map(ast.unparse, flags):
        if re.fullmatch(r"re\.[A-Z]+(?: \| re\.[A-Z]+)*", flag):  # not an argument such as re.escape(name)
            value |= int(eval(flag, {"re": re}))
    return _text(node.args[0]), value


def _module(file: Path) -> Any:
    base = ROOT / "src" if "src" in file.relative_to(ROOT).parts else ROOT
    try:
        return importlib.import_module(".".join(file.relative_to(base).with_suffix("").parts))
    except ImportError:
        return None


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "name" for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return "name"  # re.escape(…) and variables: what stands there is a name or a mark of ours


def attacks(pattern: str, flags: int, length: int) -> Iterator[str]:
    """Texts of about this length that are made to slow the pattern down."""
    seen = set()
    for before, unit in [*_pumps(sre.parse(pattern, flags), ""), *(("", unit) for unit in GENERIC)]:
        for text in (
            before + _many(unit, length) + "\x00",
            before + _many(unit, length),
            _many(before + unit, length) + "\x00",
            _many(before, length),
            _many(before + unit * 3, length),
        ):
            if text not in seen:
                seen.add(text)
                yield text


def _many(unit: str, length: int) -> str:
    return unit * (length // len(unit) + 1) if unit else ""


def _pumps(parsed: Any, before: str) -> Iterator[tuple[str, str]]:
    """(what comes before, what repeats) for everything unbounded in a parse tree."""
    for operation, argument in parsed:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, body = argument
            if most > MANY:
                yield from ((before, unit) for unit in _examples(body) if unit)
            yield from _pumps(body, before)
        elif name == "SUBPATTERN":
            yield from _pumps(argument[-1], before)
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from _pumps(branch, before)
                yield before, next(iter(_examples(branch)), "") or "a"
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from _pumps(argument[1], before)
        before += next(iter(_examples([(operation, argument)])), "")


def _examples(parsed: Any) -> list[str]:
    """A few texts that match a parse tree; the shortest ways through its repeats."""
    found = [""]
    for operation, argument in parsed:
        parts = _examples_of(str(operation), argument)
        found = [old + part for old in found[:4] for part in parts[:4]]
    return list(dict.fromkeys(found))


def _examples_of(name: str, argument: Any) -> list[str]:
    if name == "LITERAL":
        return [chr(argument)]
    if name == "NOT_LITERAL":
        return [mark for mark in "a 1\n" if ord(mark) != argument][:3]
    if name == "ANY":
        return ["a", " ", "("]
    if name == "IN":
        return _of_class(argument)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, _, body = argument
        return [unit * max(least, 1) for unit in _examples(body)] if least else ["", *_examples(body)[:2]]
    if name == "SUBPATTERN":
        return _examples(argument[-1])
    if name == "BRANCH":
        return [example for branch in argument[1] for example in _examples(branch)[:1]]
    return [""]


def _of_class(items: Any) -> list[str]:
    """Characters of a class: its own literals and ends of ranges first, then those of each category."""
    pattern = [("IN", items)]
    candidates = [chr(value) for kind, value in items if str(kind) == "LITERAL"]
    candidates += [chr(value[0]) for kind, value in items if str(kind) == "RANGE"]
    candidates += list("a 1_\nA(.,-\"'$é")
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    if negated:
        refused = {chr(value) for kind, value in items if str(kind) == "LITERAL"}
        return [mark for mark in "a 1_\nA(" if mark not in refused][:4] or ["é"]
    allowed = [mark for mark in dict.fromkeys(candidates) if _in_class(pattern[0][1], mark)]
    return allowed[:5] or ["a"]


def _in_class(items: Any, mark: str) -> bool:
    for kind, value in items:
        name = str(kind)
        if (name == "LITERAL" and ord(mark) == value) or (name == "RANGE" and value[0] <= ord(mark) <= value[1]):
            return True
        if name == "CATEGORY":
            shorthand = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}
            plain = str(value).removeprefix("CATEGORY_").removeprefix("NOT_")
            fits = re.fullmatch(shorthand[plain], mark) is not None
            if fits != ("NOT_" in str(value)):
                return True
    return False
