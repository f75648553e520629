"""Facts about turns that are killed at every point there is: boundaries.txt, one test each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from parammem.improve.steps import STEPS
from tests.improve.boundaries import table
from tests.improve.lab import ROOT, drop_batch, git, make_lab
from tests.improve.settled import assert_clone_is_up_to_date, assert_settled, crowned, events, wait_for_orphans

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
ROWS = {"one.jsonl": 40, "two.jsonl": 40}


def turn(root: Path, point: str = "", log: str = "", mark: str = "") -> subprocess.CompletedProcess[str]:
    """One turn in a process of its own."""
    settings = {"LAB_POINTS": log, "LAB_MARK": mark, "PARAMMEM_STOP_GRACE": "1", "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "-m", "tests.improve.lab", str(root), point],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def with_champion(tmp_path_factory) -> Path:
    """A lab whose first batch made v1 champion, and with a second batch in the inbox."""
    root = make_lab(tmp_path_factory.mktemp("template"))
    drop_batch(root, "one")
    done = turn(root)
    assert "code: promote" in done.stdout, done.stdout + done.stderr
    drop_batch(root, "two")
    return root


@pytest.fixture
def lab(with_champion: Path, tmp_path: Path) -> Callable[[], Path]:
    """A copy of it."""

    def copy() -> Path:
        shutil.copytree(with_champion.parent, tmp_path / "lab", symlinks=True)
        return tmp_path / "lab" / "repo"

    return copy


def test_the_table_names_every_point_of_a_turn(lab, tmp_path):
    root = lab()
    done = turn(root, log=str(tmp_path / "points"))
    assert "code: promote" in done.stdout, done.stdout + done.stderr
    seen = list(dict.fromkeys((tmp_path / "points").read_text().splitlines()))
    assert seen == table(), "write what a turn really does into tests/improve/boundaries.txt"


def test_every_step_begins_in_the_table():
    assert [line.split(":")[0] for line in table() if line.endswith(": begins")] == [step.name for step in STEPS]


@pytest.mark.parametrize("point", table())
def test_killed_there_the_next_turn_completes_it(point, lab, tmp_path):
    root = lab()
    head, mark = git(root, "rev-parse", "HEAD"), f"{tmp_path}"
    killed = turn(root, point, mark=mark)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    again = turn(root, mark=mark)
    assert again.returncode == 0, again.stdout + again.stderr
    assert wait_for_orphans(mark) == []
    assert_settled(root, tmp_path / "ledger", head, ROWS)
    assert crowned(root) == [1, 2]
    if point.startswith(("push", "commit", "publish")):
        assert_clone_is_up_to_date(root, tmp_path / "clone")
    before = len(events(root))
    assert "Nothing to do" in turn(root).stdout
    assert len(events(root)) == before
