"""Facts about what a killed run leaves lying: its own is taken away, and nothing else."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parammem.checkout.git import git_folder, prune_worktrees
from parammem.checkout.leftovers import (
    NOTES,
    REGISTER,
    at_work,
    clear_leftovers,
    in_use,
    mend_register,
    ref_lock,
    take_away,
)
from parammem.checkout.lock import locked
from parammem.checkout.processes import run_guarded
from tests.registry.repository import call, dvc, make_repository

KILLED = """
import os, signal, sys
from pathlib import Path
from parammem.checkout.leftovers import at_work
root, file = Path(sys.argv[1]), Path(sys.argv[2])
with at_work(root, [file]):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
HOLDS = "import sys, time; file = open(sys.argv[1], 'a'); print('held', flush=True); time.sleep(60)"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make_repository(tmp_path_factory.mktemp("made") / "repository")


@pytest.fixture
def root(made, tmp_path) -> Path:
    call(tmp_path, "cp", "-r", str(made), str(tmp_path / "repository"))
    return tmp_path / "repository"


def killed(root: Path, file: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), str(file)])
    assert done.returncode == -signal.SIGKILL
    assert file.exists()


def started(*words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    process = subprocess.Popen(words, cwd=cwd, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("name", ["refs/tags/code-reflector@v1.0.0.lock", "index.lock", "refs/heads/main.lock"])
def test_a_lock_that_a_dead_run_named_is_taken_away_by_the_next_run(root, name):
    file = root / ".git" / name
    killed(root, file)
    said: list[str] = []
    with locked(root, "next", 1, said.append):
        assert not file.exists()
    assert "was cut short" in said[0]
    assert list((root / NOTES).iterdir()) == []


def test_a_lock_that_nobody_of_ours_named_stays(root):
    theirs = root / ".git" / "index.lock"
    theirs.touch()
    killed(root, root / ".git" / "refs/tags/x.lock")
    assert clear_leftovers(root) == [str(root / ".git" / "refs/tags/x.lock")]
    assert theirs.exists()


def test_a_lock_from_before_the_dead_run_began_stays(root):
    file = root / ".git" / "index.lock"
    file.touch()
    os.utime(file, (1, 1))
    with at_work(root, [file]):
        note = next((root / NOTES).iterdir())
        said = note.read_text()
    note.write_text(said)
    assert clear_leftovers(root) == []
    assert file.exists()


def test_a_run_that_lives_keeps_its_locks(root):
    file = root / ".git" / "index.lock"
    with at_work(root, [file]):
        file.touch()
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from pathlib import Path; from parammem.checkout.leftovers import "
             "clear_leftovers; print(clear_leftovers(Path(sys.argv[1])))", str(root)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == "[]\n"
        assert file.exists()
    assert list((root / NOTES).iterdir()) == []


def test_a_lock_that_another_process_has_open_stays_until_that_is_gone(root):
    file = root / ".git" / "index.lock"
    killed(root, file)
    other = started(sys.executable, "-c", HOLDS, str(file))
    assert clear_leftovers(root) == []
    assert file.exists()
    other.kill()
    other.wait()
    assert clear_leftovers(root) == [str(file)]


def test_while_a_git_is_at_work_in_the_repository_no_lock_is_taken_away(root, tmp_path):
    file = root / ".git" / "index.lock"
    killed(root, file)
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.symlink_to("/bin/sleep")
    other = subprocess.Popen([str(script), "60"], cwd=root)
    time.sleep(0.2)
    assert in_use(root, file)
    assert not take_away(root, file)
    other.kill()
    other.wait()
    assert take_away(root, file)


def test_a_note_that_was_never_written_names_nothing(root):
    (root / NOTES).mkdir(parents=True)
    (root / NOTES / "empty.json").touch()
    (root / NOTES / "other.json").write_text(json.dumps(["?"]))
    assert clear_leftovers(root) == []
    assert list((root / NOTES).iterdir()) == []


def test_outside_git_there_is_nothing_to_find(tmp_path):
    assert git_folder(tmp_path) is None
    assert clear_leftovers(tmp_path) == []
    assert ref_lock(tmp_path, "refs/tags/x").name == "x.lock"


@pytest.mark.parametrize("content", [b"", b'{"write": {"/a": {"pid"', b"[]", b"\xff"])
def test_a_register_of_dvc_that_is_no_json_is_taken_away_and_dvc_works_again(root, content):
    register = root / REGISTER
    register.parent.mkdir(parents=True, exist_ok=True)
    register.write_bytes(content)
    (root / "data.txt").write_text("x")
    said: list[str] = []
    code, tail = run_guarded([sys.executable, "-m", "dvc", "add", "data.txt"], root, said.append)
    assert code == 0, tail
    assert "rwlock is taken away" in said[0]


def test_a_register_that_somebody_is_writing_or_that_dvc_can_read_stays(root):
    register = root / REGISTER
    register.parent.mkdir(parents=True, exist_ok=True)
    register.touch()
    with (register.parent / "rwlock.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        assert not mend_register(root)
        assert register.exists()
    register.write_text('{"read": {}, "write": {"/x": {"pid": 1, "cmd": "repro"}}}')
    assert not mend_register(root)
    assert register.exists()


def test_without_help_dvc_stays_broken(root):
    """What the mending is for: DVC itself never recovers."""
    (root / REGISTER).parent.mkdir(parents=True, exist_ok=True)
    (root / REGISTER).touch()
    (root / "data.txt").write_text("x")
    with pytest.raises(AssertionError, match="corrupted"):
        dvc(root, "add", "data.txt")


def test_a_worktree_whose_making_was_killed_is_forgotten(root):
    call(root, "git", "worktree", "add", "-q", "--detach", "--lock", "--reason", "initializing", ".cache/0123abcd")
    call(root, "rm", "-rf", ".cache/0123abcd")
    call(root, "git", "worktree", "prune", "--expire", "now")
    assert "0123abcd" in call(root, "git", "worktree", "list"), "git keeps what is locked"
    prune_worktrees(root, ["0123abcd"])
    assert "0123abcd" not in call(root, "git", "worktree", "list")
