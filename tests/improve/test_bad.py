"""Facts about turns that cannot go well: the error is clear, nothing is lost, and the next turn goes on."""

from __future__ import annotations

import os

import pytest

from parammem.checkout.git import tip
from parammem.checkout.worktree import TREES
from parammem.errors import DataError, LedgerError
from parammem.improve.run import improve
from parammem.improve.steps import nothing_to_do
from parammem.registry.branch import ledger_at
from tests.improve.lab import drop_batch, git, lab_tools, make_lab
from tests.improve.settled import BRANCH, assert_settled, champion_versions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def assert_nothing_happened(root, name: str) -> None:
    assert tip(root, BRANCH) == ""
    assert git(root, "tag", "-l") == ""
    assert not list((root / TREES).glob("*"))
    assert (root / "data/inbox" / name).is_file()


def test_unreachable_remote_commits_nothing_and_the_next_turn_makes_up_for_it(tmp_path):
    root = make_lab(tmp_path)
    head = git(root, "rev-parse", "HEAD")
    drop_batch(root, "one")
    (tmp_path / "remote").write_text("a file where the folder of the remote should be")
    with pytest.raises(DataError, match=r"`dvc push` failed, so nothing was committed; mend the remote and run again"):
        improve(root, lab_tools())
    assert_nothing_happened(root, "one.jsonl")
    (tmp_path / "remote").unlink()
    assert improve(root, lab_tools()).headline == "code: promote"
    assert_settled(root, tmp_path / "ledger", head, {"one.jsonl": 40})


def test_no_git_identity_is_said_before_anything_is_done(tmp_path, monkeypatch):
    root = make_lab(tmp_path)
    drop_batch(root, "one")
    git(root, "config", "--unset", "user.name")
    git(root, "config", "--unset", "user.email")
    for name, value in (
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("HOME", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")  # else git makes one up from the host's name
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    with pytest.raises(LedgerError, match=r"git config user\.name"):
        improve(root, lab_tools())
    assert_nothing_happened(root, "one.jsonl")


def test_failed_stage_is_named_with_its_last_lines_and_costs_nothing(tmp_path):
    root = make_lab(tmp_path)
    (root / "behave/train").write_text("sys.exit('out of luck')")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "bad luck")
    drop_batch(root, "one")
    with pytest.raises(DataError, match=r"(?s)`dvc repro train@code` failed. Its last lines:.*out of luck"):
        improve(root, lab_tools())
    assert_nothing_happened(root, "one.jsonl")
    git(root, "rm", "-q", "behave/train")
    git(root, "commit", "-q", "-m", "better luck")
    assert improve(root, lab_tools()).headline == "code: promote"
    assert champion_versions(root) == [1]


def test_a_file_that_is_no_batch_stays_and_its_neighbour_comes_in(tmp_path):
    root = make_lab(tmp_path)
    drop_batch(root, "one")
    empty = root / "data/inbox/zero.jsonl"
    empty.write_text("\n")
    os.utime(empty, (0, 0))
    report = improve(root, lab_tools())
    assert report.headline == "code: promote"
    assert any("stays in the inbox: zero.jsonl: " in note for note in report.notes)
    assert empty.is_file()
    with pytest.raises(DataError, match=r"nothing could be ingested: zero\.jsonl"):
        improve(root, lab_tools())
    assert champion_versions(root) == [1]


def test_too_little_experience_is_kept_and_trained_on_later(tmp_path):
    root = make_lab(tmp_path)
    head = git(root, "rev-parse", "HEAD")
    drop_batch(root, "one", rows=10)
    report = improve(root, lab_tools())
    assert not report.decisions
    assert report.commit == tip(root, BRANCH)
    assert "of 20 needed" in report.reasons[0].why
    drop_batch(root, "two", rows=20)
    assert improve(root, lab_tools()).headline == "code: promote"
    assert_settled(root, tmp_path / "ledger", head, {"one.jsonl": 10, "two.jsonl": 20})
    assert len(ledger_at(root, BRANCH)) == 7


def test_a_file_that_cannot_be_taken_is_named_though_there_is_nothing_else_to_do(tmp_path):
    root = make_lab(tmp_path)
    inbox = root / "data" / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    assert "the inbox is empty" in nothing_to_do(root, "improve")
    (inbox / "notes.csv").write_text("a,b")
    os.utime(inbox / "notes.csv", (0, 0))
    said = nothing_to_do(root, "improve")
    assert "the inbox is empty" not in said
    assert "notes.csv: not one of .jsonl" in said
