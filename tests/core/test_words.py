"""Facts about words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from parammem.core.words import count

ROOT = Path(__file__).parents[2]
READ_TWICE = (
    "(s) ", "(es) ", "goes on on", "In order", "who is champion now", "this look spent it", "of one core's",
    "are others than", "number of such tasks",
)  # fmt: skip
"""What an operator had to read twice."""
FILES = [file for folder in ("src/parammem", "flows", "experiments") for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize(("number", "said"), [(0, "0 faults"), (1, "1 fault"), (2, "2 faults")])
def test_a_noun_agrees_with_its_number(number, said):
    assert count(number, "fault") == said


def test_a_plural_may_be_named():
    assert [count(n, "batch", "batches") for n in (1, 3)] == ["1 batch", "3 batches"]


def texts(file: Path) -> list[tuple[int, str]]:
    """Every string of a file but its docstrings, with its line."""
    tree = ast.parse(file.read_bytes())
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in bare]
    return [(node.lineno, node.value) for node in found if isinstance(node.value, str)]


def test_no_message_has_words_that_had_to_be_read_twice():
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text[:60]}"
        for file in FILES
        for line, text in texts(file)
        if any(phrase in text for phrase in READ_TWICE)
    ]
    assert found == []
