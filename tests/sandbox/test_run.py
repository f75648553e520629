"""What running a candidate means: plain module semantics, an outcome of its own for every limit, values by `==`."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from parammem.errors import SandboxError
from parammem.sandbox import Call, CandidateJob, ExecutionOutcome, Limits, Pool, equal, run, run_many
from parammem.sandbox.inner import scratch


def one(source: str, *args: object, **limits: Any) -> ExecutionOutcome:
    return run(source, "f", [Call(args=list(args))], Limits(**limits))[0]


def test_values_come_back_with_their_types():
    value = [None, True, 2**200, 1.5, "é", b"\x00", (1, 2), {"a": {1, 2}}, frozenset([3]), 1j, -math.inf]
    assert one("def f(x): return x", value).value == value
    assert math.isnan(one("def f(): return float('nan')").value)


def test_prints_belong_to_their_call():
    outcomes = run("print('load')\ndef f(x): print('call', x)", "f", [Call(args=[1]), Call(args=[2])])
    assert [outcome.stdout for outcome in outcomes] == ["call 1\n", "call 2\n"]


def test_exception_names_itself_and_its_line():
    outcome = one("def f(x):\n    y = 1\n    return y / x", 0)
    assert outcome.kind == "exception"
    assert outcome.error == "ZeroDivisionError: division by zero (line 3)"


def test_a_raised_call_does_not_end_the_next():
    outcomes = run("def f(x): return 1 // x", "f", [Call(args=[0]), Call(args=[1])])
    assert [outcome.kind for outcome in outcomes] == ["exception", "value"]


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("def f(): open('/etc/passwd')", "denied", "PermissionError"),
        ("def f():\n    while True: pass", "cpu", "CPU time"),
        ("import time\ndef f(): time.sleep(60)", "timeout", "did not finish within 0.5 seconds"),
        ("def f(): return [0] * 10**9", "memory", "memory"),
        ("def f(): print('x' * 10**6)", "output", "printed more than 1000 bytes"),
        ("def f(): return 'x' * 10**7", "undecodable", "returned more"),
        ("def f(): return object()", "undecodable", "not a plain value"),
        ("def f(): raise SystemExit(3)", "exception", "SystemExit: 3"),
        ("def g(): pass", "setup", "defines no 'f'"),
        ("def f(:", "setup", "SyntaxError"),
        ("raise ValueError('no')", "setup", "ValueError: no"),
    ],
)
def test_each_limit_has_its_own_outcome_in_words(source: str, kind: str, words: str):
    outcome = one(source, wall_seconds=0.5, cpu_seconds=0.2, memory_mb=128, output_bytes=1000)
    assert outcome.kind == kind
    assert words in outcome.error
    assert outcome.value is None


def test_calls_after_a_fatal_one_are_not_run_and_say_so():
    outcomes = run("import os\ndef f(x): os._exit(x)", "f", [Call(args=[3]), Call(args=[4])])
    assert [outcome.kind for outcome in outcomes] == ["exit", "exit"]
    assert "code 3" in outcomes[0].error
    assert "not run, because an earlier call" in outcomes[1].error


@pytest.mark.parametrize("number", [15, 35, 40, 64])
def test_a_program_ended_by_any_signal_is_a_crash_and_harms_no_other(number: int):
    bad = CandidateJob(source=f"import os\ndef f(): os.kill(os.getpid(), {number})", entry="f", calls=[Call()])
    good = CandidateJob(source="def f(): return 1", entry="f", calls=[Call()])
    outcomes = [rows[0] for rows in run_many([good, bad, good])]
    assert [outcome.kind for outcome in outcomes] == ["value", "crash", "value"]
    assert "SIG" in outcomes[1].error or str(number) in outcomes[1].error


def test_an_honest_program_may_have_as_many_threads_as_the_limit_says():
    source = (
        "import threading\ndef f():\n    go = threading.Event()\n"
        "    threads = [threading.Thread(target=lambda: (bytearray(10000), go.wait(5))) for _ in range(29)]\n"
        "    for thread in threads: thread.start()\n    go.set()\n    for thread in threads: thread.join()\n    return 29"
    )
    outcome = one(source)
    assert outcome.value == 29, outcome.error


def test_all_that_a_job_returns_has_a_limit_too():
    outcomes = run("def f(): return 'x' * 900", "f", [Call()] * 12, Limits(value_bytes=1000))
    kinds = [outcome.kind for outcome in outcomes]
    assert kinds == ["value"] * 8 + ["output"] * 4
    assert outcomes[8].error == "its calls returned more than 8000 bytes"
    assert "not run" in outcomes[9].error


def test_method_is_called_on_a_fresh_instance():
    source = "class Solution:\n    def solve(self, x): return x + 1"
    assert run(source, "Solution.solve", [Call(args=[1])])[0].value == 2


def test_stdin_program_runs_as_main_in_a_fresh_process_each():
    source = (
        "import sys, threading\nseen = []\n"
        "def main():\n    a, b = map(int, sys.stdin.readline().split())\n    seen.append(1)\n    print(a + b, len(seen))\n"
        "if __name__ == '__main__':\n    threading.Thread(target=main).start()\n"
    )
    outcomes = run(source, None, [Call(stdin="1 2\n"), Call(stdin="3 4\n")])
    assert [(outcome.kind, outcome.stdout) for outcome in outcomes] == [("value", "3 1\n"), ("value", "7 1\n")]


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nprint(sys.stdin.buffer.read().decode().strip())",
        "print(open(0).read().strip())",
        "import os\nprint(os.read(0, 100).decode().strip())",
        "print(input())",
        "import sys\nfor line in sys.stdin: print(line.strip())\nsys.exit(0)",
        "import os, sys\nprint(input())\nsys.stdout.flush()\nos._exit(0)",
        "import atexit\natexit.register(lambda: print(input()))",
    ],
)
def test_stdin_can_be_read_in_any_way(source: str):
    outcome = run(source, None, [Call(stdin="héllo\n")])[0]
    assert (outcome.kind, outcome.stdout.strip()) == ("value", "héllo"), outcome.error


@pytest.mark.parametrize(
    "source",
    [
        "out = open(1, 'w')\nout.write('5\\n')",
        "import os\nout = os.fdopen(os.dup(1), 'wb')\nout.write(b'5\\n')",
        "import io, sys\nprint(5)\nsys.stdout = io.StringIO()",
        "import sys\nprint(5)\nsys.stdout = None",
        "import sys\nsys.stdout = open(1, 'w')\nprint(5)\nsys.exit(0)",
    ],
)
def test_what_was_written_and_not_flushed_is_not_lost(source: str):
    assert run(source, None, [Call(stdin="")])[0].stdout == "5\n"


def test_prints_before_stdout_was_replaced_are_not_lost():
    source = "import io, sys\ndef f():\n    print('a')\n    sys.stdout = io.StringIO()"
    assert run(source, "f", [Call()])[0].stdout == "a\n"


def test_stdin_program_that_fails_is_no_value():
    outcomes = run("print(1 // int(input()))", None, [Call(stdin="0"), Call(stdin="1")])
    assert [outcome.kind for outcome in outcomes] == ["exception", "value"]
    assert run("import os\nos._exit(1)", None, [Call(stdin="")])[0].kind == "exit"


def test_scratch_folder_is_writable_bounded_and_private():
    source = (
        "import os, tempfile\ndef f(n):\n    with open('note', 'wb') as out: out.write(bytes(n))\n"
        "    with tempfile.NamedTemporaryFile() as t: t.write(b'x')\n    return os.listdir('.')"
    )
    fits = one(source, 100, file_bytes=100_000)
    assert fits.value == ["note"], fits.error
    assert one(source, 400_000, file_bytes=100_000).kind == "files"
    assert one(source, 100, file_bytes=0).kind == "denied"
    many = "import time\ndef f():\n    for i in range(40): open(str(i), 'wb').write(bytes(50_000))\n    time.sleep(3)"
    assert one(many, file_bytes=100_000).kind == "files"
    assert one("def f(): open('/tmp/hostile', 'w')", file_bytes=100_000).kind in ("denied", "exception")


FLOODS = {
    "deep": "for i in range(20):\n        os.mkdir('d' * 250)\n        os.chdir('d' * 250)\n    flood('')",
    "closed": "os.mkdir('h', 0o300)\n    flood('h/')",
    "deleted": "flood('', True)",
    "empty": "for i in range(500): os.close(os.open(f'x{i}', os.O_RDWR | os.O_CREAT))\n    time.sleep(0.5)",
    "many deep": "for i in range(300):\n        os.mkdir('d')\n        os.chdir('d')\n    time.sleep(0.5)",
}


@pytest.mark.parametrize("namespaces", [True, False])
@pytest.mark.parametrize("name", FLOODS)
def test_no_flood_of_files_hides_from_the_limit_or_stays(name: str, namespaces: bool):
    source = (
        "import os, time\nopened = []\ndef flood(folder, delete=False):\n    for i in range(50):\n"
        "        opened.append(os.open(f'{folder}x{i}', os.O_RDWR | os.O_CREAT))\n"
        "        os.write(opened[-1], bytes(100_000))\n"
        "        if delete: os.unlink(f'{folder}x{i}')\n    time.sleep(0.5)\n"
        f"def f():\n    {FLOODS[name]}\n    return 1"
    )
    before = scratch_folders()
    with Pool(1, namespaces=namespaces) as pool:
        job = CandidateJob(source=source, entry="f", calls=[Call()])
        outcome = pool.run([job], Limits(file_bytes=200_000))[0][0]
        assert outcome.kind == "files", outcome.error
        assert scratch_folders() <= before


def test_folders_that_refuse_to_be_read_or_written_are_removed(tmp_path: Path):
    place = tmp_path / "run"
    for path, mode in (("run/a/b", 0o000), ("run/c/d/e", 0o300), ("run/f", 0o500)):
        (tmp_path / path).mkdir(parents=True)
        if mode != 0o000:
            (tmp_path / path / "file").write_text("x")
        (tmp_path / path).chmod(mode)
    scratch.remove(str(place))
    assert not place.exists()


def scratch_folders() -> set[str]:
    return {name for name in os.listdir("/tmp") if name.startswith("run-")}


def test_verdicts_repeat():
    source = "import random\ndef f(): return random.random(), list({'a', 'b', 'c', 'd'}), hash('x')"
    with Pool(1) as pool, Pool(1) as other:
        job = CandidateJob(source=source, entry="f", calls=[Call()])
        assert pool.run([job])[0][0].value == other.run([job])[0][0].value


def test_many_jobs_keep_their_order():
    jobs = [CandidateJob(source="def f(x): return x * x", entry="f", calls=[Call(args=[n])]) for n in range(20)]
    assert [rows[0].value for rows in run_many(jobs, workers=2)] == [n * n for n in range(20)]


def test_function_calls_need_an_entry():
    with pytest.raises(SandboxError, match="entry"):
        run("x = 1", None, [Call(args=[1])])


def test_arguments_must_be_plain():
    with pytest.raises(SandboxError, match="not a plain value"):
        run("def f(x): return x", "f", [Call(args=[object()])])


@pytest.mark.parametrize(
    ("value", "expected", "options", "same"),
    [
        ([1, 2], [1, 2], {}, True),
        ((1, 2), [1, 2], {}, False),
        ((1, 2), [1, 2], {"json_values": True}, True),
        ({"a": (1, [2])}, {"a": [1, [2]]}, {"json_values": True}, True),
        (1, True, {}, True),
        (1.0, 1, {}, True),
        ("1", 1, {}, False),
        (b"x", "x", {}, False),
        (None, 0, {}, False),
        (0.1 + 0.2, 0.3, {}, False),
        (0.1 + 0.2, 0.3, {"tolerance": 1e-9}, True),
        ([0.1 + 0.2], [0.3], {"tolerance": 1e-9}, True),
        (10**400, 1.5, {"tolerance": 1e-9}, False),
        (math.nan, math.nan, {}, True),
        ({1, 2}, frozenset([1, 2]), {}, True),
        ({1: [2]}, {1: [2], 3: 4}, {}, False),
        ({1: [2]}, {1: [2.0]}, {}, True),
        (set(), {}, {}, False),
    ],
)
def test_equal_follows_plain_python(value: object, expected: object, options: dict[str, object], same: bool):
    assert equal(ExecutionOutcome(kind="value", value=value), expected, **options) is same  # type: ignore[arg-type]


def test_no_other_kind_is_ever_equal():
    assert not equal(ExecutionOutcome(kind="exception", value=3), 3)
