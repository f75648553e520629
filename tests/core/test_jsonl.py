"""Facts about JSON Lines files: a write happens whole or not at all, and a broken line is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.core import Task, read_jsonl, write_jsonl
from parammem.core.jsonl import iter_jsonl, write_text
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
