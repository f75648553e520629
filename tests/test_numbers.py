"""Facts about numbers in messages: a noun behind a count is singular where the count is one ("1 fault")."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("checkout", "cli", "experience", "gate", "improve", "lineage", "registry", "tracking")
"""What people operate by. The rooms of the pipeline's stages are left out: their messages are about many."""
NOUNS = re.compile(r" (?:[a-z-]+ )?[a-z]{2,}(?<!s)s\b(?! of\b)")
ALLOWED = {
    "lineage/bundle/verifier.py",  # travels in the bundle, alone: it has nothing of this project to import
    "lineage/rebuilds/environment.py",  # the text of a program
}


def plurals(source: str) -> Iterator[tuple[int, str]]:
    """Return lines of f-strings in which a length or a sum stands before a noun that is always a plural."""
    for node in ast.walk(ast.parse(source)):
        values = node.values if isinstance(node, ast.JoinedStr) else []
        for before, value, after in zip([None, *values], values, values[1:], strict=False):
            told = isinstance(before, ast.Constant) and str(before.value).endswith(" of ")
            if told or not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            number = value.value
            counted = isinstance(number, ast.Call) and isinstance(number.func, ast.Name)
            if counted and number.func.id in ("len", "sum") and NOUNS.match(str(after.value)):  # pyright: ignore
                yield value.lineno, ast.unparse(value) + str(after.value)[:30]


def files() -> list[Path]:
    rooms = [ROOT / "src/parammem" / room for room in ROOMS]
    return sorted(file for room in [*rooms, ROOT / "flows"] for file in room.rglob("*.py"))


@pytest.mark.parametrize("text", ['f"{len(x)} faults"', 'f"wrote {sum(x)} new files to"'])
def test_a_plural_behind_a_count_is_found(text):
    assert [line for line, _ in plurals(text)] == [1]


@pytest.mark.parametrize(
    "text", ['f"{len(x)} of {len(y)} tasks"', """f"{count(len(x), 'fault')} found" """, 'f"{x} is"']
)
def test_what_is_right_as_it_is_is_passed(text):
    assert list(plurals(text)) == []


def test_every_count_has_its_noun_by_core_words():
    found = {
        f"{file.relative_to(ROOT)}:{line}: {text}"
        for file in files()
        if not file.as_posix().endswith(tuple(ALLOWED))
        for line, text in plurals(file.read_text(encoding="utf-8"))
    }
    assert found == set(), "say it with parammem.core.words.count"
