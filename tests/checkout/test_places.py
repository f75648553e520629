"""Where the repository's files lie is said in one place, `checkout/places.py`: no other module spells such a path."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "parammem"
FOLDERS = "data|models|reports|ledger|.cache".replace(".", r"\.")
PATH = re.compile(rf"(?:{FOLDERS})/\S*")
FOLDER = re.compile(FOLDERS)
ALLOWED = {
    "checkout/places.py": "it is the place",
    "config.py": "defaults of params, below `checkout`",
    "overlays.py": "below `checkout`, and read by the bare package",
    "engines/openai/capabilities.py": "a prefix of the names of models on servers",
    "lineage/bundle/export.py": "names inside an evidence bundle",
    "lineage/bundle/verifier.py": "names inside an evidence bundle; it is a program that imports nothing of ours",
}


def spelled(tree: ast.Module) -> Iterator[str]:
    """Yield each string that is a path below one of the folders, and each such folder that a path is made from."""
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in spoken and PATH.fullmatch(str(node.value)):
            yield str(node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_root(node.left):
            yield from _folders([node.right])
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Path":
            yield from _folders(node.args)


def _is_root(node: ast.expr) -> bool:
    """Return whether a name stands for a folder that is not known here: `root`, `turn.tree`, but not `PROFILES`."""
    return (getattr(node, "attr", "") or getattr(node, "id", "")).islower()


def _folders(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and FOLDER.fullmatch(node.value):
            yield node.value


@pytest.mark.parametrize(
    "line",
    [
        'PLACE = Path("data") / "fresh"',
        'turn.tree / ".cache"',
        'x = "reports/metrics.json"',
        'f"models/{name}"',
        'x = ["data/"]',
    ],
)
def test_a_spelled_path_is_found(line):
    assert list(spelled(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    ['"""data/fresh holds them."""', 'x = "see data/fresh"', 'PROFILES / "models"', 'row["data"]', 'x = "database/y"'],
)
def test_what_is_no_path_is_not(line):
    assert not list(spelled(ast.parse(line)))


def test_no_module_but_places_spells_where_files_lie():
    found = {
        path.relative_to(SOURCES).as_posix(): sorted(spelled(ast.parse(path.read_text(encoding="utf-8"))))
        for path in sorted(SOURCES.rglob("*.py"))
    }
    new = {name: paths for name, paths in found.items() if paths and name not in ALLOWED}
    assert not new, f"take them from parammem.checkout.places, or add them there: {new}"
    assert [name for name in ALLOWED if not found[name]] == [], "what spells no path any more needs no exception"
