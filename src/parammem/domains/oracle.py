"""Right advice, written from an answer key by rule, for `parammem uptake` alone: it gives the answer away.

Its author is ORACLE, and no training row can have that author (core/reflection.py refuses it).
"""

from __future__ import annotations

import ast
import re
from typing import Literal

from parammem.core import AnswerKey
from parammem.core.domain_names import ENGLISH
from parammem.core.python_source import parse_python, unparsed
from parammem.domains.conventions import phrase, worded

Form = Literal["sentence", "list"]
LINES = 10
"""Steps that a list has at most."""
LONGEST = 160
"""Characters of a step."""


def oracle_advice(key: AnswerKey, form: Form) -> str:
    """Return right advice on a task; empty where its key has no solution to write it from.

    Args:
        form: sentence: the one thing that decides most; list: everything.
    """
    if key.facts:
        return _conventions(key, form)
    gold = key.gold.strip()
    if not gold:
        return ""
    return _program(gold, key, form) if key.domain == "code" else _answer(gold, form)


def _conventions(key: AnswerKey, form: Form) -> str:
    """Say, of a pocket task, the conventions that it leaves open, in the pocket language or in plain English."""
    facts = dict(list(key.facts.items())[: 1 if form == "sentence" else None])
    if key.tags.get("language") == ENGLISH:
        return worded(ENGLISH, facts)
    kind = key.tags.get("kind", "")
    return " ; ".join(filter(None, (kind, phrase(facts))))


def _program(gold: str, key: AnswerKey, form: Form) -> str:
    """Say, of a program, what its function returns, or all that the function does, line by line."""
    tree = parse_python(gold)
    if tree is None:
        return ""
    body = _body(tree, str(key.hidden.get("entry", "")))
    if form == "list":
        steps = [line for step in body for line in unparsed(step).splitlines()]
        return "A right solution does this:\n" + "\n".join(
            f"{number}. {_short(line.strip())}" for number, line in enumerate(steps[:LINES], 1)
        )
    returned = [node for step in body for node in ast.walk(step) if isinstance(node, ast.Return) and node.value]
    last = returned[-1].value if returned else body[-1]
    assert last is not None
    verb = "returns" if returned else "ends with"
    return f"A right solution {verb} `{_short(' '.join(unparsed(last).split()))}`."


def _body(tree: ast.Module, entry: str) -> list[ast.stmt]:
    """Return the statements of the function that is asked for, without its docstring; of a whole program, its own."""
    named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == entry]
    body = named[-1].body if named else tree.body
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(body) > 1:
        return body[1:]
    return body


def _answer(gold: str, form: Form) -> str:
    """Say, of a question, the answer; or the way to it, where the gold shows one."""
    steps = [line.strip() for line in gold.splitlines() if line.strip()]
    if form == "sentence" or len(steps) == 1:
        return f"The right answer: {_short(steps[-1].removeprefix('Answer:').strip())}."
    return "\n".join(f"{number}. {_short(step)}" for number, step in enumerate(steps[-LINES:], 1))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def of_length(text: str, words: int) -> str:
    """Return the first so many words of a text, with the space between them as it was."""
    found = re.match(rf"\s*(?:\S+\s*){{0,{words}}}", text)
    return found[0].strip() if found else ""
