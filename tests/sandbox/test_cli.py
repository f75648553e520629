"""`parammem sandbox doctor | check | bench`: what they print and how they exit."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem.cli.sandbox import app
from parammem.errors import SandboxError
from parammem.sandbox import Pool, selftest

ROW = {
    "task_id": "T/1",
    "prompt": "def inc(x):\n    '''Add one.'''\n",
    "entry_point": "inc",
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "solution.py").write_text("def pair(x): return (x, x)\ndef halve(x): return x / 0\n")
    (tmp_path / "echo.py").write_text("print(input().upper())\n")
    return tmp_path


def check(folder: Path, calls: object, *options: str, solution: str = "solution.py"):
    (folder / "calls.json").write_text(calls if isinstance(calls, str) else json.dumps(calls))
    return CliRunner().invoke(app, ["check", str(folder / solution), "--calls", str(folder / "calls.json"), *options])


def test_check_exits_0_when_all_pass(files: Path):
    done = check(
        files, [{"args": [1], "expected": [1, 1]}, {"kwargs": {"x": "a"}, "expected": ["a", "a"]}], "--entry", "pair"
    )
    assert done.exit_code == 0, done.output
    assert "2 of 2 passed" in done.output


def test_check_exits_1_when_not_all_pass(files: Path):
    done = check(
        files, [{"args": [1], "expected": [1, 2]}, {"args": [1], "expected": [1, 1]}], "--entry", "pair", "--json"
    )
    assert done.exit_code == 1
    result = json.loads(done.output)
    assert [call["passed"] for call in result["calls"]] == [False, True]
    assert check(files, [{"args": [1], "expected": 0}], "--entry", "halve").exit_code == 1


def test_check_exits_2_when_it_could_not_be_run(files: Path, monkeypatch: pytest.MonkeyPatch):
    for calls in ("not json", [{"expects": 1}], {"args": []}):
        done = check(files, calls, "--entry", "pair")
        assert done.exit_code == 2
        assert "calls.json" in done.output
    assert check(files, [], "--entry", "pair", solution="none.py").exit_code == 2

    def refuse(*_: object) -> None:
        raise SandboxError("no Landlock here")

    monkeypatch.setattr("parammem.sandbox.run", refuse)
    done = check(files, [{"args": [1], "expected": [1, 1]}], "--entry", "pair", "--json")
    assert done.exit_code == 2
    assert json.loads(done.output)["error"] == "no Landlock here"


def test_check_shows_what_has_no_decimal_form(files: Path):
    (files / "solution.py").write_text("def f(x): return 10**5000\n")
    done = check(files, [{"args": [1], "expected": 1}], "--entry", "f")
    assert done.exit_code == 1
    assert "cannot be shown" in done.output


def test_check_runs_stdin_programs(files: Path):
    rows = [{"stdin": "hello\n", "expected": "HELLO\n"}]
    assert check(files, rows, solution="echo.py").exit_code == 0
    assert check(files, [{"stdin": "hello\n", "expected": "hello"}], solution="echo.py").exit_code == 1


def test_level_none_says_so(files: Path):
    done = check(files, [{"args": [1], "expected": [1, 1]}], "--entry", "pair", "--level", "none")
    assert "nothing was protected" in done.output
    assert check(files, [], "--level", "sort of").exit_code == 2


def test_bench_counts_and_times(tmp_path: Path):
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    done = CliRunner().invoke(app, ["bench", str(path), "--workers", "1", "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.output)
    assert (summary["problems"], summary["passed"], summary["failed"]) == (1, 1, [])
    assert summary["samples_per_second"] > 0
    path.write_text(json.dumps({**ROW, "canonical_solution": "    return x\n"}) + "\n")
    done = CliRunner().invoke(app, ["bench", str(path), "--workers", "1"])
    assert done.exit_code == 1
    assert "T/1" in done.output
    assert CliRunner().invoke(app, ["bench", str(tmp_path / "none.jsonl")]).exit_code == 2


@pytest.mark.parametrize("level", ["strict", "nofiles"])
def test_doctor_finds_every_forbidden_act_denied(level: str):
    done = CliRunner().invoke(app, ["doctor", "--json", "--level", level])
    report = json.loads(done.output)
    assert report["missing"] == ""
    assert done.exit_code == 0
    assert len(report["findings"]) >= 15
    assert all(finding["denied"] for finding in report["findings"])


def test_doctor_prints_a_table():
    done = CliRunner().invoke(app, ["doctor"])
    assert "denied" in done.output
    assert "TCP to this machine" in done.output


def left_of_acts() -> set[Path]:
    names = ("sandbox-act", f"sandbox-act-{os.getpid()}")
    return {path for place in ("/tmp", "/dev/shm") for name in names if (path := Path(place, name)).exists()}


def test_doctor_names_what_is_not_denied_at_level_none():
    before = left_of_acts()
    done = CliRunner().invoke(app, ["doctor", "--level", "none", "--json"])
    report = json.loads(done.output)
    assert done.exit_code == 2
    allowed = {finding["act"] for finding in report["findings"] if not finding["denied"]}
    assert {"read a file outside", "TCP to this machine", "fork", "run a program", "delete a file"} <= allowed
    assert "read a file outside" in report["missing"]
    assert "write in /tmp" in allowed
    assert left_of_acts() <= before


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv (util-linux)")
@pytest.mark.parametrize(("option", "name"), [("-setuid", "CAP_SETUID"), ("-setgid,-kill", "CAP_KILL, CAP_SETGID")])
def test_root_that_cannot_become_another_user_is_refused_and_told_what_it_lacks(option: str, name: str):
    with Pool(1, wrapper=["setpriv", f"--bounding-set={option}"]) as pool:
        report = selftest.self_test(pool=pool)
    assert not report.safe
    assert f"root without {name}" in report.missing


def test_doctor_holds_without_namespaces():
    with Pool(1, namespaces=False) as pool:
        report = selftest.self_test(pool=pool)
    assert report.safe, report.missing
    assert report.layers["namespaces"] == []


def test_a_level_that_cannot_be_had_is_refused_and_named(tmp_path: Path):
    """Landlock is taken away by a filter that answers its calls as an old kernel does."""
    wrapper = tmp_path / "old-kernel.py"
    wrapper.write_text(OLD_KERNEL)
    import sys

    for calls, missing in (("444", "Landlock"), ("317", "seccomp")):
        with Pool(1, wrapper=[sys.executable, "-S", str(wrapper), calls]) as pool:
            report = selftest.self_test(pool=pool)
        assert not report.safe
        assert missing in report.missing
    with Pool(1, "nofiles", wrapper=[sys.executable, "-S", str(wrapper), "444"]) as pool:
        assert selftest.self_test("nofiles", pool=pool).safe


OLD_KERNEL = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
denied = int(sys.argv[1])
op = lambda code, k, t=0, f=0: struct.pack("=HBBI", code, t, f, k)
code = op(0x20, 0) + op(0x15, denied, 0, 1) + op(6, 0x50000 | 38)
if denied == 317:  # a kernel without filters: prctl(PR_SET_SECCOMP) fails with EINVAL
    code += op(0x15, 157 if os.uname().machine == "x86_64" else 167, 0, 3) + op(0x20, 16) + op(0x15, 22, 0, 1) + op(6, 0x50000 | 22)
code += op(6, 0x7FFF0000)
buffer = ctypes.create_string_buffer(code, len(code))
class Prog(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("p", ctypes.c_void_p)]
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Prog(len(code) // 8, ctypes.addressof(buffer))), 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""
