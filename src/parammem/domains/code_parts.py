"""What a piece of Python defines, needs, reads and prints; and lines of plain Python in a text without fences.

Everything here looks at syntax trees and runs nothing.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from parammem.core.python_source import parse_python, statements

_BUILTINS = frozenset(vars(builtins)) | {"__name__", "__file__", "__doc__"}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PASSIVE = (*_DEFINITIONS, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Pass)
_TESTERS = frozenset({"unittest", "pytest", "doctest"})
_READERS = frozenset({"stdin", "input", "raw_input", "fileinput"})
_WRITERS = frozenset({"print", "stdout", "pprint"})
_STARTS = re.compile(
    r"@|(?:async\s+)?(?:def|for|with)\s|class\s|import\s|from\s+[\w.]+\s+import\b|(?:if|while|match)\b.*:|try\s*:|#|assert\s"
    r"|del\s|raise\b|global\s|(?:[rRbBuUfF]{0,2}(?:\"\"\"|'''|\"|'))|[A-Za-z_][\w.]*(?:\[[^\]]*\])*\s*(?:,.*)?(?::[^=]+)?"
    r"(?:[-+*/%&|^]|//|\*\*|<<|>>)?=(?!=)|[A-Za-z_][\w.]*\(|\(|\*"
)
_GOES_ON = re.compile(r"(?:else|finally)\s*+:|(?:elif|except|case)\b.*:|[)\]}]")
_LONGEST_UNIT = 400
"""Lines of one statement that are read together at most."""
_EFFORT = 3_000_000
"""Characters that are looked at, one time or again, before the search for plain Python in a text ends."""


@dataclass(frozen=True)
class Part:
    """A piece of code that Python can read."""

    code: str
    tree: ast.Module
    closed: bool = True

    @cached_property
    def defined(self) -> frozenset[str]:
        """Functions and classes with a body, and names that get a value, when it is loaded; no imports."""
        return frozenset(name for node in statements(self.tree.body) for name in _given(node) if not _elided(node))

    @cached_property
    def functions(self) -> frozenset[str]:
        """The functions and classes of these (`f = lambda …` too) that are no tests."""
        return frozenset(
            name
            for node in statements(self.tree.body)
            if not _elided(node) and not _is_test(node)
            and (isinstance(node, _DEFINITIONS) or isinstance(getattr(node, "value", None), ast.Lambda))
            for name in _given(node)
        )  # fmt: skip

    @cached_property
    def bound(self) -> frozenset[str]:
        """Every name that anything in it gives a meaning to, in whatever scope."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found.add(node.id)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, _DEFINITIONS):
                found.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def given(self) -> frozenset[str]:
        """Names that others can use when it was loaded before them, imports too."""
        return frozenset(name for node in statements(self.tree.body) for name in _bound_by(node) if not _elided(node))

    @cached_property
    def used(self) -> frozenset[str]:
        """Every name that it looks up."""
        return frozenset(n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))

    @cached_property
    def missing(self) -> frozenset[str]:
        """Names that it looks up, which neither it nor Python gives a meaning to."""
        if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(self.tree)):
            return frozenset()  # nobody can say
        return self.used - self.bound - _BUILTINS

    @cached_property
    def names(self) -> frozenset[str]:
        """Names and attributes that it mentions, and functions of files that it calls on 0 or /dev/stdin."""
        found = set(self.used)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Call) and node.args and _is_stdin(node.args[0]):
                found.add("stdin")
        return frozenset(found)

    @property
    def reads(self) -> bool:
        return bool(self.names & _READERS)

    @property
    def prints(self) -> bool:
        return bool(self.names & _WRITERS) or {"os", "write"} <= self.names

    @property
    def runs(self) -> bool:
        """Whether it does something when it is loaded, beside defining."""
        return any(not isinstance(node, _PASSIVE) and not _is_text(node) for node in self.tree.body) or any(
            isinstance(node, ast.Assign | ast.AnnAssign) and _calls(node) for node in self.tree.body
        )

    @property
    def is_program(self) -> bool:
        """Whether it reads its input and prints when it is run."""
        return self.runs and self.reads and self.prints

    @property
    def only_imports(self) -> bool:
        return all(isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node) for node in self.tree.body)

    @property
    def is_test(self) -> bool:
        """Whether it tests or shows a solution, and is none: it defines nothing but tests, or nothing at all."""
        if any(name.split(".")[0] in _TESTERS for name in self.names):
            return not self.functions
        return not self.functions and not self.only_imports and not self.reads and (self.runs or not self.defined)


def _given(node: ast.stmt) -> list[str]:
    """Return the names that a statement gives a meaning to in its own scope, imports aside."""
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return []
    return [name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)]


def _elided(node: ast.stmt) -> bool:
    """Return whether a function's body is left out: `...`, `pass`, a docstring, `raise NotImplementedError`."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return all(
        isinstance(step, ast.Pass)
        or (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
        or (isinstance(step, ast.Raise) and "NotImplemented" in ast.dump(step))
        for step in node.body
    )


def _is_test(node: ast.stmt) -> bool:
    name = getattr(node, "name", "")
    if isinstance(node, ast.ClassDef):
        return any("TestCase" in ast.dump(base) for base in node.bases) or name.startswith("Test")
    return name.startswith("test") or name in ("check", "run_tests")


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _calls(node: ast.stmt) -> bool:
    return any(isinstance(inner, ast.Call) for inner in ast.walk(node))


def _is_stdin(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (
        node.value == "/dev/stdin" or (node.value == 0 and type(node.value) is int)
    )


def part_of(code: str, closed: bool = True) -> Part | None:
    """Return the code as a part; None if Python cannot read it, or nothing in it does anything (`3`, `{"a": 1}`, `#
    …`)."""
    tree = parse_python(code)
    if tree is None or not any(_says(node) for node in tree.body):
        return None
    return Part(code, tree, closed)


def _says(node: ast.stmt) -> bool:
    """Return whether a statement is code. Prose can be read as a name (`Done`) or an annotation (`Note: this`)."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr | ast.ListComp)
    return not (isinstance(node, ast.AnnAssign) and node.value is None)


def needed(part: Part, names: frozenset[str]) -> str:
    """Return the statements of a part that give these names their meaning, its imports, and what those statements
    need."""
    wanted, before = set(names), None
    while wanted != before:
        before = set(wanted)
        for node in part.tree.body:
            if wanted & set(_bound_by(node)):
                wanted |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    lines = part.code.split("\n")
    kept = [
        "\n".join(
            lines[min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1 : node.end_lineno]
        )
        for node in part.tree.body
        if wanted & set(_bound_by(node)) and (not isinstance(node, ast.Expr))
    ]
    return "\n".join(kept)


def _bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    return [name for inner in statements([node]) for name in _given(inner)]


def plain_parts(text: str) -> list[Part]:
    """Return runs of lines that are Python, in a text that is mostly prose; each with as many statements as stand
    together."""
    parts: list[Part] = []
    run: list[str] = []
    known: set[str] = set()
    lines = text.split("\n")
    place, effort = 0, 0
    while place < len(lines) and effort < _EFFORT:
        size, cost = _unit(lines, place)
        effort += cost
        unit = part_of("\n".join(lines[place : place + size])) if size else None
        if unit and not (_bare(unit) and not unit.missing <= known):
            run += lines[place : place + size]
            known |= unit.bound
            place += size
            continue
        if run and (not lines[place].strip() or lines[place].startswith("#")):
            run.append(lines[place])
        elif run:
            parts += _made(run)
            run, known = [], set()
        place += 1
    return parts + _made(run)


def _made(run: Sequence[str]) -> list[Part]:
    part = part_of("\n".join(run).strip("\n"))
    return [part] if part else []


def _bare(unit: Part) -> bool:
    """Return whether it is a call alone, as prose may be: `O(n)`."""
    return all(isinstance(node, ast.Expr) for node in unit.tree.body)


def _unit(lines: Sequence[str], start: int) -> tuple[int, int]:
    """Return how many lines the statement that begins here has: those that are indented under it, and those that it
    needs to be whole; 0 if no statement begins here. And how many characters were looked at to say so."""
    if not _STARTS.match(lines[start]):
        return 0, len(lines[start])
    end = _below(lines, start + 1)
    cost = size = sum(map(len, lines[start:end]))
    while end < len(lines) and end - start < _LONGEST_UNIT and cost < _EFFORT and _wants_more(lines[start:end]):
        more = _below(lines, end + 1)
        size += sum(map(len, lines[end:more]))
        end, cost = more, cost + size
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    return end - start, cost + size


def _below(lines: Sequence[str], place: int) -> int:
    while place < len(lines) and (not lines[place].strip() or lines[place][0] in " \t" or _GOES_ON.match(lines[place])):
        place += 1
    return place


def _wants_more(lines: Sequence[str]) -> bool:
    """Return whether what was read so far is the beginning of a statement: a decorator, an open bracket or text."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    if last.startswith("@") or last.rstrip().endswith("\\"):
        return True
    text = "\n".join(lines)
    bare = re.sub(r"\"\"\"(?:.|\n)*?\"\"\"|'''(?:.|\n)*?'''", "", text)
    if '"""' in bare or "'''" in bare:
        return True
    bare = re.sub(r"#.*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", "", bare)
    return sum(bare.count(mark) for mark in "([{") > sum(bare.count(mark) for mark in ")]}")
