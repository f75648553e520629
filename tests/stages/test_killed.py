"""Facts about kill -9: a stage that is run again ends in the same bytes and pays for nothing twice."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.stages.arena import clone, snapshot, write_params
from tests.stages.commands import parammem, recorded, some_points, stopped_when

KILLS = 3
OUTS = {
    "collect": ("data/trajectories", "data/reflections"),
    "evaluate": ("reports/evaluation",),
    "train": ("models/reflectors", "models/controls"),
}
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def fresh(trained: Path, folder: Path, stage: str, **sections) -> Path:
    """The prepared project as DVC would leave it before the stage: its outs removed, nothing cached."""
    project = clone(trained, folder)
    for out in OUTS[stage]:
        shutil.rmtree(project / out, ignore_errors=True)
    shutil.rmtree(project / ".cache", ignore_errors=True)
    write_params(project, **sections)
    return project


@pytest.mark.parametrize("stage", ["collect", "evaluate"])
def test_a_stage_killed_at_random_points_ends_in_the_same_bytes_and_makes_nothing_twice(stage, trained, tmp_path):
    # A random model solves nothing, so collect labels what it said of its failures.
    settings = {"collect": {"label": "self"}, "engine": {"batch": 4}, "evaluate": {"methods": ["reflexion"]}}
    whole = fresh(trained, tmp_path / "whole", stage, **settings)
    done = parammem(whole, "stage", stage, "--domain", "math")
    assert done.returncode == 0, done.stderr
    expected, made = snapshot(whole, *OUTS[stage]), recorded(whole)
    assert expected
    assert len(made) == len(set(made)) > 30

    project, points = fresh(trained, tmp_path / "killed", stage, **settings), some_points(len(made), KILLS, 5)
    for point in points:
        wanted = max(point, len(recorded(project)) + 1)  # more than the last run left, so that this one does some work
        code, _ = stopped_when(
            project, lambda at=wanted: len(recorded(project)) >= at, signal.SIGKILL, "stage", stage, "--domain", "math"
        )
        assert code == -signal.SIGKILL
        assert wanted <= len(recorded(project)) < len(made), "not killed between the first and the last completion"
        assert not any("/." in name for name in snapshot(project, *OUTS[stage]))
    again = parammem(project, "stage", stage, "--domain", "math")
    assert again.returncode == 0, again.stderr
    assert snapshot(project, *OUTS[stage]) == expected
    assert sorted(recorded(project)) == sorted(made), "a completion was made twice, or one that was not needed"


def test_training_killed_between_checkpoints_goes_on_and_ends_in_the_same_bytes(trained, tmp_path):
    settings = {"train": {"max_steps": 60, "checkpoint_every": 2}}
    whole = fresh(trained, tmp_path / "whole", "train", **settings)
    done = parammem(whole, "stage", "train", "--domain", "math")
    assert done.returncode == 0, done.stderr
    expected = snapshot(whole, *OUTS["train"])

    project = fresh(trained, tmp_path / "killed", "train", **settings)
    folder, seen = project / ".cache/checkpoints/math", set()

    def checkpoints() -> int:
        """How many were written since the project was made; each is a new file."""
        for file in folder.glob("*/*.pt"):
            try:
                seen.add((file, file.stat().st_mtime_ns))
            except FileNotFoundError:
                pass
        return len(seen)

    for further in (2, 5, 25):  # the last of these lies in the second adapter
        wanted = checkpoints() + further
        code, _ = stopped_when(
            project, lambda at=wanted: checkpoints() >= at, signal.SIGKILL, "stage", "train", "--domain", "math"
        )
        assert code == -signal.SIGKILL
        for out in OUTS["train"]:  # as DVC does before it runs a stage again
            shutil.rmtree(project / out, ignore_errors=True)
    assert len(list(folder.glob("*/*.pt"))) == 1, "the adapter that was being trained has its checkpoint"
    assert len(list(folder.glob("finished/*"))) == 1, "the first adapter is kept"
    again = parammem(project, "stage", "train", "--domain", "math")
    assert again.returncode == 0, again.stderr
    begun = re.findall(r"^train: step (\d+) of 60$", again.stderr, re.MULTILINE)
    assert len(begun) == 2, "the first adapter is not trained again"
    assert int(begun[0]) > 0, "the second goes on from its checkpoint"
    assert begun[1] == "0"
    assert snapshot(project, *OUTS["train"]) == expected
    assert list(folder.glob("*/*")) == [], "checkpoints, finished adapters and partial files are cleaned away"


def test_training_killed_between_two_adapters_trains_nothing_twice(trained, tmp_path):
    whole = fresh(trained, tmp_path / "whole", "train")
    done = parammem(whole, "stage", "train", "--domain", "math")
    assert done.returncode == 0, done.stderr

    project = fresh(trained, tmp_path / "killed", "train")
    second = project / "models/controls/math/shuffled"
    code, _ = stopped_when(project, second.exists, signal.SIGKILL, "stage", "train", "--domain", "math")
    assert code == -signal.SIGKILL
    finished = len(list((project / ".cache/checkpoints/math/finished").iterdir()))
    assert finished in (2, 3)
    for out in OUTS["train"]:
        shutil.rmtree(project / out, ignore_errors=True)
    again = parammem(project, "stage", "train", "--domain", "math")
    assert again.returncode == 0, again.stderr
    assert len(re.findall(r"^train: step 0 of 6$", again.stderr, re.MULTILINE)) == 3 - finished
    assert snapshot(project, *OUTS["train"]) == snapshot(whole, *OUTS["train"])


def test_ctrl_c_ends_with_130_says_what_to_run_and_leaves_the_files_as_they_were(trained, tmp_path):
    project = clone(trained, tmp_path / "project")
    shutil.rmtree(project / ".cache", ignore_errors=True)
    write_params(project, collect={"label": "self"}, engine={"batch": 4})
    before = snapshot(project, *OUTS["collect"])
    assert before
    code, err = stopped_when(
        project, lambda: len(recorded(project)) >= 8, signal.SIGINT, "stage", "collect", "--domain", "math"
    )
    assert code == 130, err
    assert "stopped; what was finished is kept. To go on, run: dvc repro" in err
    assert "Traceback" not in err
    assert snapshot(project, *OUTS["collect"]) == before
    kept = recorded(project)
    again = parammem(project, "stage", "collect", "--domain", "math")
    assert again.returncode == 0, again.stderr
    assert recorded(project)[: len(kept)] == kept
    assert len(recorded(project)) == len(set(recorded(project)))
