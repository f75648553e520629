"""Facts about benchmarks/size.py, which prints how large the code is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = '''"""A module
of two lines."""

import os  # a comment beside code


def one():
    """Docstring."""
    # a comment
    text = """a string
that is code"""
    return text
'''


@pytest.fixture(scope="module")
def size(repo_root: Path) -> Any:
    sys.path.insert(0, str(repo_root / "benchmarks"))
    import size  # pyright: ignore[reportMissingImports]

    sys.path.pop(0)
    return size


def test_code_is_counted_without_comments_docstrings_and_blank_lines(size):
    assert size.code_lines(SOURCE) == 5


def test_a_function_is_as_long_as_from_its_def_to_its_end(size):
    assert list(size.function_lengths(SOURCE)) == [6]


@pytest.fixture
def package(tmp_path: Path, repo_root: Path) -> Callable[[dict[str, str]], dict[str, int]]:
    """Figures of a package that is made of these files."""

    def measure(files: dict[str, str]) -> dict[str, int]:
        for name, text in {"__init__.py": "", "a/__init__.py": "", "b/__init__.py": "", **files}.items():
            file = tmp_path / "src/parammem" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        command = [sys.executable, str(repo_root / "benchmarks/size.py")]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        rows = [line.rsplit(maxsplit=1) for line in done.stdout.splitlines()[1:]]
        return {name.strip(): int(number.replace(",", "")) for name, number in rows}

    return measure


def test_circles_are_counted_by_modules_and_by_packages(package):
    later = "def f():\n    from parammem.a import z\n"
    found = package({"a/x.py": "import parammem.b.y\n", "b/y.py": later, "a/z.py": ""})
    assert found["files"] == 6
    assert found["imports between packages"] == 2
    assert (found["circles of modules"], found["circles of packages"]) == (0, 1)


def test_modules_that_import_each_other_are_a_circle(package):
    found = package({"a/x.py": "import parammem.a.z\n", "a/z.py": "import parammem.a.x\n\ndef f(): ...\n"})
    assert (found["circles of modules"], found["circles of packages"]) == (1, 0)
