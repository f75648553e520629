"""Facts about turns that decide by runs of agents in use, with real git, DVC, ledger and tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem.checkout.places import LIVE, LIVE_INBOX
from parammem.core.event import Decided, Observed, RolledBack
from parammem.core.live_run import LiveArm
from parammem.improve.run import improve
from parammem.lineage import verify
from parammem.registry.branch import known
from parammem.registry.live_secret import PLACE, evidence_name
from parammem.registry.state import champion, trial
from tests.gate.live_runs import SECRET, live_runs
from tests.improve.lab import drop_batch, git, lab_tools, make_lab

pytestmark = pytest.mark.integration
ALONE: dict[LiveArm, float] = {"holdout": 0.2, "champion": 0.8}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """v1 is champion; v2, with four rows more, was left undecided and is on trial, since runs in use come in."""
    found = make_lab(tmp_path_factory.mktemp("live"))
    (found / PLACE).parent.mkdir()
    (found / PLACE).write_bytes(SECRET)
    drop_batch(found, "first")
    improve(found, lab_tools())
    leave(found, 1, 200, {"holdout": 0.4, "champion": 0.5}, ALONE)
    improve(found, lab_tools())
    drop_batch(found, "second", rows=4)
    improve(found, lab_tools(), force=True)
    return found


def adapters(root: Path) -> dict[LiveArm, str]:
    events = known(root)
    incumbent, running = champion(events, "code"), trial(events, "code")
    assert incumbent is not None
    return {"holdout": "", "champion": incumbent.adapter, "challenger": running.challenger if running else ""}


def leave(root: Path, first: int, many: int, rates: dict[str, float], shares: dict[LiveArm, float]) -> None:
    """Runs as the service hands them over, assigned from now on."""
    runs = live_runs(first, many, rates, shares, adapters(root), started="2099-01-01T00:00:00Z")
    data = "".join(run.line() + "\n" for run in runs).encode()
    path = root / LIVE_INBOX / evidence_name(data, SECRET)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def shares_of(root: Path) -> dict[LiveArm, float]:
    running = trial(known(root), "code")
    assert running is not None
    return dict(running.shares)


def gate_live(root: Path, monkeypatch, *words: str) -> str:
    from parammem.cli import app

    monkeypatch.chdir(root)
    done = CliRunner().invoke(app, ["gate", "--live", "--domain", "code", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_challenger_is_tried_promoted_and_as_champion_rolled_back_by_runs_in_use(root, monkeypatch):
    running = trial(known(root), "code")
    assert running is not None
    assert running.version == 2
    assert list((root / LIVE_INBOX).glob("*.jsonl")) == []
    leave(root, 201, 300, {"holdout": 0.4, "champion": 0.5, "challenger": 0.8}, shares_of(root))
    before = git(root, "rev-parse", "improve")
    said = gate_live(root, monkeypatch)
    assert "300 of these runs lie in data/live/in" in said
    assert "e-value" in said
    told = json.loads(gate_live(root, monkeypatch, "--json"))
    assert told["not_entered"] == 300
    assert told["trial"]["live"]["treated"]["arm"] == "challenger"
    assert git(root, "rev-parse", "improve") == before

    leave(root, 501, 900, {"holdout": 0.4, "champion": 0.5, "challenger": 0.8}, shares_of(root))
    report = improve(root, lab_tools())
    assert [one.answer for one in report.decisions] == ["promote"], report.notes
    incumbent = champion(known(root), "code")
    assert incumbent is not None
    assert incumbent.number == 2
    assert "code-reflector#champion#" in git(root, "tag", "--list")
    assert git(root, "ls-tree", "--name-only", "improve", "data/live/").count(".dvc") == 3

    leave(root, 1401, 1500, {"holdout": 0.8, "champion": 0.4}, ALONE)
    report = improve(root, lab_tools())
    assert [one.answer for one in report.decisions] == ["roll back"], report.notes
    incumbent = champion(known(root), "code")
    assert incumbent is not None
    assert incumbent.number == 1
    facts = [event.fact for event in known(root)]
    assert [fact.answer for fact in facts if isinstance(fact, Decided) and fact.live] == ["promote", "roll back"]
    assert any(isinstance(fact, RolledBack) and "runs in use" in fact.reason for fact in facts)
    assert improve(root, lab_tools()).headline.startswith("Nothing to do")
    assert gate_live(root, monkeypatch).count("no challenger of code is on trial") == 1

    git(root, "merge", "-q", "--no-edit", "improve")
    from tests.improve.lab import dvc

    dvc(root, "checkout", "-q", "--allow-missing")
    assert wrong(root) == set()
    last = next(f for f in reversed(facts) if isinstance(f, Observed))
    path = root / LIVE / f"{last.runs}.jsonl"
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole.replace(b'"arm": "holdout"', b'"arm": "champion"', 1))
    assert (path.relative_to(root).as_posix()) in wrong(root)


def wrong(root: Path) -> set[str]:
    return {found.path for found in verify(root).broken if "live" in found.path or "decisions" in found.path}
