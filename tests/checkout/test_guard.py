"""A command that the guard runs is ended when it would never end by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from parammem.checkout.processes import GUARD

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
FULL_DISK = """
set -e
mount -t tmpfs -o size=1m tmpfs "$DISK"
cd "$DISK"
dd if=/dev/zero of=filler bs=1k 2>/dev/null || true
[ "$ROOM" = no ] || rm filler
exec "$@"
"""
SPINS = """
import sqlite3, sys, time
while time.process_time() < float(sys.argv[1]):
    try:
        with open("made", "w") as file:
            file.write("x" * 30_000)
        sys.exit(0)
    except OSError:
        pass
sys.exit(5)
"""
SHORT = "import sys; sys.path.insert(0, {folder!r}); import guard; guard.LOOK_SECONDS, guard.SPIN_SECONDS = 0.1, 0.3; "


def guarded(folder: Path, *command: str, room: str = "no") -> subprocess.CompletedProcess[str]:
    """A command under the guard, on a disk of a megabyte that is full."""
    (folder / "disk").mkdir(exist_ok=True)
    guard = SHORT.format(folder=str(GUARD.parent)) + "sys.exit(guard.main(sys.argv[1:]))"
    words = [*NAMESPACE, "bash", "-c", FULL_DISK, "bash", sys.executable, "-I", "-c", guard, *command]
    env = {**os.environ, "DISK": str(folder / "disk"), "ROOM": room, "PARAMMEM_STOP_GRACE": "1"}
    env["PYTHONPATH"] = str(folder)
    reading, writing = os.pipe()  # open for as long as the command may run
    try:
        return subprocess.run(words, env=env, capture_output=True, text=True, stdin=reading, timeout=120)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where a module `dvc` lies that tries again for ever, as DVC's databases do."""
    mounting = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("this machine allows no mount in a namespace of its own")
    (tmp_path / "dvc.py").write_text(SPINS)
    (tmp_path / "other.py").write_text(SPINS)
    return tmp_path


def test_a_dvc_that_tries_again_for_ever_on_a_full_disk_is_ended(folder):
    done = guarded(folder, sys.executable, "-m", "dvc", "60")
    assert done.returncode == 1
    assert "No space left on device" in done.stdout
    assert "run the same again" in done.stdout


def test_a_dvc_that_has_room_and_another_command_are_left_alone(folder):
    assert guarded(folder, sys.executable, "-m", "dvc", "60", room="yes").returncode == 0
    assert guarded(folder, sys.executable, "-m", "other", "1").returncode == 5
