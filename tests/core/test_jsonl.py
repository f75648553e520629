"""Facts about JSON Lines files: a write happens whole or not at all, and a broken line is named."""

from __future__ import annotations

import errno
import functools
import gzip
import json
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.core import Task, jsonl, read_jsonl, write_jsonl
from parammem.core.jsonl import byte_lines, iter_jsonl, iter_lines, iter_values, text_lines, write_text
from parammem.errors import DataError, RecordError

OLD = [Task(task_id=str(i), domain="math", text=f"task {i}") for i in range(3)]


@pytest.fixture
def file(tmp_path) -> Path:
    write_jsonl(tmp_path / "tasks.jsonl", OLD)
    return tmp_path / "tasks.jsonl"


def alone(file: Path) -> bool:
    """No temporary file was left beside it."""
    return [path.name for path in file.parent.iterdir()] == [file.name]


@settings(max_examples=50, deadline=None)
@given(text=st.text(), visible=st.dictionaries(st.text(max_size=3), st.integers() | st.none() | st.text(max_size=3)))
def test_what_is_written_is_read_again(tmp_path_factory, text, visible):
    file = tmp_path_factory.mktemp("round") / "tasks.jsonl"
    task = Task(task_id="1", domain="qa", text=text, visible=visible)
    write_jsonl(file, [task, *OLD])
    assert read_jsonl(file, Task) == [task, *OLD]


def test_the_same_records_give_the_same_bytes_and_folders_are_made(tmp_path):
    write_jsonl(tmp_path / "a" / "b" / "one.jsonl", OLD)
    write_jsonl(tmp_path / "two.jsonl", iter(OLD))
    assert (tmp_path / "a" / "b" / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert (tmp_path / "two.jsonl").read_bytes().endswith(b"}\n")


def test_no_records_give_an_empty_file(tmp_path):
    write_jsonl(tmp_path / "none.jsonl", [])
    assert (tmp_path / "none.jsonl").read_bytes() == b""
    assert read_jsonl(tmp_path / "none.jsonl", Task) == []


def test_an_exception_while_records_are_made_leaves_the_old_file(file):
    before = file.read_bytes()

    def records():
        yield OLD[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(file, records())
    assert file.read_bytes() == before
    assert alone(file)


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_full_disk_leaves_the_old_file_and_no_litter(file, monkeypatch, step):
    before = file.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_jsonl(file, [])
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert alone(file)


def test_text_that_cannot_be_encoded_leaves_the_old_file(file):
    before = file.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "half a pair \ud800")
    assert file.read_bytes() == before
    assert alone(file)


def test_text_is_on_the_disk_before_it_takes_the_name(file, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("replace"), replace(a, b))[1])
    write_text(file, "new")
    assert steps == ["fsync", "replace"]
    assert file.read_text() == "new"


def test_written_files_can_be_read_by_others(file):
    assert file.stat().st_mode & 0o777 == 0o644


BROKEN = {
    "cut short": (b'{"task_id": "x", "domain"', "the line: Invalid JSON"),
    "unknown field": (b'{"task_id": "x", "domain": "math", "text": "?", "gold": 1}', "gold: Extra inputs"),
    "missing field": (b'{"task_id": "x", "domain": "math"}', "text: Field required"),
    "wrong type": (b'{"task_id": 7, "domain": "math", "text": "?"}', "task_id: Input should be a valid string"),
    "not an object": (b"[1, 2]", "the line: Input should be an object"),
    "not UTF-8": (b'{"task_id": "x", "domain": "math", "text": "\xff"}', "the line: Invalid JSON"),
}


@pytest.mark.parametrize(("line", "reason"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_line_names_file_line_and_reason_and_changes_nothing(file, line, reason):
    broken = file.read_bytes() + b"\n" + line + b"\n"
    file.write_bytes(broken)
    with pytest.raises(RecordError) as caught:
        read_jsonl(file, Task)
    said = str(caught.value)
    assert said.startswith(f"{file}:5: not a Task: {reason}")  # line 4 is empty and passed over
    assert said.endswith("mend or remove this line, nothing was changed")
    assert file.read_bytes() == broken


def test_lines_before_a_broken_one_are_yielded(file):
    file.write_bytes(file.read_bytes() + b"{")
    records = iter_jsonl(file, Task)
    assert [next(records) for _ in OLD] == OLD
    with pytest.raises(RecordError):
        next(records)


def test_a_separator_inside_a_text_is_no_new_line(tmp_path):
    tasks = [Task(task_id="1", domain="qa", text="a\u2028b\x85c\x0cd\re\nf")]
    write_jsonl(tmp_path / "x.jsonl", tasks)
    assert read_jsonl(tmp_path / "x.jsonl", Task) == tasks


@pytest.mark.parametrize("there", ["nothing", "a folder"])
def test_a_missing_file_is_named_with_what_to_do(tmp_path, there):
    if there == "a folder":
        (tmp_path / "tasks.jsonl").mkdir()
    with pytest.raises(DataError, match=r"no file '.*tasks\.jsonl'; .*`dvc repro`"):
        read_jsonl(tmp_path / "tasks.jsonl", Task)


ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1eh"


def test_lines_end_at_newline_bytes_only(tmp_path):
    rows = [{"name": ODD}, {"name": "next"}]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).replace("\\u000b", "\x0b")
    (tmp_path / "x.jsonl").write_text(text, encoding="utf-8")
    assert len(text.splitlines()) > 2, "the case is one"
    assert len(byte_lines(text.encode())) == len(text_lines(text)) == len(list(iter_lines(tmp_path / "x.jsonl"))) == 2
    assert json.loads(text_lines(text)[0].replace("\x0b", "\\u000b")) == rows[0]
    assert text_lines("") == []
    assert text_lines("a\n\nb\n") == ["a", "", "b"]
    assert byte_lines(b"\xef\xbb\xbf{}\r\n \n{}") == [b"{}", b"{}"]
    assert byte_lines(b'{"a":\r1}\n') == [b'{"a":\r1}'], "a lone CR is white space of JSON"


PLAIN = "".join(f"{task.line()}\n" for task in OLD).encode()
ARRAY = json.dumps([json.loads(task.line()) for task in OLD], indent=2).encode()
SAME_ROWS = {
    "byte order mark": ("x.jsonl", b"\xef\xbb\xbf" + PLAIN),
    "CR LF": ("x.jsonl", PLAIN.replace(b"\n", b"\r\n")),
    "no newline at the end": ("x.jsonl", PLAIN.rstrip()),
    "gz": ("x.jsonl.gz", gzip.compress(PLAIN)),
    "gz by another name": ("x.jsonl", gzip.compress(PLAIN)),
    "an array": ("x.json", ARRAY),
    "an array in .jsonl": ("x.jsonl", b"\n" + ARRAY),
    "an array with mark and gz": ("x.json.gz", gzip.compress(b"\xef\xbb\xbf" + ARRAY)),
    "lines in .json": ("x.json", PLAIN),
    "objects over several lines": (
        "x.json",
        b"\n".join(json.dumps(json.loads(t.line()), indent=1).encode() for t in OLD),
    ),
}


@pytest.mark.parametrize(("name", "data"), SAME_ROWS.values(), ids=list(SAME_ROWS))
def test_the_same_rows_are_read_from_every_form_of_file(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert read_jsonl(tmp_path / name, Task) == OLD
    assert [value for _, value in iter_values(tmp_path / name)] == [json.loads(task.line()) for task in OLD]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.recursive(st.text() | st.integers() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
    ),
    st.integers(1, 7),
    st.sampled_from([None, 1]),
)
def test_an_array_is_taken_apart_as_json_does(tmp_path_factory, values, block, indent):
    file = tmp_path_factory.mktemp("array") / "x.json"
    file.write_text(json.dumps(values, ensure_ascii=False, indent=indent), encoding="utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jsonl, "BLOCK", block)
        lines = list(iter_lines(file))
    assert [json.loads(line.data) for line in lines] == values
    for line in lines:
        assert file.read_bytes()[line.offset : line.offset + line.size] == line.data


def test_a_broken_element_of_an_array_is_named_and_costs_no_neighbour(tmp_path):
    (tmp_path / "x.json").write_bytes(b'[{"a": 1}, nonsense, {"b": "]},"}')
    assert [line.data for line in iter_lines(tmp_path / "x.json")] == [b'{"a": 1}', b"nonsense", b'{"b": "]},"}']
    with pytest.raises(RecordError, match=r"x\.json:2: not JSON: "):
        list(iter_values(tmp_path / "x.json"))


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_no_more_of_a_line_is_kept_than_allowed(tmp_path, name):
    text = [b'"' + b"x" * 5000 + b'"', b"1"]
    (tmp_path / name).write_bytes(b"[" + b",".join(text) + b"]" if name == "x.json" else b"\n".join(text))
    long, short = iter_lines(tmp_path / name, longest=100)
    assert (long.too_long, long.size - (name == "x.jsonl"), len(long.data)) == (True, 5002, 100)
    assert short.data == b"1"


def test_a_line_without_end_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_bytes(PLAIN + b"{" * 5000)
    monkeypatch.setattr(jsonl, "iter_lines", functools.partial(iter_lines, longest=1000))
    with pytest.raises(RecordError, match=r"x\.jsonl:4: not a Task: the line has 5000 bytes, and at most 1000"):
        read_jsonl(tmp_path / "x.jsonl", Task)


def test_broken_gzip_data_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(PLAIN * 100)[:-20])
    with pytest.raises(DataError, match=r"x\.jsonl\.gz: its gzip data is broken"):
        read_jsonl(tmp_path / "x.jsonl.gz", Task)


@pytest.mark.parametrize("blank", [b"\n", b" \r\n"])
def test_a_gzip_file_of_millions_of_blank_lines_is_passed_over_soon(tmp_path, blank):
    """Line by line it took a minute of CPU: 64 kB of gzip data hold as many as this."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(blank * (20 << 20) + b"{}\n" + blank * 3 + b"x", 1))
    began = time.process_time()
    found = list(iter_lines(tmp_path / "a.jsonl.gz"))
    assert [(line.number, line.data) for line in found] == [((20 << 20) + 1, b"{}"), ((20 << 20) + 5, b"x")]
    assert time.process_time() - began < 5


def test_blank_lines_are_counted_however_they_lie(tmp_path):
    draw = random.Random(3)
    pieces = [b"\n", b" \n", b"\r\n", b"\t", b"  ", b"1\n", b" 2\r\n", b"3", b"\n" * 9000, b" " * 9000, b"\x0c\n"]
    for _ in range(200):
        data = b"".join(draw.choices(pieces, k=draw.randrange(12)))
        expected = [(n, line.rstrip(b"\r")) for n, line in enumerate(data.split(b"\n"), 1) if line.strip()]
        for name, written in (("a.jsonl", data), ("a.jsonl.gz", gzip.compress(data, 1))):
            (tmp_path / name).write_bytes(written)
            found = list(iter_lines(tmp_path / name))
            assert [(line.number, line.data) for line in found] == expected
            assert all(data[line.offset :].startswith(line.data) for line in found)
