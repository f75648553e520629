"""Whatever a command of ours has started ends with it, also when it is killed outright and alone; only then is the lock
free. DVC is a stand-in that notes its process and sleeps, except in a turn, where a stage does so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parammem.checkout.lock import locked
from parammem.checkout.worktree import PAST_TREES, remove_dead
from tests.improve.lab import drop_batch, make_lab
from tests.lineage.life import Life

SLEEPS = """\
import os, pathlib, time
pathlib.Path(os.environ["NOTE"] + ".new").write_text(str(os.getpid()))
os.rename(os.environ["NOTE"] + ".new", os.environ["NOTE"])
time.sleep(120)
"""
LOCKED = """
import sys
from pathlib import Path
from parammem.checkout.lock import locked
from parammem.checkout.worktree import PAST_TREES, remove_dead
root = Path(sys.argv[1])
with locked(root, "person Ada", 0):
    exec(sys.argv[2])
"""
REPRO = "from parammem.checkout.worktree import repro; repro(root, ['train'], fresh=False, say=print)"
REBUILD = "from parammem.lineage import rebuild; rebuild(root, 'v1')"
BLAME = "from parammem.lineage import blame_batches; blame_batches(root)"
FETCH = """
from parammem.registry import Ledger
from parammem.registry.state import versions
from parammem.registry.sync import _log
_log(None, versions(Ledger(root).read(), "code")[0], root)
"""
RECALL = """
from parammem.improve.recall import execute_recall
from parammem.lineage import plan_recall
execute_recall(root, plan_recall(root, 'ROW'), 'x')
"""
GC = "from parammem.registry.storage import collect_garbage; collect_garbage(root)"


@pytest.fixture(scope="module")
def life(tmp_path_factory) -> Life:
    life = Life(tmp_path_factory.mktemp("life") / "repo")
    life.generation()
    life.generation()
    return life


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    place = tmp_path / "stand-in" / "dvc"
    place.mkdir(parents=True)
    # Only the command is a stand-in: the settings are read by the real DVC.
    (place / "__init__.py").write_text("import pkgutil; __path__ = pkgutil.extend_path(__path__, __name__)")
    (place / "__main__.py").write_text(SLEEPS)
    inherited = os.environ.get("PYTHONPATH", "")
    src = str(Path(__file__).resolve().parents[2] / "src")
    return {**os.environ, "NOTE": str(tmp_path / "note"), "PARAMMEM_STOP_GRACE": "1",
            "PYTHONPATH": os.pathsep.join([str(place.parent), src, inherited])}  # fmt: skip


def kill_at_work(words: list[str], root: Path, env: dict[str, str]) -> int:
    """Start, wait until what it starts is at work, kill the one that was started and nobody else."""
    log = Path(env["NOTE"] + ".log")
    with log.open("w") as out:
        process = subprocess.Popen(words, cwd=root, env=env, stdout=out, stderr=out, start_new_session=True)
    deadline = time.monotonic() + 90
    while not Path(env["NOTE"]).exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    child = int(Path(env["NOTE"]).read_text())
    os.kill(child, 0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return child


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def assert_the_lock_is_free_only_without_the_child(root: Path, child: int) -> None:
    with locked(root, "next", 20):
        assert not lives(child), "the next run would meet an orphan"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "program", [REPRO, REBUILD, BLAME, FETCH, GC], ids=["repro", "rebuild", "blame", "sync", "garbage"]
)
def test_a_killed_holder_takes_its_dvc_with_it(life, environment, program):
    child = kill_at_work([sys.executable, "-c", LOCKED, str(life.root), program], life.root, environment)
    assert_the_lock_is_free_only_without_the_child(life.root, child)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_recall_takes_its_dvc_with_it_and_the_next_one_clears_its_worktree(life, environment):
    program = RECALL.replace("ROW", life.truth.rows_of_batch[0][0])
    child = kill_at_work([sys.executable, "-c", LOCKED, str(life.root), program], life.root, environment)
    assert_the_lock_is_free_only_without_the_child(life.root, child)
    assert remove_dead(life.root) >= 1
    assert [one.name for one in (life.root / PAST_TREES).iterdir()] == []
    listing = subprocess.run(["git", "worktree", "list"], cwd=life.root, capture_output=True, text=True).stdout
    assert listing.count("\n") == 1


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_turn_takes_its_stage_with_it(tmp_path, environment):
    root = make_lab(tmp_path / "lab")
    drop_batch(root, "one")
    (root / "behave" / "train").write_text(SLEEPS)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", "commit", "-qm", "slow"], cwd=root, check=True)
    src = str(Path(__file__).resolve().parents[2] / "src")
    environment["PYTHONPATH"] = os.pathsep.join([src, str(Path(__file__).resolve().parents[2])])
    child = kill_at_work([sys.executable, "-m", "tests.improve.lab", str(root)], root, environment)
    assert_the_lock_is_free_only_without_the_child(root, child)
