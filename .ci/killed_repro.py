"""`dvc repro` killed outright in collect, in train and in evaluate, and run again: the same bytes as an unbroken run,
and no completion made twice. small_repro.py calls it with its own folder as the unbroken one.

The moments are random; KILL_SEED=N repeats them as far as a machine repeats itself.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.stages.arena import snapshot
from tests.stages.commands import recorded

KILLS = ("collect", "collect", "train", "evaluate", "evaluate")
OUTS = ("data/trajectories", "data/reflections", "data/validated", "models/reflectors", "models/controls",
        "reports/evaluation")  # fmt: skip
PATIENCE = 600
"""Seconds until a stage must have come to the point where it is killed."""


def run(whole: Path, project: Path, start: Callable[[Path], subprocess.Popen[bytes]]) -> str:
    """Kill, go on, compare. Gives what is wrong, or "".

    Args:
        whole: the project after an unbroken run.
        project: the same before any run.
        start: begins `dvc repro` in a session of its own.
    """
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"killed repro: KILL_SEED={seed}", flush=True)
    dice = random.Random(seed)
    for stage in KILLS:
        process = start(project)
        moment = _in_the_middle(project, stage, dice)
        end = time.monotonic() + PATIENCE
        while not moment():
            if process.poll() is not None or time.monotonic() > end:
                return f"dvc repro was over, or stood still, before it could be killed in {stage}"
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"killed in {stage} after {len(recorded(project))} completions", flush=True)
    if start(project).wait():
        return "dvc repro failed after it had been killed"
    made = recorded(project)
    if sorted(made) != sorted(recorded(whole)):
        return f"{len(made)} completions were made ({len(set(made))} different), {len(recorded(whole))} without a kill"
    expected, found = snapshot(whole, *OUTS), snapshot(project, *OUTS)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return f"files differ from those of an unbroken run: {', '.join(differing)}" if differing else ""


def _in_the_middle(project: Path, stage: str, dice: random.Random) -> Callable[[], bool]:
    """Says when the stage has made some more completions, or some more checkpoints, and is still at it."""
    if stage == "train":
        before = _checkpoints(project)
        return lambda: bool(_checkpoints(project) - before) and _runs(project, stage)
    wanted, before = dice.randint(2, 60), 0

    def reached() -> bool:
        nonlocal before
        if not _runs(project, stage):
            before = len(recorded(project))
        return len(recorded(project)) >= before + wanted and _runs(project, stage)

    return reached


def _checkpoints(project: Path) -> set[tuple[str, int]]:
    """Each is a new file."""
    found = set()
    for file in (project / ".cache" / "checkpoints").glob("*/*/*.pt"):
        try:
            found.add((str(file), file.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found


def _runs(project: Path, stage: str) -> bool:
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(project) and ["stage", stage] in (words[i : i + 2] for i in range(len(words))):
            return True
    return False
