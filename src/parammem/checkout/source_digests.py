"""Digests of the source files that a module can reach: what a stage depends on, instead of naming its sources.

A digest is of the syntax tree without docstrings and comments, so that only an edit that can change what runs changes
it. It says nothing of positions, nor of fields that some versions of Python leave out where they are empty.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from parammem.errors import DataError

PACKAGE = "parammem"
UNCOUNTED = {
    PACKAGE: "sets how threads wait, and imports its two exports only for who asks for them",
    f"{PACKAGE}.config": "checks params.yaml, which DVC watches key by key and which leaves no key to a default",
    f"{PACKAGE}.sections": "a part of config",
    f"{PACKAGE}.domain_params": "a part of config",
    f"{PACKAGE}.errors": "texts for people",
}
"""Modules that cannot change what a stage writes → why. They are neither counted nor followed."""
_NAMED = re.compile(rf"{PACKAGE}(\.\w+)+")
_UNCOUNTED_FIELDS = {"kind", "type_comment", "type_ignores"}


class SourceFile(NamedTuple):
    """What one source file says."""

    digest: str
    """SHA-256 of its syntax tree without docstrings and comments. Docstrings count where a module uses `__doc__`."""
    names: tuple[str, ...]
    """Names that may be modules: imported, or standing in a text."""
    place: bool
    """It asks for `__file__`, so it may read or start whatever is beside it."""


class Sources:
    """The files of the package below a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, SourceFile] = {}

    def reachable(self, entry: str) -> dict[str, str]:
        """Return digests of all files that a module can reach.

        Reached are, from the module itself on: what is imported at the top or inside a function, but not for the type
        checker alone; the `__init__` of every package on the way; modules whose full name stands in a text (a process
        is started with `-m NAME`); and, of a module that asks for `__file__`, everything in its folder.

        Returns:
            Path of each file, from the folder on → its SHA-256, in the order of the paths.

        Raises:
            DataError: there is no such module, or a file that is reached is no Python.
        """
        if self._file(entry) is None:
            raise DataError(f"there is no module {entry} below {self.folder}")
        found: dict[Path, str] = {}
        waiting, seen = [entry], set(UNCOUNTED)
        while waiting:
            name = waiting.pop()
            file = None if name in seen else self._file(name)
            seen.add(name)
            if file is None:
                continue
            source = self._source(name, file)
            found[file] = source.digest
            waiting += [name.rpartition(".")[0], *source.names]
            if source.place:
                modules, others = self._beside(file)
                waiting += modules
                found |= others
        return {file.relative_to(self.folder).as_posix(): found[file] for file in sorted(found)}

    def _source(self, name: str, file: Path) -> SourceFile:
        if name not in self._read:
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            try:
                self._read[name] = read_source(file.read_bytes(), package)
            except (SyntaxError, ValueError) as error:
                raise DataError(f"{file} is no Python: {error}") from error
        return self._read[name]

    def _file(self, module: str) -> Path | None:
        """Return the file of a module of the package; None for what is none."""
        if module.partition(".")[0] != PACKAGE:
            return None
        base = self.folder.joinpath(*module.split("."))
        return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)

    def _beside(self, file: Path) -> tuple[list[str], dict[Path, str]]:
        """Return what is in a module's folder: names of modules, and other files with the SHA-256 of their bytes."""
        there = [path for path in file.parent.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        parts = [path.relative_to(self.folder).with_suffix("").parts for path in there if path.suffix == ".py"]
        others = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in there if path.suffix != ".py"}
        return [".".join(one).removesuffix(".__init__") for one in parts], others


def sources_of(root: Path) -> Path:
    """Return the package's folder: the repository's own, or else where it is installed."""
    return root / "src" if (root / "src" / "parammem").is_dir() else Path(__file__).parents[2]


def read_source(data: bytes, package: str) -> SourceFile:
    """Return what a source says. Raises SyntaxError or ValueError where it is no Python.

    Args:
        package: the full name of the package that it is in, from which relative imports start.
    """
    tree = ast.parse(data)
    walk = _Walk(package, keep_texts=b"__doc__" in data and _uses(tree, "__doc__"))
    walk.tree(tree)
    digest = hashlib.sha256("\n".join(walk.said).encode("utf-8", "surrogatepass")).hexdigest()
    place = b"__file__" in data and any(isinstance(n, ast.Name) and n.id == "__file__" for n in ast.walk(tree))
    return SourceFile(digest, tuple(sorted(walk.names)), place)


def changed_sources(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return paths that one of two sets of digests lacks or has another digest of."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def _uses(tree: ast.Module, word: str) -> bool:
    return any(word in (getattr(node, "id", ""), getattr(node, "attr", "")) for node in ast.walk(tree))


class _Walk:
    """One walk over a syntax tree, which says all that counts of it and collects the names that it may reach."""

    def __init__(self, package: str, keep_texts: bool) -> None:
        self._package, self._keep_texts = package, keep_texts
        self.said: list[str] = []
        self.names: set[str] = set()

    def tree(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.names.update(_imported(node, self._package))
        self.said.append(type(node).__name__)
        for field in node._fields:
            value = getattr(node, field, None)
            if (value is None or value == []) and not isinstance(node, ast.Constant):
                continue
            if field not in _UNCOUNTED_FIELDS:
                self.said.append(field)
                self._value(value)
        self.said.append(")")

    def _value(self, value: Any) -> None:
        if isinstance(value, ast.AST):
            self.tree(value)
        elif isinstance(value, list):
            for one in value:
                if not self._is_idle(one):
                    self._value(one)
        elif type(value) is int:
            self.said.append(hex(value))  # decimal digits of a large integer are refused
        else:
            self.said.append(repr(value))
            if isinstance(value, str) and _NAMED.fullmatch(value):
                self.names.add(value)

    def _is_idle(self, node: Any) -> bool:
        """Return whether a statement does nothing when it runs."""
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return isinstance(node.value.value, str) and not self._keep_texts
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return not node.orelse
        return isinstance(node, ast.Pass)


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1] if node.level else []
    base = ".".join([*above, *filter(None, [node.module])])
    # `from package import name`: name may be a module of its own or a thing inside the package.
    yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
