"""Facts about the branch of automation and its worktrees. Real git and DVC; nothing is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.checkout.dvc import cache_folder, has_remote, settings
from parammem.checkout.git import commit, move_branch, tip
from parammem.checkout.worktree import TREES, remove_trees
from parammem.core.event import Recalled
from parammem.errors import DataError, LineageError
from parammem.improve.branch import make_tree, refuse_if_checked_out
from parammem.registry.branch import ledger_at
from parammem.registry.ledger import Ledger
from tests.improve.lab import git, make_lab


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(made.parent, tmp_path / "lab", symlinks=True)
    return tmp_path / "lab" / "repo"


def save(root: Path, name: str, text: str) -> str:
    """A commit of the person."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", f"{name}")
    return git(root, "rev-parse", "HEAD")


def automate(root: Path, name: str, text: str) -> None:
    """A commit on the branch."""
    tree, before = make_tree(root, "improve", "one")
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)
    move_branch(root, "improve", commit(tree, [name], "automatic"), before)
    remove_trees(root)


def recall(reason: str) -> Recalled:
    return Recalled(domain="code", rows=(), adapters=(), reason=reason)


def test_first_worktree_begins_where_the_person_is(root):
    head = git(root, "rev-parse", "HEAD")
    tree, before = make_tree(root, "improve", "one")
    assert before == ""
    assert tip(tree, "HEAD") == head
    assert git(root, "status", "--porcelain") == ""
    assert tip(root, "refs/heads/improve") == ""


def test_worktree_shares_the_cache_and_finds_a_remote_that_was_named_relative(root):
    assert "../../remote" in (root / ".dvc" / "config").read_text()
    tree, _ = make_tree(root, "improve", "one")
    assert cache_folder(tree) == cache_folder(root)
    assert has_remote(tree)
    assert settings(tree)["remote"]["store"]["url"] == str(root.parent / "remote")


def test_nothing_of_the_branch_counts_until_it_is_moved(root):
    tree, before = make_tree(root, "improve", "one")
    (tree / "new.txt").write_text("new")
    made = commit(tree, ["new.txt", "missing.txt"], "automatic")
    assert made
    assert tip(root, "refs/heads/improve") == ""
    move_branch(root, "improve", made, before)
    assert tip(root, "refs/heads/improve") == made
    assert commit(tree, ["new.txt"], "again") == ""
    assert not (root / "new.txt").exists()


def test_branch_that_somebody_else_moved_is_not_overwritten(root):
    automate(root, "a.txt", "a")
    tree, before = make_tree(root, "improve", "one")
    other = git(root, "rev-parse", "HEAD")
    git(root, "update-ref", "refs/heads/improve", other)
    (tree / "b.txt").write_text("b")
    with pytest.raises(DataError, match=r"`git update-ref .* failed"):
        move_branch(root, "improve", commit(tree, ["b.txt"], "automatic"), before)
    assert tip(root, "refs/heads/improve") == other


def test_what_the_person_commits_comes_along(root):
    automate(root, "a.txt", "a")
    save(root, "code.py", "print(1)\n")
    tree, _ = make_tree(root, "improve", "two")
    assert (tree / "a.txt").read_text() == "a"
    assert (tree / "code.py").read_text() == "print(1)\n"


def test_outputs_that_both_changed_stay_the_branchs(root):
    automate(root, "dvc.lock", "automatic\n")
    save(root, "dvc.lock", "by hand\n")
    tree, _ = make_tree(root, "improve", "two")
    assert (tree / "dvc.lock").read_text() == "automatic\n"
    assert git(tree, "status", "--porcelain") == ""


def test_other_conflicts_are_for_a_person_and_are_named(root):
    automate(root, "stage.py", "automatic\n")
    save(root, "stage.py", "by hand\n")
    with pytest.raises(DataError, match=r"changed the same lines of stage\.py"):
        make_tree(root, "improve", "two")
    assert remove_trees(root) == 1
    assert len(git(root, "worktree", "list").splitlines()) == 1


def test_two_ledgers_that_grew_apart_become_one_unbroken_chain(root):
    tree, before = make_tree(root, "improve", "one")
    Ledger(tree).append(recall("by the flow"), "flow improve")
    move_branch(root, "improve", commit(tree, ["ledger"], "automatic"), before)
    remove_trees(root)
    Ledger(root).append(recall("by hand"), "person Ada")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "by hand")
    tree, _ = make_tree(root, "improve", "two")
    ledger = Ledger(tree)
    assert ledger.verify() == []
    assert [(e.fact.reason, e.actor) for e in ledger.read() if isinstance(e.fact, Recalled)] == [
        ("by the flow", "flow improve"),
        ("by hand", "person Ada"),
    ]
    assert git(tree, "status", "--porcelain") == ""


ODD = "a\u2028b\u2029c\x85d\x0be\x0cf"
"""Characters that str.splitlines takes for line ends, and that stand in JSON as they are."""


def test_names_with_odd_separators_break_neither_a_merge_of_ledgers_nor_the_reading_of_a_branch(root):
    Ledger(root).append(recall("first"), "person ada")
    save(root, "other.txt", "x")
    tree, before = make_tree(root, "improve", "one")
    Ledger(tree).append(recall(f"theirs {ODD}"), "flow improve")
    move_branch(root, "improve", commit(tree, ["ledger"], "automatic"), before)
    remove_trees(root)
    Ledger(root).append(recall(f"mine {ODD}"), "person ada")
    save(root, "another.txt", "y")
    tree, _ = make_tree(root, "improve", "two")
    reasons = [event.fact.reason for event in Ledger(tree).read() if isinstance(event.fact, Recalled)]
    assert reasons == ["first", f"theirs {ODD}", f"mine {ODD}"]
    assert [event.fact for event in ledger_at(root, "refs/heads/improve")] == [recall("first"), recall(f"theirs {ODD}")]


def test_conflicting_files_are_named_as_they_are_called(root):
    name = 'caf\u00e9 \u2028 "x".txt'
    save(root, name, "0\n")
    automate(root, name, "1\n")
    save(root, name, "2\n")
    with pytest.raises(DataError) as raised:
        make_tree(root, "improve", "two")
    assert f"changed the same lines of {name};" in str(raised.value)


def test_half_made_worktrees_are_taken_away(root):
    make_tree(root, "improve", "one")
    (root / TREES / "half" / "data").mkdir(parents=True)
    assert remove_trees(root) == 2
    assert len(git(root, "worktree", "list").splitlines()) == 1
    make_tree(root, "improve", "one")


def test_a_branch_that_somebody_has_checked_out_is_not_moved_under_their_feet(root):
    automate(root, "a.txt", "a")
    git(root, "switch", "-q", "improve")
    with pytest.raises(DataError, match=r"'improve' is checked out in .*git switch"):
        refuse_if_checked_out(root, "improve")
    git(root, "switch", "-q", "main")
    refuse_if_checked_out(root, "improve")


def test_a_source_that_both_sides_refused_stops_no_turn(root):
    """Its pointer differs, because the rules did."""
    place = "data/quarantine/experience/" + "a" * 64 + ".jsonl.dvc"
    automate(root, place, "outs:\n- md5: 1\n")
    save(root, place, "outs:\n- md5: 2\n")
    tree, _ = make_tree(root, "improve", "two")
    assert (tree / place).read_text() == "outs:\n- md5: 1\n"
    assert git(tree, "status", "--porcelain") == ""


def test_a_line_that_a_person_cut_off_is_not_cut_off_on_the_branch_too(root):
    """Only one side changed the file, so git merges it without a conflict."""
    for reason in ("one", "two"):
        Ledger(root).append(recall(reason), "person Ada")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "two events")
    automate(root, "a.txt", "a")
    ledger = root / "ledger/events.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:-1]))
    git(root, "commit", "-qam", "tidy")
    with pytest.raises(LineageError, match=r"event 2 \(recall\) was taken out"):
        make_tree(root, "improve", "two")
