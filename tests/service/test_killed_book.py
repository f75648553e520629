"""`kill -9` at any step of a sweep, and of calls: nothing acknowledged is lost, no run is handed over twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parammem.checkout.places import LIVE_INBOX
from parammem.core import Outcome
from parammem.core.live_run import LiveRun
from tests.service.books import book, handed, whole

RUNS = 7
CALLS = """
import sys
from pathlib import Path
from parammem.core import Outcome
from tests.service.books import book, steps
kept = book(Path(sys.argv[1]))
for number in range(100_000):
    run = kept.start("desk", f"Refund order {number}")
    kept.add_steps(run.run_id, steps(number))
    kept.report(run.run_id, Outcome(passed=True, source="test"))
    print(run.run_id, run.number, flush=True)
"""


def filled(root: Path) -> set[str]:
    """A repository with a book of runs that ended, two of them without steps. Returns their ids."""
    kept = book(root)
    names = {whole(kept, number).run_id for number in range(RUNS)}
    for number in range(2):
        run = kept.start("qa", f"What is due in case {number}?")
        kept.report(run.run_id, Outcome(passed=False))
        names.add(run.run_id)
    kept.close()
    return names


def swept(root: Path, kill_at: int) -> int:
    """Sweep in a process of its own, which kills itself at a step: before an SQL statement, or before a file is opened
    for writing, renamed or removed. Returns the signal that ended it, or minus the number of steps."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _sweep(root, kill_at, writer)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -int(said)


def _sweep(root: Path, kill_at: int, writer: int) -> None:
    done = 0

    def step(*_: object) -> None:
        nonlocal done
        done += 1
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def moment(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.remove", "os.chmod"):
            step()

    kept = book(root)
    kept._spool._base.set_trace_callback(step)
    sys.addaudithook(moment)
    kept.sweep(all=True)
    os.write(writer, str(done).encode())
    os._exit(0)


def lines(root: Path) -> Iterator[LiveRun]:
    """Lines of evidence; a file that was entered into the ledger and lies in the inbox again counts once."""
    files = {file.name: file for folder in ("data/live", LIVE_INBOX) for file in (root / folder).glob("*.jsonl")}
    for file in files.values():
        yield from (LiveRun.model_validate_json(line) for line in file.read_text().splitlines())


@pytest.mark.integration
@pytest.mark.parametrize("entered", [False, True])
def test_a_sweep_that_is_killed_at_any_step_hands_each_run_over_once(tmp_path, entered):
    names = filled(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "counted")
    steps = -swept(tmp_path / "counted", 0)
    assert steps > 30
    for kill_at in range(1, steps + 1):
        root = tmp_path / str(kill_at)
        shutil.copytree(tmp_path / "whole", root)
        assert swept(root, kill_at) == signal.SIGKILL
        if entered:  # a turn of `improve` came between
            for file in (root / LIVE_INBOX).glob("*.jsonl"):
                file.rename(root / "data/live" / file.name)
        kept = book(root)
        kept.sweep(all=True)
        assert {view.state for view in kept.list()} == {"handed over"}, kill_at
        assert kept.start("desk", "the next one").number == RUNS + 1
        kept.close()
        found = list(lines(root))
        assert sorted(run.run_id for run in found) == sorted(names), f"killed at step {kill_at}"
        assert sorted(run.number for run in found if run.domain == "desk") == list(range(1, RUNS + 1))
        assert len(handed(root)) == RUNS, f"killed at step {kill_at}"
        assert not [file for file in (root / "data/inbox").iterdir() if not file.name.startswith((".", "service-"))]
        shutil.rmtree(root)


@pytest.mark.integration
def test_outcomes_that_were_acknowledged_are_there_after_a_kill(tmp_path):
    for trial in range(3):
        root = tmp_path / str(trial)
        root.mkdir()
        with subprocess.Popen([sys.executable, "-c", CALLS, str(root)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            told = [child.stdout.readline()]
            time.sleep(0.2 + 0.3 * trial)
            child.send_signal(signal.SIGKILL)
            told += child.stdout.readlines()
        acknowledged = [line.split() for line in told if line.endswith("\n")]
        assert len(acknowledged) > 10
        kept = book(root)
        for run_id, number in acknowledged:
            view = kept.get(run_id)
            assert view is not None
            assert (view.number, view.outcome and view.outcome.passed, len(view.steps)) == (int(number), True, 4)
        runs = kept.list(limit=200_000)
        assert sorted(view.number for view in runs) == list(range(1, len(runs) + 1)), "no gap, none doubled"
        kept.close()
