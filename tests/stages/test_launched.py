"""Facts about the train stage when params ask for several processes: it starts them, and its files are the leader's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stages.arena import clone, write_params
from tests.stages.commands import PATIENCE, command, environment, parammem

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TWO = {"launch": {"processes": 2, "strategy": "fsdp"}, "controls": ["shuffled"]}
OUTS = ("models/reflectors", "models/controls")


def project(trained: Path, folder: Path, **train: object) -> Path:
    """The prepared project as DVC would leave it before the stage."""
    made = clone(trained, folder)
    for out in (*OUTS, ".cache"):
        shutil.rmtree(made / out, ignore_errors=True)
    write_params(made, train=train)
    return made


def card(folder: Path) -> dict:
    return json.loads((folder / "adapter.json").read_text())


def test_one_command_trains_all_adapters_in_two_processes(trained: Path, tmp_path: Path) -> None:
    made = project(trained, tmp_path / "made", **TWO)
    done = parammem(made, "stage", "train", "--domain", "math")
    assert done.returncode == 0, done.stderr
    adapter, before = card(made / "models/reflectors/math"), card(trained / "models/reflectors/math")
    assert adapter["recipe"]["launch"] == TWO["launch"]
    assert adapter["data_digest"] == before["data_digest"]
    assert adapter["held_out_loss"] == pytest.approx(before["held_out_loss"], rel=1e-4)
    assert (made / "models/reflectors/math/order.csv").is_file()
    assert sorted(path.name for path in (made / "models/controls/math").iterdir()) == ["shuffled"]
    assert not list((made / ".cache/checkpoints").rglob("*.pt"))


def test_a_person_may_launch_the_command_itself(trained: Path, tmp_path: Path) -> None:
    made = project(trained, tmp_path / "made", launch={"processes": 2, "strategy": "ddp"}, controls=[])
    script = made / "parammem"
    script.write_text("from parammem.cli import main\nmain()\n", encoding="utf-8")
    words = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *words, str(script), "stage", "train", "--domain", "math"],
        cwd=made,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert card(made / "models/reflectors/math")["recipe"]["launch"]["processes"] == 2


def test_an_error_of_a_process_is_the_stage_s_own(trained: Path, tmp_path: Path) -> None:
    made = project(trained, tmp_path / "made", **TWO)
    shutil.rmtree(made / "models/tiny")
    done = parammem(made, "stage", "train", "--domain", "math")
    assert done.returncode == 5, "ModelMissingError's exit code"
    assert done.stderr.strip().splitlines()[-1].startswith("error: no model folder"), done.stderr[-500:]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_stage_leaves_no_process_and_no_adapter_behind(trained: Path, tmp_path: Path) -> None:
    made = project(trained, tmp_path / "made", **TWO, max_steps=2000, checkpoint_every=5)
    stage = subprocess.Popen(
        command("stage", "train", "--domain", "math"), cwd=made, env=environment(), stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + PATIENCE
    while not list((made / ".cache/checkpoints").rglob("*.pt")):
        assert stage.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    inside = processes_in(made)
    assert len(inside) >= 4, "the stage, the launcher and two processes"
    stage.send_signal(signal.SIGKILL)
    stage.wait()
    end = time.monotonic() + 60
    while processes_in(made):
        assert time.monotonic() < end, "a process of the killed training still runs"
        time.sleep(0.1)
    assert not (made / "models/reflectors/math").exists()


def processes_in(folder: Path) -> list[int]:
    """Living processes that work in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found
