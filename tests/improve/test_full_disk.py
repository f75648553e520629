"""Facts about turns on a full disk: a real file system of a few megabytes, in a namespace of its own.

Where such a namespace may not be made, the test of files that may not grow is what is left.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parammem.checkout.git import tip
from parammem.checkout.worktree import TREES
from tests.improve.lab import ROOT, drop_batch, git, make_lab
from tests.improve.settled import BRANCH, assert_settled, champion_versions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
# In the namespace: a disk of 64 MB with the lab on it. A turn while only so many KB are free, another one after room
# was made, and the lab comes back out. Exit codes of both turns are the last line.
SCRIPT = """\
set -eu
mount -t tmpfs -o size=64m tmpfs "$DISK"
cp -a "$LAB/." "$DISK/"
mkdir "$DISK/tmp"
export TMPDIR="$DISK/tmp"
free=$(df -k --output=avail "$DISK" | tail -1)
dd if=/dev/zero of="$DISK/filler" bs=1k count=$((free - LEFT)) 2>/dev/null
first=0; "$PYTHON" -m tests.improve.lab "$DISK/repo" > "$OUT/first" 2>&1 || first=$?
rm "$DISK/filler"
cp -a "$DISK/." "$OUT/between/"
second=0; "$PYTHON" -m tests.improve.lab "$DISK/repo" > "$OUT/second" 2>&1 || second=$?
rm -rf "$DISK/tmp"
cp -a "$DISK/." "$OUT/after/"
echo "$first $second"
"""
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
FULL = ("No space left on device", "unable to write", "write error", "Unable to write", "write failure")
"""What the kernel, git and DVC say."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    drop_batch(make_lab(folder), "one")
    return folder


def may_mount(folder: Path) -> bool:
    if not shutil.which("unshare"):
        return False
    mounting = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(mounting, capture_output=True).returncode == 0


@pytest.mark.parametrize("left", [8, 48, 100, 150])
def test_a_full_disk_ends_the_turn_loses_nothing_and_the_next_one_completes_it(lab, tmp_path, left):
    for name in ("disk", "out/between", "out/after"):
        (tmp_path / name).mkdir(parents=True)
    if not may_mount(tmp_path / "disk"):
        pytest.skip("this machine allows no mount in a namespace of its own")
    out, head = tmp_path / "out", git(lab / "repo", "rev-parse", "HEAD")
    settings = {"DISK": str(tmp_path / "disk"), "LAB": str(lab), "OUT": str(out), "LEFT": str(left)}
    settings |= {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [*NAMESPACE, "bash", "-c", SCRIPT], cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()[-2:]
    said = (out / "first").read_text()
    assert first != "0", said
    assert any(word in said for word in FULL), said
    between = out / "between" / "repo"
    assert tip(between, BRANCH) == ""
    assert git(between, "tag", "-l") == ""
    assert (between / "data/inbox/one.jsonl").is_file()
    assert git(between, "status", "--porcelain") == ""
    assert second == "0", (out / "second").read_text()
    root = out / "after" / "repo"
    assert champion_versions(root) == [1]
    assert_settled(root, tmp_path / "ledger", head, {"one.jsonl": 40})


def test_files_that_may_not_grow_end_the_turn_in_the_same_way(lab, tmp_path):
    shutil.copytree(lab, tmp_path / "lab", symlinks=True)
    root = tmp_path / "lab" / "repo"
    head = git(root, "rev-parse", "HEAD")
    command = [sys.executable, "-m", "tests.improve.lab", str(root)]
    given = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT / "src")}, "capture_output": True, "text": True}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    failed = subprocess.run(command, preexec_fn=limit, **given)
    assert failed.returncode == 1, failed.stdout
    assert "disk I/O error" in failed.stderr or "File too large" in failed.stderr, failed.stderr
    assert tip(root, BRANCH) == ""
    assert git(root, "tag", "-l") == ""
    assert not list((root / TREES).glob("*"))
    assert (root / "data/inbox/one.jsonl").is_file()
    again = subprocess.run(command, **given)
    assert "code: promote" in again.stdout, again.stderr
    assert_settled(root, tmp_path / "ledger", head, {"one.jsonl": 40})
