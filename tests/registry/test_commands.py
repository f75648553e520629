"""Facts about the commands of the registry and the gate: what they print, and how they end."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.checkout.git import commit, move_branch
from parammem.checkout.lock import locked
from parammem.checkout.worktree import remove_trees
from parammem.core.event import Decided, Recalled, RolledBack
from parammem.errors import DataError, LedgerError
from parammem.gate import Rule, decide_and_record
from parammem.improve.branch import make_tree
from parammem.registry import Ledger
from parammem.registry.branch import known, ledger_at, refuse_behind
from parammem.registry.state import add_version, champion, find_version, make_champion
from parammem.registry.tags import existing_tags, wanted_tags
from tests.gate.evidences import CLEAR, meeting
from tests.improve.lab import git, make_lab, write_params

WHO = "flow improve"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ledger(tmp_path, monkeypatch) -> Ledger:
    """v1 was promoted on clear evidence, v2 is a candidate."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger()
    version = add_version(ledger, "code", "b" * 64, "", WHO)
    decision = decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    make_champion(ledger, version, decision.digest, WHO)
    add_version(ledger, "code", "c" * 64, "", WHO)
    return ledger


def run(*words: str):
    return CliRunner().invoke(cli.app, list(words))


def test_history_names_versions_decisions_and_the_champion(ledger):
    result = run("registry", "history")
    assert result.exit_code == 0
    assert "promote: v1 against" in result.output
    assert result.output.splitlines()[-1].startswith("champion: v1")


def test_verify_ends_with_the_ledgers_code_when_a_line_was_touched(ledger):
    assert "the chain is unbroken" in run("registry", "verify").output
    ledger.path.write_text(ledger.path.read_text().replace('"version": 2', '"version": 3'))
    result = run("registry", "verify")
    assert isinstance(result.exception, LedgerError)
    assert result.exception.exit_code == 11
    assert "line 5" in str(result.exception)


def test_a_decision_is_explained_again_by_the_beginning_of_its_digest(ledger):
    digest = next(e.fact.decision for e in ledger.read() if e.fact.kind == "decide")
    result = run("gate", "--show", digest[:10])
    assert result.exit_code == 0
    assert "PROMOTE" in result.output
    assert json.loads(run("gate", "--show", digest[:10], "--json").output)["answer"] == "promote"


def test_a_decision_that_is_not_there_is_an_error(ledger):
    result = run("gate", "--show", "ffffffff")
    assert isinstance(result.exception, LedgerError)
    assert "0 decisions with a digest that begins with" in str(result.exception)


@pytest.mark.parametrize("is_registered", [True, False])
def test_a_promotion_that_is_entered_makes_the_challenger_champion(tmp_path, monkeypatch, is_registered):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("parammem.stages.contest.compare", lambda *_: meeting(*CLEAR))
    if is_registered:
        add_version(Ledger(), "code", "b" * 64, "", WHO)
    command = ("gate", "none", "--enter", "--params", str(ROOT / "params.yaml"))
    result = run(*command)
    assert result.exit_code == 0, result.exception
    now = champion(Ledger().read(), "code")
    if is_registered:
        assert now is not None
        assert (now.name, "v1 is champion of code now" in result.output) == ("v1", True)
    else:
        assert now is None
        assert "no version yet, so nobody became champion" in result.output
        add_version(Ledger(), "code", "b" * 64, "", WHO)
        run(*command)
        assert champion(Ledger().read(), "code") == find_version(Ledger().read(), "code", "v1")
    assert sum(isinstance(event.fact, Decided) for event in Ledger().read()) == 1, "one look is paid for once"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = make_lab(tmp_path_factory.mktemp("lab"))
    tree, before = make_tree(root, "improve", "one")
    ledger = Ledger(tree)
    version = add_version(ledger, "code", "b" * 64, "", WHO)
    decision = decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    make_champion(ledger, version, decision.digest, WHO)
    add_version(ledger, "code", "c" * 64, "", WHO)
    move_branch(root, "improve", commit(tree, ["ledger"], "a turn"), before)
    remove_trees(root)
    return root


@pytest.fixture
def automated(made, tmp_path, monkeypatch) -> Path:
    """On the branch of automation v1 is champion and v2 a candidate; the person's files know nothing of it."""
    shutil.copytree(made.parent, tmp_path / "lab", symlinks=True)
    monkeypatch.chdir(tmp_path / "lab" / "repo")
    return tmp_path / "lab" / "repo"


@pytest.mark.integration
def test_rollback_is_committed_and_tagged_on_the_branch_of_automation_and_leaves_your_files_alone(automated):
    head = git(automated, "rev-parse", "HEAD")
    assert "rolled back to no reflector: harmful" in run("rollback", "--to", "none", "--reason", "harmful").output
    events = ledger_at(automated, "refs/heads/improve")
    assert champion(events, "code") is None
    assert [(e.actor, e.fact.reason) for e in events if isinstance(e.fact, RolledBack)] == [("person lab", "harmful")]
    assert "code-reflector#champion!#4" in existing_tags(automated)
    assert git(automated, "rev-parse", "HEAD") == head
    assert git(automated, "status", "--porcelain") == ""
    assert "rolled back from v1 to no reflector: harmful" in run("registry", "history").output
    assert "rolled back to v1" in run("rollback", "--to", "v1").output
    assert isinstance(run("rollback", "--to", "v2").exception, LedgerError)
    assert run("registry", "history").output.splitlines()[-1].startswith("champion: v1")


def test_history_generations_and_gate_read_the_ledger_of_automation_to_its_end(automated):
    assert run("registry", "history").output.splitlines()[-1].startswith("champion: v1")
    assert "v1" in run("generations").output.splitlines()[1]
    digest = next(e.fact.decision for e in ledger_at(automated, "refs/heads/improve") if isinstance(e.fact, Decided))
    assert "PROMOTE" in run("gate", "--show", digest[:10]).output
    result = run("gate", "champion", "none")
    assert isinstance(result.exception, LedgerError), "it is asked for, and only not in DVC"
    assert "code v1 has no tag yet" in str(result.exception)


def test_what_only_your_ledger_has_comes_after_what_automation_wrote(automated):
    Ledger().append(Recalled(domain="code", rows=(), adapters=(), reason="by hand"), "person lab")
    assert [event.fact.kind for event in known(automated)][-2:] == ["publish", "recall"]
    assert run("registry", "history").output.splitlines()[-1].startswith("champion: v1")
    with pytest.raises(LedgerError, match="git merge improve"):
        refuse_behind(automated)


def test_a_decision_is_not_entered_into_a_ledger_that_automation_has_gone_on_from(automated):
    result = run("gate", "none", "--enter")
    assert isinstance(result.exception, LedgerError)
    assert "git merge improve" in str(result.exception)
    git(automated, "merge", "-q", "improve")
    refuse_behind(automated)


def test_a_damaged_ledger_of_automation_is_named(automated):
    git(automated, "switch", "-q", "improve")
    path = Ledger().path
    path.write_text(path.read_text().replace('"version": 2', '"version": 3'))
    git(automated, "commit", "-qam", "forged")
    git(automated, "switch", "-q", "main")
    result = run("registry", "history")
    assert isinstance(result.exception, LedgerError)
    assert "events.jsonl:5 on the branch improve" in str(result.exception)


def test_garbage_is_not_collected_while_a_turn_is_at_work(automated):
    write_params(automated, wait_seconds=0)
    with locked(automated, "flow improve", 0):
        result = run("registry", "gc", "--dry")
    assert isinstance(result.exception, DataError)
    assert "flow improve" in str(result.exception)
    assert "still at work" in str(result.exception)


def test_garbage_is_not_collected_while_a_version_of_automation_has_no_tag(automated):
    result = run("registry", "gc", "--dry")
    assert isinstance(result.exception, LedgerError)
    assert "of automation's ledger missing or different" in str(result.exception)


def test_a_folder_without_an_adapter_cannot_be_registered(ledger):
    result = run("registry", "register", "nowhere")
    assert result.exit_code == 1
    assert "no adapter in 'nowhere'" in str(result.exception)


@pytest.mark.parametrize(
    "command", [["ingest"], ["gate"], ["registry"], ["registry", "fetch"], ["registry", "gc"], ["rollback"], ["sync"]]
)
def test_every_command_has_help(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def promoted_meanwhile(root: Path) -> None:
    """What a turn does that was at work when somebody asked: v2 is promoted."""
    tree, before = make_tree(root, "improve", "turn")
    ledger = Ledger(tree)
    evidence = meeting(*CLEAR, champion="b" * 64).model_copy(update={"challenger": "c" * 64})
    decision = decide_and_record(evidence, Rule(), ledger, WHO)
    make_champion(ledger, find_version(ledger.read(), "code", "v2"), decision.digest, WHO)
    move_branch(root, "improve", commit(tree, ["ledger"], "a turn"), before)
    remove_trees(root)


@pytest.mark.integration
@pytest.mark.parametrize("to", ["before", "none"])
def test_a_rollback_is_meant_as_it_was_asked_and_refused_when_the_champion_has_changed(automated, monkeypatch, to):
    """It waited behind a turn that promoted v2; "before" would have deposed v2."""
    from parammem.improve import champion as room

    real = room.locked

    @contextmanager
    def waits(root, *arguments):
        promoted_meanwhile(root)
        with real(root, *arguments):
            yield

    monkeypatch.setattr(room, "locked", waits)
    result = run("rollback", "--to", to, "--reason", "worse")
    assert isinstance(result.exception, LedgerError)
    said = str(result.exception)
    assert "was v1 when you asked and is v2 now" in said
    assert "flow improve: promoted" in said
    assert "`parammem rollback --to none --domain code`" in said
    assert champion(ledger_at(automated, "refs/heads/improve"), "code").number == 2  # pyright: ignore


@pytest.mark.integration
@pytest.mark.parametrize("step", ["publish", "close"])
def test_before_goes_back_once_when_its_run_was_cut_short_after_the_commit(automated, monkeypatch, step):
    from parammem.improve import champion as room

    promoted_meanwhile(automated)
    real = room.run_steps

    def cut_short(turn, steps, around):
        def call(one, turn):
            if one.name == step:
                raise OSError(28, "the disk is full")
            around(one, turn)

        return real(turn, steps, call)

    with monkeypatch.context() as patch:
        patch.setattr(room, "run_steps", cut_short)
        assert isinstance(run("rollback", "--to", "before").exception, OSError)
    assert champion(ledger_at(automated, "refs/heads/improve"), "code").number == 1  # pyright: ignore
    assert "had been cut short; it is complete now" in run("rollback", "--to", "before").output
    assert champion(ledger_at(automated, "refs/heads/improve"), "code").number == 1  # pyright: ignore
    wanted = {tag.name for tag in wanted_tags(ledger_at(automated, "refs/heads/improve"))}
    assert set(existing_tags(automated)) == wanted
    assert "rolled back to no reflector" in run("rollback", "--to", "before").output, "asked for once more, it goes on"
