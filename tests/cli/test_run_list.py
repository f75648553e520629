"""Facts about `parammem runs`: it reads the spool beside a service that writes it, and shows all of a run."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.core import Outcome, Step
from tests.service.books import ROOT, Clock, book, whole


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A book that its service has open, in the working directory."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    made = book(tmp_path, Clock())
    yield made
    made.close()


def runs(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["runs", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_is_newest_first_and_filtered_beside_a_service_that_writes(kept):
    first, second = whole(kept, 1), whole(kept, 2, passed=False)
    kept.start("code", "open one", run_id="third")
    lines = runs().splitlines()
    assert [name in line for name, line in zip(("third", second.run_id, first.run_id), lines[1:], strict=True)] == [
        True
    ] * 3
    assert first.run_id in runs("--outcome", "passed")
    assert second.run_id not in runs("--outcome", "passed")
    assert "third" not in runs("--domain", "desk")
    assert "no run is like that" in runs("--reflector", "ffff")
    assert len(runs("--limit", "1", "--before", "third").splitlines()) == 2


def test_one_run_is_shown_whole_with_the_outcome_that_counts(kept):
    text = "Refund order 1 " + "x" * 50_000
    kept.start("code", text, run_id="long")
    kept.add_steps("long", [Step(role="tool", text="one\ntwo \x1b[2J", error="slow")], tokens=1200)
    kept.report("long", Outcome(passed=True, source="person"), by="Ada")
    kept.report("long", Outcome(passed=False, source="model"), by="the agent")
    said = runs("long")
    assert text in said
    assert "  one\n  two \\u001b[2J\n  error: slow" in said
    assert "passed, by person, Ada  (counts)" in said
    assert "failed, by model, the agent\n" in said
    assert "1,200 tokens" in said
    assert "parammem audit answer long" in said


def test_programs_get_the_same_as_json(kept):
    run = whole(kept, 1)
    (listed,) = json.loads(runs("--json"))
    one = json.loads(runs(run.run_id, "--json"))
    assert (listed["run_id"], listed["steps"]) == (run.run_id, [])
    assert [step["role"] for step in one["steps"]] == ["user", "assistant", "tool", "assistant"]
    assert one["outcome"]["passed"] is True
    assert one["advice"] == listed["advice"]


def test_a_run_that_is_not_there_and_a_spool_that_is_not_are_said(kept, tmp_path, monkeypatch):
    result = CliRunner().invoke(cli.app, ["runs", "nobody"])
    assert "parammem audit answer nobody" in str(result.exception)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(ROOT / "params.yaml", elsewhere)
    monkeypatch.chdir(elsewhere)
    result = CliRunner().invoke(cli.app, ["runs"])
    assert "parammem up" in str(result.exception)
    assert not (elsewhere / "data").exists()
