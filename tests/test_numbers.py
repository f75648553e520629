"""Facts about numbers in messages: a noun behind a count is singular where the count is one ("1 fault")."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = ("domains", "pocket", "sandbox/inner")
"""Rooms whose texts are tasks and programs, and no messages."""
NOUNS = re.compile(r" (?:[a-z-]+ )?(?P<noun>[a-z]{2,}(?<!s)s)\b(?! of\b)")
NO_NOUNS = {
    "comes", "does", "finds", "goes", "has", "holds", "is", "its", "lacks", "names", "says", "stands", "takes", "this",
    "was",
}  # fmt: skip
MANY = {"bytes", "characters"}
"""Said of limits and of what exceeds them: never one."""
ALLOWED = {
    "lineage/bundle/verifier.py",  # travels in the bundle, alone: it has nothing of this project to import
    "lineage/rebuilds/environment.py",  # the text of a program
    "sandbox/asks.py",  # limits, which are many
    "engines/tokenizer_files.py",  # what exceeds a limit
}


def sources() -> dict[str, ast.Module]:
    """Return every source that may speak to people, by its path."""
    files = [file for folder in ("src/parammem", "flows", "experiments") for file in (ROOT / folder).rglob("*.py")]
    named = {file.relative_to(ROOT).as_posix().removeprefix("src/parammem/"): file for file in sorted(files)}
    return {
        name: ast.parse(file.read_text(encoding="utf-8"))
        for name, file in named.items()
        if not name.startswith(SKIPPED) and name not in ALLOWED
    }


def counting_fields(trees: Iterable[ast.Module]) -> set[str]:
    """Return the names of fields and properties that are whole numbers, of all classes."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and ast.unparse(part.annotation) in ("int", "int | None"):
                found.add(ast.unparse(part.target))
            elif isinstance(part, ast.FunctionDef) and part.returns and ast.unparse(part.returns) == "int":
                found.add(part.name)
    return found


def counts(node: ast.expr, known: set[str], fields: set[str]) -> bool:
    """Whether an expression is a whole number, as far as its own text and the names around it tell."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("len", "sum", "int")
    if isinstance(node, ast.BinOp):
        return counts(node.left, known, fields) and not isinstance(node.op, ast.Div | ast.Mod)
    if isinstance(node, ast.Attribute):
        return node.attr in fields
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value in fields
    return isinstance(node, ast.Name) and node.id in known


def whole_numbers(function: ast.AST, fields: set[str]) -> set[str]:
    """Return the variables of a function that are whole numbers: by their annotation, or by what they were set to."""
    known = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation) == "int":
            known.add(node.arg)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
                known |= {ast.unparse(one) for one, value in pairs if counts(value, known, fields)}
    return known


def plurals(tree: ast.Module, fields: set[str]) -> Iterator[tuple[int, str]]:
    """Return lines of f-strings in which a whole number stands before a noun that is always a plural."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in [*functions, tree]:
        known = whole_numbers(scope, fields) if scope is not tree else set()
        for node in ast.walk(scope):
            values = node.values if isinstance(node, ast.JoinedStr) else []
            for before, value, after in zip([None, *values], values, values[1:], strict=False):
                told = isinstance(before, ast.Constant) and str(before.value).endswith(" of ")
                share = ast.unparse(value).endswith(("f}", "g}", "%}"))
                if told or share or not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                    continue
                noun = NOUNS.match(str(after.value))
                if noun and noun["noun"] not in NO_NOUNS | MANY and counts(value.value, known, fields):
                    yield value.lineno, ast.unparse(value) + str(after.value)[:30]


@pytest.mark.parametrize(
    "text",
    [
        'f"{len(x)} faults"',
        'f"wrote {sum(x)} new files to"',
        'links = len(x) + 1; f"{links} links hold"',
        'f"{one.links} links hold"',
        "f\"{one['links']:,} links hold\"",
        'def f(n: int): return f"{n - 1} more rows"',
    ],
)
def test_a_plural_behind_a_count_is_found(text):
    text = text if text.startswith(("def", "f")) else f"def f():\n    {text}"
    assert {line for line, _ in plurals(ast.parse(text), {"links"})}


@pytest.mark.parametrize(
    "text",
    ['f"{len(x)} of {len(y)} tasks"', """f"{count(len(x), 'fault')} found" """, 'f"{x} is"', 'f"{name} links"',
     'f"{one.links} holds"', 'f"{one.share} tasks"'],
)  # fmt: skip
def test_what_is_right_as_it_is_is_passed(text):
    assert list(plurals(ast.parse(text), {"links"})) == []


def test_every_count_has_its_noun_by_core_words():
    trees = sources()
    fields = counting_fields(trees.values())
    assert len(trees) > 100, "the sources are found"
    found = {f"{name}:{line}: {text}" for name, tree in trees.items() for line, text in plurals(tree, fields)}
    assert found == set(), "say it with parammem.core.words.count"
