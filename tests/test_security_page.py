"""The threat model of docs/security.md names modules and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
MODEL = PAGE.partition("## Threat model\n")[2].partition("\n## ")[0]
INPUTS = ("Experience", "Texts that a model writes", "Model servers", "Models, adapters",
          "Agents that are running", "Bundles, repositories", "Parameters and names")  # fmt: skip
MODULE = re.compile(r"`((?:[a-z_]+/)*[a-z_]+\.py)`")
TEST = re.compile(r"`((?:[a-z_]+/)*test_[a-z_]+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    """The cells of every row of the threat model's tables, heads and rules left out."""
    found = [line for line in MODEL.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in found]
    return [row for row in cells if row[0] != "what is put in" and set(row[0]) != {"-"}]


def functions(file: Path) -> set[str]:
    return {one.name for one in ast.parse(file.read_bytes()).body if isinstance(one, ast.FunctionDef)}


def test_every_way_in_has_a_table():
    heads = [line for line in MODEL.splitlines() if line.startswith("### ")]
    assert len(heads) == len(INPUTS)
    assert all(head.startswith(f"### {name}") for head, name in zip(heads, INPUTS, strict=True))
    assert MODEL.count("|---|---|---|---|") == len(INPUTS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_each_threat_names_what_stops_it_and_a_test_that_exists(row):
    assert len(row) == 4
    assert all(row)
    modules, tests = MODULE.findall(row[2]), TEST.findall(row[3])
    assert modules
    assert [name for name in modules if not (ROOT / "src/parammem" / name).is_file()] == []
    assert tests
    assert TEST.sub("", row[3]).strip(", ") == ""
    assert [name for file, name in tests if name not in functions(ROOT / "tests" / file)] == []


def test_every_test_file_that_the_page_names_exists():
    named = set(re.findall(r"`(?:tests/)?((?:[a-z_]+/)*test_[a-z_]+\.py)`", PAGE))
    assert named
    assert [name for name in named if not any((ROOT / "tests" / at / name).is_file() for at in ("", "sandbox"))] == []
