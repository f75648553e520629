"""Which calls a test program is going to make, as far as its text says so for certain.

They are sent to the child together, so that an assertion costs no round trip. What is planned decides no verdict:
the judge compares every call the tests make with the next one planned, and starts over without when they differ.
"""

from __future__ import annotations

import ast
from typing import Any

from . import wire

_MOST = 1000
"""Calls that are planned at most; the rest is made when it comes up."""


class _Unclear(Exception):
    """From here on the order of calls, or an argument, depends on more than the text."""


def calls(tree: ast.Module, entry: str) -> tuple[list[bytes], bool]:
    """Return the packed calls of `entry` that happen, in this order, unless an earlier assertion fails, and whether
    these are all.

    Statements in a straight line are read, first of the module, then of the body of its `check` (which is called with
    the candidate), until one branches, loops or calls the candidate with anything but literals.
    """
    found: list[bytes] = []
    try:
        check = _line(tree.body, {entry, "candidate"}, entry, found)
        if check is not None:
            parameters = [argument.arg for argument in check.args.args]
            _line(check.body, {entry, *parameters[:1]}, entry, found)
    except _Unclear:
        return found, False
    return found, True


def _line(body: list[ast.stmt], names: set[str], entry: str, found: list[bytes]) -> ast.FunctionDef | None:
    """Read statements into `found`; gives the function `check`, if it is defined here."""
    check = None
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            if statement.name in names or statement.decorator_list:
                raise _Unclear
            check = statement if statement.name == "check" else check
        elif isinstance(statement, ast.Assert):
            _expression(statement.test, names, entry, found)
        elif isinstance(statement, ast.Expr):
            _expression(statement.value, names, entry, found)
        elif isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
            if any(target.id in names for target in statement.targets if isinstance(target, ast.Name)):
                raise _Unclear
            _expression(statement.value, names, entry, found)
        elif not isinstance(statement, (ast.Import, ast.ImportFrom, ast.Pass)):
            raise _Unclear
    return check


_WHOLE = (
    ast.Attribute, ast.BinOp, ast.Dict, ast.FormattedValue, ast.JoinedStr, ast.List, ast.Set, ast.Slice, ast.Starred,
    ast.Subscript, ast.Tuple, ast.UnaryOp, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.keyword,
)  # fmt: skip
"""Expressions that evaluate all their parts, in the order of the text."""


def _expression(node: ast.AST, names: set[str], entry: str, found: list[bytes]) -> None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
        _call(node, entry, found)
    elif isinstance(node, ast.Name):
        if node.id in names:
            raise _Unclear  # the candidate itself is handed on: `map(candidate, ...)`
    elif isinstance(node, ast.Compare):
        _expression(node.left, names, entry, found)
        _expression(node.comparators[0], names, entry, found)
        _free(node.comparators[1:], names)
    elif isinstance(node, (ast.BoolOp, ast.IfExp)):
        first = node.values[0] if isinstance(node, ast.BoolOp) else node.test
        _expression(first, names, entry, found)
        _free(list(ast.iter_child_nodes(node)), names, but=first)
    elif isinstance(node, (ast.Call, *_WHOLE)):
        for part in ast.iter_child_nodes(node):
            _expression(part, names, entry, found)
    elif not isinstance(node, ast.Constant):
        raise _Unclear  # comprehensions, lambdas, walrus and what later Pythons bring


def _free(nodes: list[Any], names: set[str], but: ast.AST | None = None) -> None:
    """Raise _Unclear if parts that may or may not be evaluated speak of the candidate."""
    for node in nodes:
        if node is not but and any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node)):
            raise _Unclear


def _call(node: ast.Call, entry: str, found: list[bytes]) -> None:
    try:
        args = tuple(ast.literal_eval(argument) for argument in node.args)
        kwargs = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
        packed = wire.pack_call(entry, args, kwargs)
        if any(
            isinstance(part, ast.Set) for part in ast.walk(node)
        ):  # the text does not say in which order it is walked
            raise _Unclear
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise _Unclear from None
    if len(found) >= _MOST or any(keyword.arg is None for keyword in node.keywords):
        raise _Unclear
    found.append(packed)
