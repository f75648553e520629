"""Facts about text from outside that people are shown."""

from __future__ import annotations

import json
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from parammem.core.escape import UNSEEN, markdown, printable, shown


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("batch-1.jsonl", "batch-1.jsonl"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("two\nlines", "two\\x0alines"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u2028b\u0085c", "a\\u2028b\\x85c"),
        ("half \ud83d", "half \\ud83d"),
        ("日本 é ✓", "日本 é ✓"),
    ],
)
def test_a_name_is_one_visible_line(name, seen):
    assert shown(name) == seen


@given(st.text(), st.integers(2, 40))
def test_nothing_unseen_is_left_and_the_length_is_bounded(text, most):
    line = shown(text, most)
    assert len(line) <= most
    assert not {unicodedata.category(c) for c in line} & UNSEEN
    line.encode()


@pytest.mark.parametrize(
    "hostile",
    [
        "![x](http://e.org/x.png)", "[a](javascript:alert(1))", "<img src=x onerror=alert(1)>", "a | b | c", "# title",
        "*bold* _it_ `code` ~~gone~~", "<!-- comment", "&lt;b&gt;", "\\`x`", "a\n\n## heading", "$x$", "![](x)",
    ],
)  # fmt: skip
def test_markdown_shows_the_characters_and_nothing_else(hostile):
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"- {markdown(hostile)}")
    inline = [token for token in tokens if token.type == "inline"]
    assert {child.type for token in inline for child in token.children or ()} <= {"text", "text_special"}
    assert [token.content for token in inline] == [markdown(hostile)]


HOSTILE = "a\x1b[2J\x9b31m\r\u202egnp\u2028b\x7f\ud83d\U000e0041.jsonl"


def test_whole_texts_keep_their_lines_and_lose_what_steers():
    assert printable("one\n\ttwo é 日本 👩\u200d🔬") == "one\n\ttwo é 日本 👩\u200d🔬"
    assert printable(HOSTILE) == r"a\u001b[2J\u009b31m\u000d\u202egnp\u2028b\u007f\ud83d\udb40\udc41.jsonl"


@given(st.text())
def test_what_is_printed_of_json_means_the_same(text):
    assert json.loads(printable(json.dumps([text], ensure_ascii=False))) == [text]


def test_bytes_of_a_name_that_are_no_utf8_are_shown_as_bytes():
    assert shown(os.fsdecode(b"a\xff\x80.jsonl")) == "a\\xff\\x80.jsonl"
