"""`kill -9` and a full disk at any moment of a sweep: nothing is lost, doubled or stuck.

PARAMMEM_TRIALS sets how many of each are tried; without it few are, spread over the whole sweep.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parammem.checkout.places import BATCHES, FRESH, FRESH_KEYS, INGESTING, REFUSED_ROWS
from parammem.experience.inbox import DONE
from parammem.experience.ingest import ingested
from parammem.registry import Ledger
from tests.experience.rows import line, row, rows_in, write

TRIALS = int(os.environ.get("PARAMMEM_TRIALS", "12"))
SWEEP = """
import errno, os, signal, sys
from pathlib import Path
from tests.experience.rows import store
from parammem.experience.inbox import clear, waiting
from parammem.experience.ingest import ingest

root, at, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
calls = 0

def moment(event, arguments):
    # Every step that changes the disk, or looks at what was changed. Nothing after `at` succeeds on a full disk.
    global calls
    writes = event == "open" and (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
    if not (writes or event in ("os.rename", "os.remove", "os.mkdir", "os.truncate", "shutil.move", "os.chmod")):
        return
    place = str(arguments[0])
    if str(root) not in place or "__pycache__" in place:
        return
    calls += 1
    if how == "kill" and calls == at:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "full" and calls >= at and event in ("open", "os.mkdir", "os.truncate"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

sys.addaudithook(moment)
for source in waiting(root / "inbox"):
    outcome = ingest(source, store(root, 0.2), "person ada")
    clear(root / "inbox", source, outcome.digest)
print(calls)
"""
SECRET = "AKIA" + "IOSFODNN7EXAMPLQ"


def filled(root: Path) -> Path:
    """A repository with three files in its inbox: rows, duplicates, refused rows and one with a secret."""
    inbox = root / "inbox"
    inbox.mkdir(parents=True)
    write(inbox / "a.jsonl", [line(row(n)) for n in range(12)])
    write(inbox / "b.jsonl", [*(line(row(n)) for n in range(8, 16)), "broken", line(row(50, answer=f"x = '{SECRET}'"))])
    write(inbox / "c.jsonl", [line(row(n)) for n in range(16, 20)])
    for file in inbox.iterdir():
        os.utime(file, (0, 0))
    return root


def sweep(root: Path, at: int = 0, how: str = "none") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SWEEP, str(root), str(at), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def moments(tmp_path_factory) -> int:
    """How many steps of an undisturbed sweep change the disk."""
    done = sweep(filled(tmp_path_factory.mktemp("whole")))
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def trials(count: int) -> list[int]:
    return list(range(1, count + 1))


def is_as_if_nothing_had_happened(root: Path) -> None:
    rows = [*rows_in(root / BATCHES), *rows_in(root / FRESH)]
    assert sorted(int(one.task.task_id[2:]) for one in rows) == list(range(20)), "nothing lost, nothing doubled"
    facts = ingested(Ledger(root).read())
    assert Ledger(root).verify() == []
    assert sorted(fact.name for fact in facts) == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert sum(fact.rows for fact in facts) == 26
    assert sum(fact.quarantined for fact in facts) == 2
    named = {fact.batch for fact in facts} | {fact.fresh for fact in facts}
    stems = {file.stem for folder in (BATCHES, FRESH, FRESH_KEYS) for file in (root / folder).glob("*.jsonl")}
    assert stems <= named, "no batch that the ledger does not name"
    assert len(list((root / REFUSED_ROWS).glob("*.jsonl"))) == 1
    assert sorted(os.listdir(root / "inbox" / DONE)) == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert os.listdir(root / "inbox") == [DONE]
    assert not (root / INGESTING).exists()
    assert not any(file.name.startswith(".") and file.is_file() for file in (root / "data").rglob("*"))


@pytest.mark.integration
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["kill", "full"])
def test_a_sweep_that_was_broken_off_is_completed_by_the_next(tmp_path, moments, how):
    broken = 0
    for trial in range(TRIALS):
        at = 1 + (trial * moments // TRIALS if moments > TRIALS else trial % moments)
        root = filled(tmp_path / f"{how}-{trial}")
        first = sweep(root, at, how)
        broken += first.returncode != 0
        assert SECRET not in first.stdout + first.stderr
        again = sweep(root)
        assert again.returncode == 0, f"stuck after {how} at step {at}: {again.stderr[-2000:]}"
        is_as_if_nothing_had_happened(root)
    assert broken >= TRIALS * 2 // 3, "most of them were broken off"


@pytest.mark.integration
@pytest.mark.timeout(3600)
def test_a_sweep_that_is_killed_by_the_clock_is_completed_by_the_next(tmp_path):
    rng = random.Random(5)
    for trial in range(max(2, TRIALS // 4)):
        root = filled(tmp_path / str(trial))
        with subprocess.Popen(
            [sys.executable, "-c", SWEEP, str(root), "0", "none"], stdout=subprocess.DEVNULL
        ) as child:
            time.sleep(rng.uniform(0.2, 1.2))
            child.send_signal(signal.SIGKILL)
        again = sweep(root)
        assert again.returncode == 0, again.stderr[-2000:]
        is_as_if_nothing_had_happened(root)
