"""`parammem audit …` says on the terminal what the room found, and ends with code 10 when a link does not hold."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from parammem.cli.audit import app
from parammem.errors import LineageError
from tests.lineage.test_verify import flip, git


@pytest.fixture
def audit(lived, monkeypatch):
    """Runs a command in the repository."""
    root, truth = lived
    monkeypatch.chdir(root)

    def run(*words: str):
        return CliRunner().invoke(app, list(words))

    return run, root, truth


def test_show_row_verify_graph_and_recall_speak_of_the_same_life(audit):
    run, root, truth = audit
    shown = run("show", "champion", "--json")
    assert shown.exit_code == 0, shown.output
    page = json.loads(shown.stdout)
    assert page["digest"] == truth.adapters[2]
    assert len(page["answers"]) == 10
    assert "batch-2.jsonl" in run("row", truth.rows_of_batch[1][0]).stdout
    assert "nothing was changed" in run("verify").stdout
    assert run("graph", "v2", "-o", "x.svg").exit_code == 0
    assert (root / "x.svg").read_text().startswith("<svg")
    recall = run("recall", "--row", truth.rows_of_batch[2][0])
    assert "from v3 to v1" in recall.stdout
    assert git(root, "diff", "--name-only") == ""


def test_a_flipped_byte_ends_verify_and_show_with_the_error_of_lineage(audit):
    run, root, _ = audit
    flip(root / "reports/metrics.json", -8)
    for command in ("verify", "show"):
        done = run(command)
        assert isinstance(done.exception, LineageError)
        assert done.exception.exit_code == 10
        assert "reports/metrics.json" in str(done.exception)
