"""Turns of the lab in processes that are forked from one that has everything imported: what a turn imports takes longer
than the turn itself. The forking process has one thread and does nothing else, so a fork of it is a sound process.

python -m tests.improve.forked    for each line of stdin, {"root", "point", "log", "mark"}, a turn and a line of stdout
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Done(NamedTuple):
    """How a turn ended."""

    returncode: int
    """Negative: the signal that killed it, as in `subprocess`."""
    said: str


class Turns:
    """Runs turns, one after the other."""

    def __init__(self) -> None:
        settings = {"PARAMMEM_STOP_GRACE": "1", "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-m", "tests.improve.forked"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **settings}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, root: Path, point: str = "", log: str = "", mark: str = "") -> Done:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"root": str(root), "point": point, "log": log, "mark": mark}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Done(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def main() -> int:
    _import_all()
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), flush=True)
    return 0


def _import_all() -> None:
    """What a turn imports on its way."""
    names = (
        "dvc.config",
        "scipy.stats",
        "parammem.experience.inbox",
        "parammem.gate.record_decision",
        "parammem.improve.run",
    )
    for name in (*names, "tests.improve.boundaries", "tests.improve.lab"):
        importlib.import_module(name)


def _forked(asked: dict[str, Any]) -> Done:
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            os._exit(_turn(asked))
        status = os.waitpid(child, 0)[1]
        said.seek(0)
        return Done(os.waitstatus_to_exitcode(status), said.read())


def _turn(asked: dict[str, Any]) -> int:
    from tests.improve.lab import main as turn

    os.environ |= {"LAB_POINTS": asked["log"], "LAB_MARK": asked["mark"]}
    sys.argv = ["lab", asked["root"], asked["point"]]
    try:
        return turn()
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
