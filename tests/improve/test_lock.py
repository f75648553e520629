"""Facts about the lock."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from parammem.checkout.held_files import held
from parammem.checkout.lock import PLACE, holder, locked
from parammem.checkout.processes import run_guarded
from parammem.errors import DataError

HOLDER = """
import sys, time
from pathlib import Path
from parammem.checkout.lock import locked
with locked(Path(sys.argv[1]), "flow improve", 1):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_run_waits_and_says_for_whom(tmp_path):
    heard: list[str] = []
    with (
        locked(tmp_path, "flow improve", 1),
        pytest.raises(DataError, match=r"flow improve \(process \d+\) is still at work"),
        locked(tmp_path, "person Ada", 0.3, heard.append),
    ):
        pass
    assert heard == [f"waiting for {holder(tmp_path / PLACE)}"]


def test_lock_is_free_again_after_its_end_and_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path, "one", 0):
        raise KeyError
    with locked(tmp_path, "two", 0):
        assert len(held()) == 1
    assert held() == ()


def test_lock_ends_with_a_process_that_is_killed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    with locked(tmp_path, "next", 5):
        pass


def test_a_command_that_outlives_its_run_still_holds_the_lock(tmp_path):
    with locked(tmp_path, "one", 0):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"], pass_fds=held())
    started = time.monotonic()
    with locked(tmp_path, "two", 10):
        assert time.monotonic() - started > 0.5
    child.wait()


def test_guarded_commands_hold_it_too(tmp_path):
    program = "import os, sys; print(os.path.realpath('/proc/self/fd/' + sys.argv[1]))"
    with locked(tmp_path, "one", 0):
        lines: list[str] = []
        # The guard holds the file; its command does not need it, and does not get it.
        code, _ = run_guarded([sys.executable, "-c", program, str(held()[0])], tmp_path, lines.append)
    assert code == 0
    assert str(tmp_path / PLACE) not in lines
