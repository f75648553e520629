"""A few of the trials of trials.py, for CI: killed at any moment, or on a full disk, and run again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.improve.test_full_disk import may_mount

ROOT = Path(__file__).resolve().parents[2]
FEW = {"append": 25, "sync": 12, "rollback": 3, "recall": 3}


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FEW)
def test_killed_at_any_moment_nothing_is_lost_doubled_or_stuck(name, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    words = [sys.executable, "-m", "tests.improve.trials", "--trials", str(FEW[name]), "--only", name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed" in done.stdout


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FEW)
def test_a_full_disk_loses_doubles_and_stops_nothing(tmp_path, name, monkeypatch):
    if not may_mount(tmp_path):
        pytest.skip("this machine allows no mount in a namespace of its own")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    words = [sys.executable, "-m", "tests.improve.trials", "--disk", "--trials", str(FEW[name]), "--only", name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
