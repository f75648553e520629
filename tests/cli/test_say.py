"""Names from outside cannot steer a terminal, forge a line or put markup into a picture."""

from __future__ import annotations

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest

import parammem.cli
from parammem import cli
from parammem.cli.say import say
from parammem.core.event import RolledBack, make_event
from parammem.errors import DataError
from parammem.evaluation.boxes import Box, draw
from parammem.lineage.rows.touched import BatchSeen, RowTrace, render_trace
from parammem.registry.ledger_text import as_text

HOSTILE = "</text><script>\x1b[2J\u202e\n  champion: v9\u2028.jsonl"
SEEN = "</text><script>\\x1b[2J\\u202e\\x0a  champion: v9\\u2028.jsonl"
FILES = sorted(Path(parammem.cli.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_commands_print_in_one_way_only(file):
    """Whoever prints otherwise prints what came from outside as it came."""
    if file.name == "say.py":
        return
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "typer":
            assert node.attr not in ("echo", "secho"), f"line {node.lineno}: use parammem.cli.say"
        assert not (isinstance(node, ast.Name) and node.id == "print"), f"line {node.lineno}: use parammem.cli.say"


def test_what_is_printed_cannot_steer_the_terminal(capsys):
    say(f"one {HOSTILE}\ntwo")
    assert capsys.readouterr().out == "one </text><script>\\u001b[2J\\u202e\n  champion: v9\\u2028.jsonl\ntwo\n"


def test_an_error_shows_a_hostile_name_as_it_is(capsys, monkeypatch):
    def fail():
        raise DataError(f"no file {HOSTILE}")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert "\x1b" not in said.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert "\\u001b[2J\\u202e" in said


def test_a_picture_holds_a_hostile_name_as_text():
    picture = ElementTree.fromstring(
        draw([Box("a", 0, HOSTILE[:20], HOSTILE), Box("b", 1, "b", "b")], [("a", "b")], HOSTILE)
    )
    texts = [one.text or "" for one in picture.iter() if one.tag.endswith(("text", "title"))]
    assert texts.count(SEEN) == 2
    assert not [one for one in picture.iter() if one.tag.endswith("script")]


def test_a_row_and_its_source_are_one_line_each():
    trace = RowTrace(
        row_hash="ab" * 32, domain="code", task_id=HOSTILE,
        batches=(BatchSeen(batch="c" * 64, source=HOSTILE, time=None),),
        datasets=(), quarantined=(), recalled=None, adapters=(), evaluations=(), promotions=(),
    )  # fmt: skip
    said = render_trace(trace)
    assert said.count(SEEN) == 2
    assert len(said.split("\n")) == 9


def test_a_reason_in_the_ledger_forges_no_line():
    fact = RolledBack(domain="code", left=2, version=1, adapter="a" * 64, reason=HOSTILE)
    said = as_text([make_event(1, "2026-01-01T00:00:00Z", f"person {HOSTILE}", fact, "")], "code")
    assert SEEN in said
    assert len(said.split("\n")) == 2
