"""Facts about exceptions that reach the command line: one line with what to do, or a bug that says so."""

from __future__ import annotations

import errno
import gzip
import json
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from parammem.cli import exceptions
from parammem.errors import DataError


def raised(make) -> Exception:
    try:
        make()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def damaged_weights() -> None:
    from safetensors import safe_open

    Path("w.safetensors").write_bytes(b"\xff" * 30)
    safe_open("w.safetensors", "pt")


def template() -> None:
    import jinja2

    jinja2.Template("{% for %}")


def record() -> None:
    from parammem.core import Task

    Task.model_validate_json("{}")


FORESEEN = {
    "weights": (damaged_weights, 5, "fetch or train it again"),
    "template": (template, 5, "chat template"),
    "pickle": (lambda: pickle.loads(b"no pickle"), 5, "fetch or train it again"),
    "yaml": (lambda: yaml.safe_load("a: ["), 4, "mend it"),
    "json": (lambda: json.loads("{"), 4, "mend it"),
    "record": (record, 4, "another form"),
    "gzip": (lambda: gzip.decompress(b"no gzip"), 4, "damaged"),
    "text": (lambda: b"\xff".decode(), 4, "iconv"),
    "sqlite": (lambda: sqlite3.connect("/nowhere/x"), 5, "database"),
    "deep": (lambda: json.loads("[" * 100_000), 4, "nested"),
    "missing": (lambda: Path("nowhere.txt").read_text(), 4, "'nowhere.txt' cannot be used"),
    "folder": (lambda: Path().read_text(), 4, "'.' cannot be used"),
    "params": (lambda: Path("no/params.yaml").read_text(), 3, "params.yaml"),
    "connection": (lambda: (_ for _ in ()).throw(ConnectionResetError("gone")).__next__(), 5, "run again"),
}


@pytest.mark.parametrize("name", FORESEEN)
def test_what_the_world_can_cause_says_what_to_do_and_has_its_code(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, code, words = FORESEEN[name]
    end = exceptions.ending(raised(make))
    assert end.code == code
    assert words in end.message
    assert "this is a bug" not in end.message
    assert len(end.message) < 900
    assert not (tmp_path / ".cache").exists()


@pytest.mark.parametrize(
    ("module", "extra"), [("torch", "pipeline"), ("dvc.repo", "pipeline"), ("uvicorn", "service"), ("ray", "ray")]
)
def test_a_library_that_is_not_installed_is_named_with_the_extra_that_brings_it(module, extra):
    end = exceptions.ending(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert f'pip install "parammem[{extra}]"' in end.message
    assert end.code == 1


@pytest.mark.parametrize("module", ["parammem.nothing", "jsonn", None])
def test_a_module_of_ours_that_is_not_there_is_a_bug(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    is_bug = "this is a bug" in exceptions.ending(ModuleNotFoundError("No module", name=module)).message
    assert is_bug is (module != "jsonn")


def test_errors_of_ours_stay_as_they_are():
    assert exceptions.ending(DataError("a row")) == ("a row", 4)


@pytest.mark.parametrize("number", exceptions.FULL)
def test_a_full_disk_says_that_files_are_as_they_were(number):
    end = exceptions.ending(OSError(number, "no"))
    assert end.code == 1
    assert "make room" in end.message


def test_a_bug_says_so_and_where_its_traceback_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".cache").mkdir()
    end = exceptions.ending(raised(lambda: {}["missing"]))
    assert end.code == 1
    assert "this is a bug of parammem: KeyError: 'missing'" in end.message
    (kept,) = (tmp_path / ".cache/crashes").iterdir()
    assert kept.name in end.message
    assert "KeyError: 'missing'" in kept.read_text()
    assert "this is a bug" in exceptions.ending(OSError(errno.EBADF, "Bad file descriptor")).message


def run(folder: Path, broken: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; from parammem import cli; from parammem.cli import reflect\n"
        f"def fail(_): {broken}\n"
        f"reflect.read_task = fail; sys.argv = ['parammem', *{list(arguments)!r}, 'reflect', 'T.txt']; cli.main()"
    )
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)


def test_the_command_shows_one_line_and_with_debug_the_whole_traceback(tmp_path):
    done = run(tmp_path, "open('nowhere')")
    assert (done.returncode, done.stderr.count("\n"), "Traceback" in done.stderr) == (4, 1, False)
    bug = run(tmp_path, "1 / 0")
    assert bug.returncode == 1
    assert "this is a bug of parammem: ZeroDivisionError" in bug.stderr
    assert "Traceback" not in bug.stderr
    shown = run(tmp_path, "1 / 0", "--debug")
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr
    assert "in fail" in shown.stderr
