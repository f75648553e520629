"""Facts about the pipeline runner. No Prefect here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import ROOT
from flows import pipeline as dvc
from parammem.checkout.processes import TAIL_LINES
from parammem.errors import DataError
from tests.flows.conftest import alive

SLEEPER = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
CALLER = """
import sys
from pathlib import Path
from flows.pipeline import reproduce
reproduce("first", Path(sys.argv[1]), print)
"""


def quiet(_line: str) -> None:
    pass


def start_caller(pipeline: Path, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process that runs stage `first`, and the process id of the stage, which is running by now."""
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(pipeline)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (pipeline / "pid").exists() or not (pipeline / "pid").read_text():
        assert time.monotonic() < deadline, "the stage did not start"
        time.sleep(0.05)
    return caller, int((pipeline / "pid").read_text())


def wait_for_end(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_stages_come_in_dependency_order(pipeline):
    graph = dvc.stages(pipeline)
    assert set(graph) == {"first", "second", "aside"}
    assert list(graph).index("first") < list(graph).index("second")
    assert graph == {"first": set(), "second": {"first"}, "aside": set()}


def test_broken_pipeline_file_is_named(pipeline):
    (pipeline / "dvc.yaml").write_text("stages: {first: [}")
    with pytest.raises(DataError, match=r"dvc stage list.*failed"):
        dvc.stages(pipeline)


def test_stage_runs_once_then_is_unchanged_then_restored(pipeline, runs):
    assert dvc.stale(pipeline) == {"first", "second", "aside"}
    assert dvc.reproduce("first", pipeline, quiet).outcome == "ran"
    assert dvc.reproduce("first", pipeline, quiet).outcome == "unchanged"
    (pipeline / "input.txt").write_text("2 ")
    assert dvc.reproduce("first", pipeline, quiet).outcome == "ran"
    (pipeline / "input.txt").write_text("1 ")
    assert dvc.reproduce("first", pipeline, quiet).outcome == "restored"
    assert (pipeline / "first.txt").read_text() == "1 first"
    assert runs() == ["first", "first"]


def test_failure_carries_last_lines_and_the_stages_own_exit_code(pipeline):
    (pipeline / "behave/first").write_text("for i in range(100): print('line', i)\nsys.exit('no such model')")
    heard: list[str] = []
    result = dvc.reproduce("first", pipeline, heard.append)
    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert "no such model" in result.tail
    assert len(result.tail) <= TAIL_LINES
    assert "line 0" in heard
    assert "line 0" not in result.tail


def test_exit_codes_other_than_one_are_read(pipeline):
    (pipeline / "behave/first").write_text("sys.exit(8)")
    assert dvc.reproduce("first", pipeline, quiet).exit_code == 8


def test_caller_killed_outright_leaves_no_running_stage(pipeline):
    (pipeline / "behave/first").write_text(SLEEPER)
    caller, stage = start_caller(pipeline)
    caller.kill()
    caller.wait()
    assert wait_for_end(stage, 15)
    assert not (pipeline / "first.txt").exists()


def test_interrupted_caller_stops_its_stage_which_may_clean_up(pipeline):
    clean = f"try:\n    {SLEEPER}\nfinally:\n    open('cleaned', 'w').close()"
    (pipeline / "behave/first").write_text(clean)
    caller, stage = start_caller(pipeline)
    caller.send_signal(signal.SIGINT)
    caller.wait(timeout=20)
    assert not alive(stage)
    assert (pipeline / "cleaned").exists()


def test_stage_that_ignores_the_interrupt_is_killed(pipeline):
    deaf = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {SLEEPER}"
    (pipeline / "behave/first").write_text(deaf)
    caller, stage = start_caller(pipeline, PARAMMEM_STOP_GRACE="0.5")
    caller.kill()
    caller.wait()
    assert wait_for_end(stage, 10)


def test_what_a_stage_leaves_behind_is_ended_with_it(pipeline):
    stray = f"import subprocess; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); import time; time.sleep(1)"
    (pipeline / "behave/first").write_text(stray)
    started = time.monotonic()
    assert dvc.reproduce("first", pipeline, quiet).outcome == "ran"
    assert time.monotonic() - started < 30
    assert wait_for_end(int((pipeline / "pid").read_text()), 5)


def test_metrics_are_flat_and_absent_ones_are_no_error(pipeline):
    assert dvc.metrics(pipeline) == {}
    dvc.reproduce("first", pipeline, quiet)
    dvc.reproduce("second", pipeline, quiet)
    assert dvc.metrics(pipeline) == {"code.base.pass_rate": 0.25, "code.base.tokens": 3}
