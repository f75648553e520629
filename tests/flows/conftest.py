"""A tiny DVC pipeline whose stages do as a file tells them, and one Prefect server for the whole session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PIPELINE = """\
stages:
  first:
    cmd: python stage.py first
    deps: [stage.py, input.txt]
    outs: [first.txt]
  second:
    cmd: python stage.py second
    deps: [first.txt]
    metrics:
      - second.json: {cache: false}
  aside:
    cmd: python stage.py aside
    deps: [input.txt]
    outs: [aside.txt]
"""

# `behave/NAME` holds Python that runs before the stage's own work. It is no dependency, so DVC does not see it.
STAGE = """\
import json, pathlib, sys
name = sys.argv[1]
with open("runs.log", "a") as log:
    log.write(name + "\\n")
order = pathlib.Path("behave", name)
if order.exists():
    exec(order.read_text())
if name == "second":
    pathlib.Path("second.json").write_text(json.dumps({"code": {"base": {"pass_rate": 0.25, "tokens": 3}}}))
else:
    pathlib.Path(name + ".txt").write_text(pathlib.Path("input.txt").read_text() + name)
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A git and DVC repository with the stages first → second, and aside."""
    root = tmp_path / "repo"
    (root / "behave").mkdir(parents=True)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "stage.py").write_text(STAGE)
    (root / "input.txt").write_text("1 ")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    return root


@pytest.fixture
def runs(pipeline: Path) -> Callable[[], list[str]]:
    """The stages that were really started, in order, a line per start."""
    log = pipeline / "runs.log"
    return lambda: log.read_text().split() if log.exists() else []


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One Prefect server, with a database of its own, for all tests of the session that ask for it."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=90):
        yield


def alive(pid: int) -> bool:
    """Is this process running (and not merely waiting to be buried)?"""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
