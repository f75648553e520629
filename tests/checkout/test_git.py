"""Facts about the one way to call git. Real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from parammem.checkout.git import (
    Blobs,
    ask,
    blob_ids,
    branches,
    commit,
    commits_of,
    file_at,
    git,
    git_folder,
    has_commits,
    is_ancestor,
    move_branch,
    tip,
    worktrees,
)
from parammem.errors import DataError


def make(root: Path) -> Path:
    root.mkdir(parents=True)
    for words in (["init", "-q", "-b", "main"], ["config", "user.name", "Ada"], ["config", "user.email", "a@b.c"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "repo")


def test_git_dir_of_a_hook_does_not_lead_to_another_repository(root, tmp_path, monkeypatch):
    other = make(tmp_path / "other")
    (other / "file").write_text("other")
    commit(other, ["file"], "other's")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert not has_commits(root)
    assert git_folder(root) == root / ".git"
    with Blobs.open(root) as blobs:
        assert blobs.read("HEAD:file") is None


def test_commit_names_what_it_made_and_nothing_when_nothing_changed(root):
    assert tip(root, "HEAD") == ""
    (root / "file").write_bytes(b"one\r\ntwo\n")
    first = commit(root, ["file", "absent"], "First\r line")
    assert first == tip(root, "HEAD")
    assert commit(root, ["file"], "again") == ""
    assert file_at(root, first, "file") == b"one\r\ntwo\n"
    assert file_at(root, first, "absent") is None
    assert git(root, "show", f"{first}:file") == "one\r\ntwo", "a carriage return ends no line"
    assert list(blob_ids(root, [first, "f" * 40], "file")) == [first]
    (root / "file").unlink()
    second = commit(root, ["file"], "Gone")
    assert [one.sha for one in commits_of(root, "file")] == [first, second]
    assert is_ancestor(root, first, second)
    assert not is_ancestor(root, second, first)


def test_a_branch_that_somebody_moved_meanwhile_is_not_moved(root):
    (root / "file").write_text("1")
    first = commit(root, ["file"], "one")
    move_branch(root, "auto", first, "")
    assert branches(root) == ["refs/heads/auto", "refs/heads/main"]
    with pytest.raises(DataError, match=r"`git update-ref -m improve refs/heads/auto` failed in .*/repo"):
        move_branch(root, "auto", first, "")


def test_worktrees_say_commit_and_branch(root, tmp_path):
    (root / "file").write_text("1")
    first = commit(root, ["file"], "one")
    git(root, "worktree", "add", "--detach", "--quiet", str(tmp_path / "tree with space"), first)
    assert worktrees(root) == [(root, first, "refs/heads/main"), (tmp_path / "tree with space", first, "")]


def test_outside_of_git_a_question_is_none_and_an_order_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert (ask(tmp_path, "rev-parse", "HEAD"), git_folder(tmp_path), worktrees(tmp_path)) == (None, None, [])
    with pytest.raises(DataError, match="in no git repository"):
        git(tmp_path, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (ask(tmp_path, "version"), file_at(tmp_path, "HEAD", "file"), branches(tmp_path)) == (None, None, [])
    with pytest.raises(DataError, match="git is not installed"):
        git(tmp_path, "version")
