"""Facts about the ledger in git's history: an event that was committed stays, or the commit that took it is named."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.core.event import Ingested, Recalled
from parammem.errors import LedgerError, LineageError
from parammem.registry import Ledger
from parammem.registry.branch import known
from parammem.registry.growth import check_growth, refuse_losses
from parammem.registry.ledger import PLACE
from parammem.registry.ledger_text import check
from parammem.registry.state import add_version, champion, make_champion
from parammem.registry.tags import sync_tags
from tests.registry.repository import ENV, call, commit, promoting

WHO = "flow improve"


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def start(root: Path) -> Ledger:
    seconds = itertools.count()
    root.mkdir()
    call(root, "git", "init", "-q", "-b", "main")
    (root / ".gitignore").write_text(f".cache/\n# {root.name}\n")
    commit(root, "start")
    return Ledger(root, clock=lambda: f"2026-01-02T03:{next(seconds) // 60:02}:00Z")


def promote(ledger: Ledger, letter: str) -> str:
    version = add_version(ledger, "code", letter * 64, "", WHO)
    decision = promoting(letter * 64)
    ledger.save_decision(decision)
    make_champion(ledger, version, decision.digest, WHO)
    return commit(ledger.root, f"{letter} is champion")


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """v1 was champion; v2 is."""
    ledger = start(tmp_path / "repository")
    promote(ledger, "a")
    promote(ledger, "b")
    sync_tags(ledger.root)
    return ledger


def cut(ledger: Ledger, lines: int = 1) -> None:
    whole = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(whole[: len(whole) - lines]))


def note(reason: str) -> Recalled:
    return Recalled(domain="code", rows=(), adapters=(), reason=reason)


def certain(root: Path) -> list[str]:
    return [loss.what for loss in check_growth(root).losses if loss.certain]


def test_a_ledger_that_only_grew_is_sound_and_its_commits_are_counted(ledger):
    assert check_growth(ledger.root) == (2, (), ())
    assert "2 commits touched the ledger" in check(ledger.root)


def test_a_tail_cut_in_an_ordinary_commit_is_named_with_its_events(ledger):
    """With its tags deleted too: the chain alone says that nothing was changed."""
    cut(ledger)
    taken = commit(ledger.root, "tidy")
    for name in call(ledger.root, "git", "tag", "-l").split():
        call(ledger.root, "git", "tag", "-d", name)
    assert ledger.verify() == []
    [said] = certain(ledger.root)
    assert taken[:12] in said
    assert "1 event: 4 (publish champion" in said
    result = CliRunner().invoke(cli.app, ["registry", "verify"])
    assert result.exit_code == 1, "in a folder that is no project there is no ledger"


def test_the_command_ends_with_the_code_of_lineage(ledger, monkeypatch):
    monkeypatch.chdir(ledger.root)
    assert CliRunner().invoke(cli.app, ["registry", "verify"]).exit_code == 0
    cut(ledger)
    commit(ledger.root, "tidy")
    result = CliRunner().invoke(cli.app, ["registry", "verify"])
    assert isinstance(result.exception, LineageError)
    assert result.exception.exit_code == 10
    with pytest.raises(LineageError, match="took 1 event"):
        refuse_losses(ledger.root)


def test_work_that_goes_on_after_the_cut_does_not_hide_it(ledger):
    cut(ledger, 2)
    taken = commit(ledger.root, "tidy")
    promote(ledger, "c")
    (ledger.root / "other.txt").write_text("x")
    commit(ledger.root, "something else")
    [said] = certain(ledger.root)
    assert taken[:12] in said
    assert "2 events: 3 (publish candidate" in said


def test_a_file_made_anew_with_a_sound_chain_is_no_growth(ledger):
    facts = [event.fact for event in ledger.read()]
    ledger.path.unlink()
    for fact in facts[:2]:
        ledger.append(fact, "person Eve")
    taken = commit(ledger.root, "the same, nicer")
    assert ledger.verify() == []
    [said] = certain(ledger.root)
    assert taken[:12] in said
    assert "4 events" in said


def test_a_deleted_ledger_is_named(ledger):
    call(ledger.root, "git", "rm", "-q", PLACE.as_posix())
    taken = commit(ledger.root, "gone")
    [said] = certain(ledger.root)
    assert taken[:12] in said


def test_events_that_were_put_back_are_no_fault(ledger):
    cut(ledger)
    commit(ledger.root, "tidy")
    call(ledger.root, "git", "checkout", "-q", "HEAD~", "--", PLACE.as_posix())
    commit(ledger.root, "back again")
    assert certain(ledger.root) == []


def test_a_cut_that_is_not_committed_is_named(ledger):
    cut(ledger)
    [said] = certain(ledger.root)
    assert "lacks 1 event" in said
    assert "git checkout" in said


@pytest.mark.parametrize("how", ["amend", "reset"])
def test_an_amended_commit_is_found_by_the_reflog(ledger, how):
    for name in call(ledger.root, "git", "tag", "-l").split():
        call(ledger.root, "git", "tag", "-d", name)
    if how == "amend":
        cut(ledger)
        call(ledger.root, "git", "commit", "-q", "-a", "--amend", "-m", "b is candidate")
    else:
        call(ledger.root, "git", "reset", "-q", "--hard", "HEAD~")
    [said] = certain(ledger.root)
    assert "only the reflog still leads to" in said
    assert "publish champion" in said


def test_a_tag_that_no_branch_leads_to_still_tells_of_its_events(ledger):
    call(ledger.root, "git", "reset", "-q", "--hard", "HEAD~")
    call(ledger.root, "git", "reflog", "expire", "--expire=now", "--all")
    [said] = certain(ledger.root)
    assert "only a tag still leads to" in said


def test_an_ingestion_that_was_taken_back_before_it_was_shared_is_told_and_is_no_alarm(ledger):
    fact = Ingested(source="s", name="a.jsonl", format="parammem", batch="b", fresh="", rows=1, kept=1, held=0,
                    duplicates=0, quarantined=0)  # fmt: skip
    ledger.append(fact, WHO)
    commit(ledger.root, "the wrong file")
    call(ledger.root, "git", "reset", "-q", "--hard", "HEAD~")
    assert certain(ledger.root) == []
    assert "not certain: only the reflog" in check(ledger.root)


def test_another_message_for_a_commit_is_no_loss(ledger):
    call(ledger.root, "git", "commit", "-q", "--amend", "-m", "said better")
    sync_tags(ledger.root)
    assert certain(ledger.root) == []


def test_a_cut_on_a_side_branch_is_found_and_a_merge_does_not_hide_it(ledger):
    call(ledger.root, "git", "checkout", "-q", "-b", "side")
    cut(ledger)
    taken = commit(ledger.root, "tidy")
    call(ledger.root, "git", "checkout", "-q", "main")
    assert [taken[:12] in said for said in certain(ledger.root)] == [True]
    (ledger.root / "other.txt").write_text("x")
    commit(ledger.root, "something else")
    call(ledger.root, "git", "merge", "-q", "side", "-m", "merge")
    assert len(ledger.read()) == 3, "git takes the shorter one without a conflict"
    assert any(taken[:12] in said for said in certain(ledger.root))


def test_a_merge_that_drops_the_other_sides_events_is_named(ledger):
    call(ledger.root, "git", "checkout", "-q", "-b", "improve")
    promote(ledger, "c")
    call(ledger.root, "git", "checkout", "-q", "main")
    (ledger.root / "other.txt").write_text("x")
    commit(ledger.root, "something else")
    call(ledger.root, "git", "merge", "-q", "-s", "ours", "improve", "-m", "merge")
    call(ledger.root, "git", "branch", "-q", "-D", "improve")
    [said] = certain(ledger.root)
    assert "(merge) took 2 events" in said


def test_facts_that_a_merge_signs_off_once_more_are_there(ledger):
    call(ledger.root, "git", "checkout", "-q", "-b", "improve")
    promote(ledger, "c")
    call(ledger.root, "git", "checkout", "-q", "main")
    ledger.append(note("by hand"), "person Ada")
    commit(ledger.root, "by hand")
    call(ledger.root, "git", "checkout", "-q", "improve")
    call(ledger.root, "git", "merge", "-q", "-s", "ours", "--no-commit", "main")
    ledger.append(note("by hand"), "person Ada")
    commit(ledger.root, "both")
    assert check_growth(ledger.root).losses == ()
    call(ledger.root, "git", "checkout", "-q", "main")
    call(ledger.root, "git", "merge", "-q", "improve")
    assert check_growth(ledger.root).losses == ()
    assert len(known(ledger.root)) == 7


def test_the_remotes_copy_still_counts_when_the_branch_was_cut_off(ledger, tmp_path):
    """Pushed, then taken back with the reflog wiped: v2 stays champion, and nobody gets a look back."""
    root = ledger.root
    call(root, "git", "init", "-q", "--bare", str(tmp_path / "remote"))
    call(root, "git", "remote", "add", "origin", str(tmp_path / "remote"))
    call(root, "git", "push", "-q", "origin", "main")
    call(root, "git", "reset", "-q", "--hard", "HEAD~")
    for name in call(root, "git", "tag", "-l").split():
        call(root, "git", "tag", "-d", name)
    call(root, "git", "reflog", "expire", "--expire=now", "--all")
    assert champion(known(root), "code").number == 2  # pyright: ignore[reportOptionalMemberAccess]
    assert "events.jsonl on the branch origin/main: 4 events" in check(root)


def test_a_history_made_anew_beside_the_remotes_is_found(ledger, tmp_path):
    other = start(tmp_path / "other")
    other.append(note("another beginning"), "person Eve")
    commit(other.root, "one")
    call(other.root, "git", "remote", "add", "origin", str(ledger.root))
    call(other.root, "git", "fetch", "-q", "--no-tags", "origin")
    [said] = certain(other.root)
    assert "share no commit" in said


def test_a_shallow_clone_says_what_it_cannot_check(ledger, tmp_path):
    call(tmp_path, "git", "clone", "-q", "--depth", "1", f"file://{ledger.root}", "shallow")
    growth = check_growth(tmp_path / "shallow")
    assert growth.losses == ()
    assert "shallow" in growth.unchecked[0]
    assert "not checked: the ledger's history before" in check(tmp_path / "shallow")


def test_a_replaced_commit_does_not_hide_a_cut(ledger):
    before = call(ledger.root, "git", "rev-parse", "HEAD").strip()
    cut(ledger)
    taken = commit(ledger.root, "tidy")
    call(ledger.root, "git", "replace", before, f"{before}~")
    assert any(taken[:12] in said for said in certain(ledger.root))


def test_outside_git_and_in_a_fresh_repository_it_is_said(tmp_path):
    assert check_growth(tmp_path) == (0, (), ("the ledger's history: this is no git repository",))
    call(tmp_path, "git", "init", "-q")
    assert check_growth(tmp_path) == (0, (), ())


def test_a_repository_in_a_folder_of_another_is_walked_by_its_own_path(tmp_path):
    call(tmp_path, "git", "init", "-q", "-b", "main")
    (tmp_path / "inner").mkdir()
    ledger = Ledger(tmp_path / "inner")
    ledger.append(note("one"), WHO)
    ledger.append(note("two"), WHO)
    commit(tmp_path, "one")
    cut(ledger)
    commit(tmp_path, "tidy")
    assert len(certain(tmp_path / "inner")) == 1


def test_experiments_of_dvc_the_stash_and_notes_are_no_history_of_the_ledger(ledger):
    head = call(ledger.root, "git", "rev-parse", "HEAD").strip()
    cut(ledger)
    apart = commit(ledger.root, "an experiment")
    call(ledger.root, "git", "update-ref", "refs/exps/ab/cdef/exp-one", apart)
    call(ledger.root, "git", "update-ref", "refs/stash", apart)
    call(ledger.root, "git", "reset", "-q", "--hard", head)
    call(ledger.root, "git", "reflog", "expire", "--expire=now", "--all")
    assert check_growth(ledger.root).losses == ()


def test_a_ledger_of_hundreds_of_commits_is_walked_in_a_second_or_two(ledger):
    """By `git fast-import`: each commit adds an event."""
    root = ledger.root
    lines, stream = [], []
    chain = Ledger(root.parent / "chain")
    for number in range(400):
        lines.append(chain.append(note(str(number)), WHO).line() + "\n")
        text = "".join(lines)
        stream.append(f"commit refs/heads/long\ncommitter a <a@b> {1700000000 + number} +0000\ndata 1\nx\n")
        stream.append(f"M 100644 inline {PLACE.as_posix()}\ndata {len(text.encode())}\n{text}\n")
    subprocess.run(["git", "fast-import", "--quiet"], cwd=root, input="".join(stream).encode(), check=True)
    growth = check_growth(root)
    assert (growth.commits, growth.losses) == (402, ())


def test_damage_on_automations_branch_is_named(ledger):
    call(ledger.root, "git", "checkout", "-q", "-b", "improve")
    ledger.path.write_text(ledger.path.read_text().replace('"version": 2', '"version": 3'))
    commit(ledger.root, "forged")
    call(ledger.root, "git", "checkout", "-q", "main")
    with pytest.raises(LedgerError, match=r"line 3 of .* on the branch improve"):
        check(ledger.root)
