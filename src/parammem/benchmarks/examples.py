"""Visible tests that a problem's own docstring states: `>>> f(1)` with its value, `f(1) == 2`, `f(1) should return 2`.

Only calls with literal arguments and a literal value are taken; prose that cannot be read so is left alone. Values stay
source text, because JSON has neither tuples nor sets.
"""

from __future__ import annotations

import ast
import doctest
import re

from parammem.core.python_source import literal_of, parse_expression, parse_python, unparsed

_STATES = re.compile(
    r"[\s`]*(?:==>|==|=>|->|➞|→|=|#\s*(?:returns|=>)?"
    r"|(?:will |should |must )?(?:returns?|be|equals?|give)s?\b|is\b|:)[\s`:]*"
)
_WORDED = re.compile(
    r"(?:\bFor|\bInput:)\s{0,9}(.{1,300}?)(?:,?\s{0,9}the (?:output|result) should be|\n\s{0,9}Output:)\s*", re.DOTALL
)
_PLAIN = re.compile(r"[-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?|True\b|False\b|None\b|true\b|false\b")
_GOES_ON = re.compile(r"[\w\"'\[(]|[ \t]*[-+*/%^]")
"""What follows a value only where it is part of something longer: `1 + 9`, `""text"`."""
_SPELLED = {"true": "True", "false": "False"}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_REACH = 2000
"""Characters that are looked at for one call or value."""


def stated_checks(prompt: str, entry: str) -> list[dict[str, str]]:
    """Return the examples in the docstring of `entry`, each once: {"name", "call", "expected"}, all source text."""
    text = _docstring(prompt, entry)
    found: dict[str, str] = {}
    worded = _worded(text, entry, _parameters(prompt, entry))
    for call, expected in [*_doctests(text, entry), *_stated(text, entry), *worded]:
        found.setdefault(call, expected)
    return [{"name": f"{call} == {expected}", "call": call, "expected": expected} for call, expected in found.items()]


def literal(text: str) -> bool:
    """Return whether this is the source of a plain Python value."""
    try:
        literal_of(text)
    except ValueError:
        return False
    return True


def literal_call(text: str, entry: str) -> str | None:
    """Return `f(1, k=[2])` in canonical spelling if `text` is a call of `entry` with literal arguments, else None."""
    node = parse_expression(text.strip())
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != entry:
        return None
    values = [*node.args, *(keyword.value for keyword in node.keywords)]
    named = all(keyword.arg for keyword in node.keywords)
    try:
        return unparsed(node) if named and all(literal(unparsed(value)) for value in values) else None
    except ValueError:
        return None


def assert_check(statement: str, entry: str) -> dict[str, str] | None:
    """Return the check that `assert f(1) == 2` states, if call and value are literal; else None."""
    tree = parse_python(statement.strip())
    node = tree.body[0] if tree is not None and len(tree.body) == 1 else None
    test = node.test if isinstance(node, ast.Assert) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq | ast.Is):
        return None
    try:
        call, expected = literal_call(unparsed(test.left), entry), unparsed(test.comparators[0])
    except ValueError:
        return None
    return {"name": f"{call} == {expected}", "call": call, "expected": expected} if call and literal(expected) else None


def _canonical(text: str) -> str:
    """Return a literal in canonical spelling."""
    node = parse_expression(text)
    return text if node is None else unparsed(node)


def _docstring(prompt: str, entry: str) -> str:
    """Return the docstring as it is written, escapes and all; the whole prompt where it cannot be found."""
    tree = parse_python(prompt)
    if tree is None:
        return prompt
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef)
            and node.name == entry
            and ast.get_docstring(node, clean=False) is not None
        ):
            return (ast.get_source_segment(prompt, node.body[0]) or "").strip().strip("\"'")
    return prompt


def _doctests(text: str, entry: str) -> list[tuple[str, str]]:
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:  # an example indented unlike its value
        return []
    found = []
    for example in examples:
        stated = assert_check(f"assert {example.source.strip()}", entry)
        call = literal_call(example.source, entry)
        want = " ".join(example.want.split("\n\n")[0].splitlines()).strip() or "None"
        if stated:
            found.append((stated["call"], stated["expected"]))
        elif call and literal(want):
            found.append((call, _canonical(want)))
    return found


def _stated(text: str, entry: str) -> list[tuple[str, str]]:
    """Return calls in the text that are followed by words or signs that state their value."""
    found = []
    for match in re.finditer(rf"(?<![\w.]){re.escape(entry)}\s*\(", text):
        taken = _call_at(text[match.start() : match.start() + _REACH], entry)
        if taken is None:
            continue
        call, length = taken
        rest = text[match.start() + length :][: 2 * _REACH]
        states = _STATES.match(rest)
        value = _value_at(rest[states.end() :][:_REACH]) if states else None
        if value is not None:
            found.append((call, value))
    return found


def _worded(text: str, entry: str, parameters: list[str]) -> list[tuple[str, str]]:
    """Find `For lst = [1], k = 2 the output should be 3` and `Input: [1]`, `Output: 3`."""
    found = []
    for match in _WORDED.finditer(text):
        node = parse_expression(f"{entry}({match.group(1)})")
        if not isinstance(node, ast.Call):
            continue
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        in_order = [*node.args, *(named[name] for name in parameters if name in named)]
        try:
            call = literal_call(f"{entry}({', '.join(map(unparsed, in_order))})", entry)
        except ValueError:
            continue
        value = _value_at(text[match.end() :][:_REACH])
        if call and value is not None and len(in_order) == len(parameters):
            found.append((call, value))
    return found


def _parameters(prompt: str, entry: str) -> list[str]:
    """Return names of the function's parameters; [] where they cannot be read."""
    tree = parse_python(prompt)
    if tree is None:
        return []
    heads = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry]
    return [argument.arg for argument in heads[-1].args.args] if heads else []


def _call_at(text: str, entry: str) -> tuple[str, int] | None:
    """Return the call that the text begins with, and how long it is."""
    for end in (place.end() for place in re.finditer(r"\)", text)):
        call = literal_call(text[:end], entry)
        if call:
            return call, end
    return None


def _value_at(text: str) -> str | None:
    """Return the literal that the text begins with; None if there is none, or if it is the beginning of something
    longer."""
    plain = _PLAIN.match(text)
    ends = [plain.end()] if plain else []
    closing = _BRACKETS.get(text[:1], text[:1] if text[:1] in ("'", '"') else "")
    ends += [place.end() + 1 for place in re.finditer(re.escape(closing), text[1:])] if closing else []
    for end in ends:
        if end >= _REACH:
            return None  # it may go on where nobody looks
        value = _SPELLED.get(text[:end], text[:end])
        if literal(value):
            return None if _GOES_ON.match(text[end:]) else _canonical(value)
    return None
