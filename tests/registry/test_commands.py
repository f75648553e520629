"""Facts about the commands of the registry and the gate: what they print, and how they end."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.errors import LedgerError
from parammem.gate import Rule, rule_on
from parammem.registry import Ledger
from parammem.registry.state import crown, register
from tests.gate.meetings import CLEAR, meeting

WHO = "flow improve"


@pytest.fixture
def ledger(tmp_path, monkeypatch) -> Ledger:
    """v1 was promoted on clear evidence, v2 is a candidate."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger()
    version = register(ledger, "code", "b" * 64, "", WHO)
    decision = rule_on(meeting(*CLEAR), Rule(), ledger, WHO)
    crown(ledger, version, decision.digest, WHO)
    register(ledger, "code", "c" * 64, "", WHO)
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
    assert "0 decisions begin with" in str(result.exception)


def test_rollback_says_who_reigns_and_stands_in_the_ledger(ledger):
    assert "nobody is champion" in run("rollback", "--to", "none", "--reason", "harmful").output
    assert "v1 (bbbb" in run("rollback", "--to", "v1").output
    told = run("registry", "history").output
    assert "rolled back from v1 to none: harmful" in told
    result = run("rollback", "--to", "v2")
    assert isinstance(result.exception, LedgerError)


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
