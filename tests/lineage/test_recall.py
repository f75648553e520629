"""A planted row is found in exactly the adapters that saw it, and a rebuild without it proves its absence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from parammem import cli
from parammem.checkout.lock import locked
from parammem.config import ImproveParams
from parammem.core.event import Recalled, Trained
from parammem.errors import DataError, LineageError
from parammem.improve import recall
from parammem.improve.recall import execute_recall
from parammem.lineage import audit_page, plan_recall, render_plan, trace_rows, verify
from parammem.lineage.past.events import read_life
from parammem.registry import Ledger
from parammem.registry.environment import describe
from tests.lineage.life import Life, Truth, dvc
from tests.lineage.test_verify import git

ANSWERS = ("promote", "promote", "promote", "refuse", "promote", "refuse", "promote", "promote")


@pytest.fixture(scope="module")
def eight(tmp_path_factory) -> Life:
    """Eight batches; the planted row comes with the third."""
    life = Life(tmp_path_factory.mktemp("eight") / "repo")
    for answer in ANSWERS:
        life.generation(3, answer)
    return life


def test_the_plan_names_exactly_the_adapters_that_saw_a_row_of_batch_three(eight):
    truth = eight.truth
    row = truth.rows_of_batch[2][1]
    before = git(eight.root, "status", "--porcelain"), git(eight.root, "rev-parse", "HEAD")
    plan = plan_recall(eight.root, row)
    expected = [a for a, rows in zip(truth.adapters, truth.rows, strict=True) if row in rows]
    assert len(expected) == 6
    assert [one.digest for one in plan.trace.adapters] == expected
    assert [(one.champion, one.version) for one in plan.fallbacks] == [(8, 2)]
    assert "from v8 to v2" in render_plan(plan)
    assert (git(eight.root, "status", "--porcelain"), git(eight.root, "rev-parse", "HEAD")) == before


def test_a_row_of_the_first_batch_leaves_no_champion(eight):
    plan = plan_recall(eight.root, eight.truth.rows_of_batch[0][0])
    assert [(one.champion, one.version) for one in plan.fallbacks] == [(8, 0)]
    assert "to no reflector: all were trained on it" in render_plan(plan)


def test_several_rows_cannot_be_recalled_by_one_word(eight):
    with pytest.raises(LineageError, match="means 24 rows"):
        plan_recall(eight.root, "largest")


@pytest.mark.integration
def test_recall_rolls_back_rebuilds_without_the_row_and_proves_it(eight):
    root, truth = eight.root, eight.truth
    row = truth.rows_of_batch[2][1]
    done = execute_recall(root, plan_recall(root, row), "planted")
    assert done.merged
    assert len(done.proof) == 3
    assert dvc(root, "checkout").returncode == 0
    rows = (root / "models/reflectors/code/rows.txt").read_text().split()
    assert row not in rows
    assert sorted([*rows, row]) == sorted(truth.rows[-1])
    life = read_life(root)
    assert life.champion("code").version == 2  # pyright: ignore[reportOptionalMemberAccess]
    assert done.adapters["code"] not in truth.adapters
    [trace] = trace_rows(root, row)
    assert trace.recalled is not None
    assert [one.digest for one in trace.adapters] == truth.adapters[2:]
    assert verify(root).broken == ()
    assert audit_page(root, "v9").digest == done.adapters["code"]
    assert git(root, "worktree", "list").count("\n") == 0
    again = plan_recall(root, row)
    assert again.known
    assert again.fallbacks == ()


@pytest.fixture
def shared(lived, monkeypatch) -> tuple[Path, Truth]:
    """With a DVC remote that is named relative, and nobody who waits."""
    root, truth = lived
    assert dvc(root, "remote", "add", "-q", "-d", "store", "../remote").returncode == 0
    git(root, "commit", "-qam", "a remote")
    monkeypatch.chdir(root)
    monkeypatch.setattr(recall, "settings", lambda _: ImproveParams(wait_seconds=0))
    return root, truth


def test_a_recall_waits_for_the_turn_that_is_at_work(shared):
    root, truth = shared
    command = ["audit", "recall", "--row", truth.rows_of_batch[1][0]]
    with locked(root, "flow improve", 0):
        done = CliRunner().invoke(cli.app, [*command, "--execute"])
        assert CliRunner().invoke(cli.app, command).exit_code == 0, "a plan changes nothing"
    assert isinstance(done.exception, DataError)
    assert "flow improve" in str(done.exception)
    assert git(root, "branch", "--list", "recall/*") == ""


@pytest.mark.integration
def test_the_data_of_a_recall_is_in_the_remote_before_a_commit_refers_to_it(shared, monkeypatch):
    root, truth = shared
    row, head = truth.rows_of_batch[1][0], git(root, "rev-parse", "HEAD")

    def unreachable(*_: object) -> str:
        raise DataError("the remote cannot be reached")

    plan = plan_recall(root, row)
    with monkeypatch.context() as patched:
        patched.setattr("parammem.checkout.dvc.push", unreachable)
        with pytest.raises(DataError, match="cannot be reached"):
            execute_recall(root, plan, "planted")
    assert git(root, "rev-parse", "HEAD") == head
    assert git(root, "branch", "--list", "recall/*") == ""
    done = CliRunner().invoke(cli.app, ["audit", "recall", "--row", row, "--execute"])
    assert done.exit_code == 0, done.output
    lock = yaml.safe_load(git(root, "show", f"recall/{row[:12]}:dvc.lock"))
    hashes = [out["md5"] for stage in lock["stages"].values() for out in stage["outs"] if "reports/" not in out["path"]]
    assert hashes
    assert all((root.parent / "remote/files/md5" / md5[:2] / md5[2:]).is_file() for md5 in hashes)
    fact = [event.fact for event in read_life(root).events if isinstance(event.fact, Trained)][-1]
    assert fact.environment == describe()
    assert fact.adapter not in truth.adapters


def test_a_recall_does_not_fork_the_ledger(lived):
    """Automation's branch is ahead of the person's tree, or the ledger has events that are not committed."""
    root, truth = lived
    plan = plan_recall(root, truth.rows_of_batch[1][0])
    git(root, "checkout", "-q", "-b", "improve")
    Ledger(root).append(Recalled(domain="code", rows=("a" * 64,), adapters=(), reason="another"), "flow improve")
    with pytest.raises(LineageError, match="not committed"):
        execute_recall(root, plan, "planted")
    git(root, "commit", "-qam", "one more event")
    git(root, "checkout", "-q", "main")
    with pytest.raises(LineageError, match="git merge improve"):
        execute_recall(root, plan, "planted")
    assert git(root, "worktree", "list").count("\n") == 0
    assert git(root, "branch", "--list", "recall/*") == ""
