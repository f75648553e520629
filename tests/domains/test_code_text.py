"""Facts about which text of an answer is the program, by kind of answer."""

# ruff: noqa: E501 (tables of inputs)
from __future__ import annotations

import ast
import json
import textwrap
import time
from pathlib import Path

import pytest

from parammem.domains.code_text import program_in
from parammem.domains.real_code import source_of
from tests.domains.code_answers import ANSWERS, Answer

OWN = [json.loads(line) for line in (Path(__file__).parent / "own/code_text.jsonl").read_text().splitlines()]
"""Answers in HTML, LaTeX, JSON, notebooks, tokens of chat templates, false fences, copies of chats; versions that the words
above them reject; drafts and plans."""


def shape(code: str) -> str:
    """The syntax tree: comments and blank lines do not count, and neither does the margin of a body."""
    body = textwrap.indent(textwrap.dedent(code), "    ")
    return ast.dump(ast.parse(f"def _():\n{body}"))


@pytest.mark.parametrize(
    "answer", [pytest.param(one, id=f"{kind} {n}") for kind, some in ANSWERS.items() for n, one in enumerate(some)]
)
def test_the_program_is_found(answer: Answer):
    found = program_in(answer.text, answer.spec)
    assert shape(found) == shape(answer.want), found


def test_programs_in_texts_of_our_own_are_found():
    assert len(OWN) >= 401
    found = [(row, program_in(row["text"], row.get("spec"))) for row in OWN]
    assert [
        (row["text"], code) for row, code in found if code != row["want"] and shape(code) != shape(row["want"])
    ] == []


def test_every_kind_has_at_least_five_answers():
    assert min(map(len, ANSWERS.values())) >= 5


BODIES = [
    "    s = 0\n    for x in xs:\n        s += x\n    return s\n\n\ndef other():\n    pass",
    "s = 0\n    for x in xs:\n        s += x\n    return s",
    "s = 0\nfor x in xs:\n    s += x\nreturn s",
    "\treturn sum(xs)",
    "  return sum(xs)",
    "return sum(xs)",
    "    # adds\n    return sum(xs)",
    "    if not xs:\n        return 0\n\n    return sum(xs)",
]


@pytest.mark.parametrize("body", BODIES)
def test_a_bare_completion_is_taken_whole_and_its_lost_indentation_is_given_back(body):
    """A server or a chat strips the first line's spaces, or all of them."""
    spec = {"entry": "total", "stub": 'def total(xs):\n    """Add up."""\n'}
    found = program_in(body + "\n", spec)
    assert found.split() == body.split()
    space: dict = {}
    exec(source_of(spec, found)[0], space)
    assert space["total"]([1, 2]) == 3


def test_words_behind_a_bare_completion_are_left_out():
    spec = {"entry": "total", "stub": 'def total(xs):\n    """Add up."""\n'}
    assert program_in("    return sum(xs)\n\nThis function adds, e.g. 1 and 2.\n", spec) == "    return sum(xs)"


def test_a_program_that_python_cannot_read_stays_as_it_was_written():
    broken = "def total(xs):\n    return sum xs)"
    assert (
        program_in(f"Here:\n```python\n{broken}\n```\nRun:\n```bash\npython total.py\n```", {"entry": "total"})
        == broken
    )
    assert program_in("n = int(input())\nprint n", {"entry": ""}) == "n = int(input())\nprint n"
    assert program_in("nothing of use") == "nothing of use"


HOSTILE = {
    "minus": "-" * 3000 + "1", "not": "not " * 50_000 + "1", "brackets": "(" * 100_000, "closed": "[" * 5000 + "]" * 5000,
    "nul": "def total(xs):\n    return 0\0", "surrogate": "def total(xs):\n    return '\ud800'", "digits": "x = " + "9" * 50_000,
    "for": "x = [y " + "for y in z " * 20_000 + "]", "dots": "import a" + ".b" * 100_000, "escapes": "x = '" + "\\d" * 20_000 + "'",
    "fences": "```\n" * 20_000, "nested": ">" * 20_000 + "```", "lists": "- " * 20_000 + "```python", "ticks": "`" * 99_999 + " `" * 9999,
    "quotes": 'x = """\n' * 20_000, "blocks": "```python\nx = (\n```\n" * 3000, "think": "<think>" * 20_000, "open": "<think>\n" * 9999 + "</think>",
    "decorators": "@a\n" * 20_000, "else": "if a: b\nelse:\n" * 9999, "prompts": ">>> (\n" * 20_000, "spaces": " " * 100_000 + "```",
    "answers": "<answer>" * 20_000, "answer lines": "<answer>\n" * 20_000, "words": "word " * 50_000, "lines": "def f(\n" * 20_000,
    "calls": "total(\n" * 20_000, "long fence": "```python\n" + "x = 1\n" * 40_000 + "```", "cut": "```python\n" + "x = (1,\n" * 20_000,
    "tags": "<code " * 30_000, "late": "a ```py\n" * 20_000, "indented": "    x = (\n\n" * 20_000, "channel": "<|channel|>analysis" * 9999,
    "slash": "x = 1 \\\n" * 20_000, "tilde": "~~~ a\n" * 20_000, "spans": "`a" * 50_000, "elif": "if a:\n pass\n" + "elif a:\n pass\n" * 9999,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_raises_or_takes_long(name):
    spec = {"entry": "total", "stub": "def total(xs):\n"}
    behind = f"{HOSTILE[name]}\n```python\ndef total(xs): return 1\n```"
    for text in (HOSTILE[name], f"```python\n{HOSTILE[name]}\n```", behind):
        started = time.process_time()
        assert isinstance(program_in(text, spec), str)
        assert time.process_time() - started < 20


@pytest.mark.parametrize("word", ["python", "Python3", "\npy"])
def test_a_lost_fences_language_is_no_line_of_the_program(word):
    program = "def total(xs):\n    return sum(xs)"
    assert program_in(f"{word}\n{program}", {"entry": "total"}) == program
    assert program_in("python = 3\nprint(python)", {"entry": ""}) == "python = 3\nprint(python)"
