"""Facts about turns that are killed at every point there is: boundaries.txt, one test each."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parammem.improve.steps import STEPS
from tests.improve.boundaries import table
from tests.improve.forked import Turns
from tests.improve.lab import drop_batch, git, make_lab
from tests.improve.settled import (
    assert_clone_is_up_to_date,
    assert_settled,
    champion_versions,
    events,
    wait_for_orphans,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
ROWS = {"one.jsonl": 40, "two.jsonl": 40}


@pytest.fixture(scope="module")
def turn() -> Iterator[Turns]:
    """Runs a turn in a process of its own."""
    turns = Turns()
    yield turns
    turns.close()


@pytest.fixture(scope="module")
def with_champion(tmp_path_factory, turn) -> Path:
    """A lab whose first batch made v1 champion, and with a second batch in the inbox."""
    root = make_lab(tmp_path_factory.mktemp("template"))
    drop_batch(root, "one")
    done = turn(root)
    assert "code: promote" in done.said, done.said
    drop_batch(root, "two")
    return root


@pytest.fixture
def lab(with_champion: Path, tmp_path: Path) -> Callable[[], Path]:
    """A copy of it."""

    def copy() -> Path:
        shutil.copytree(with_champion.parent, tmp_path / "lab", symlinks=True)
        return tmp_path / "lab" / "repo"

    return copy


def test_the_table_names_every_point_of_a_turn(lab, turn, tmp_path):
    root = lab()
    done = turn(root, log=str(tmp_path / "points"))
    assert "code: promote" in done.said, done.said
    seen = list(dict.fromkeys((tmp_path / "points").read_text().splitlines()))
    assert seen == table(), "write what a turn really does into tests/improve/boundaries.txt"


def test_every_step_begins_in_the_table():
    assert [line.split(":")[0] for line in table() if line.endswith(": begins")] == [step.name for step in STEPS]


@pytest.mark.parametrize("point", table())
def test_killed_there_the_next_turn_completes_it(point, lab, turn, tmp_path):
    root = lab()
    head, mark = git(root, "rev-parse", "HEAD"), f"{tmp_path}"
    killed = turn(root, point, mark=mark)
    assert killed.returncode == -signal.SIGKILL, killed.said
    again = turn(root, mark=mark)
    assert again.returncode == 0, again.said
    assert wait_for_orphans(mark) == []
    assert_settled(root, tmp_path / "ledger", head, ROWS)
    assert champion_versions(root) == [1, 2]
    if point.startswith(("push", "commit", "publish")):
        assert_clone_is_up_to_date(root, tmp_path / "clone")
    before = len(events(root))
    assert "Nothing to do" in turn(root).said
    assert len(events(root)) == before
