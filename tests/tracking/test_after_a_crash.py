"""Facts about a turn that died between its commit and W&B: the next one tells W&B what the branch shows."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from parammem.core import Adapter
from parammem.improve import steps
from parammem.registry import Ledger
from parammem.registry.state import add_version
from parammem.tracking import LEDGER, Logged


@pytest.fixture
def turn(tmp_path, monkeypatch):
    """A turn at `finish`: its branch shows the version v1."""
    root, tree = tmp_path / "repo", tmp_path / "tree"
    folder = tree / "models" / "reflectors" / "code"
    folder.mkdir(parents=True)
    digest = hashlib.sha256(b"weights").hexdigest()
    card = Adapter(
        domain="code", digest=digest, base_model="b", base_digest="b", recipe={}, data_digest="d", rows=1, steps=1,
        held_out_loss=None,
    )  # fmt: skip
    (folder / "adapter.json").write_text(card.model_dump_json())
    (root / ".cache" / "tracking").mkdir(parents=True)
    add_version(Ledger(tree), "code", digest, "", "flow improve")
    told: list[str] = []
    monkeypatch.setattr(steps, "run_guarded", lambda command, *_: told.append(command[3]) or (0, []))
    monkeypatch.setattr(steps, "sync_tags", lambda _: SimpleNamespace(made=()))
    monkeypatch.setattr(steps.batches, "clear_ingested", lambda *_: 0)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    settings = SimpleNamespace(
        tracking=SimpleNamespace(mode="auto"), domains=["code"], experience=SimpleNamespace(inbox="inbox", domain="")
    )
    tools = SimpleNamespace(say=lambda _: None)
    return SimpleNamespace(
        root=root, tree=tree, before="c", settings=settings, ledger=Ledger(tree), tools=tools, told=told, digest=digest,
        note=lambda _: None,
    )  # fmt: skip


def remember(turn, adapter: str) -> None:
    line = Logged(run_id="r", kind="train", domain="code", adapter=adapter, content="", mode="offline")
    (turn.root / ".cache" / "tracking" / LEDGER).write_text(line.line() + "\n")


def test_a_version_that_was_committed_and_not_logged_is_logged_by_the_next_turn(turn):
    steps.finish(turn)
    assert turn.told == ["track", "sync"]


def test_a_version_that_was_logged_is_left_alone(turn):
    remember(turn, turn.digest)
    steps.finish(turn)
    assert turn.told == []


def test_another_versions_run_is_not_taken_for_it(turn):
    remember(turn, "f" * 64)
    steps.finish(turn)
    assert turn.told == ["track", "sync"]


@pytest.mark.parametrize("off", ["params", "environment"])
def test_nothing_is_told_where_tracking_is_off(turn, monkeypatch, off):
    if off == "params":
        turn.settings.tracking.mode = "off"
    else:
        monkeypatch.setenv("WANDB_MODE", "disabled")
    steps.finish(turn)
    assert turn.told == []


def test_an_adapter_that_is_no_version_is_nobodys_business(turn):
    (turn.tree / "ledger" / "events.jsonl").unlink()
    steps.finish(turn)
    assert turn.told == []


def test_a_broken_tracking_ledger_does_not_fail_the_turn(turn):
    (turn.root / ".cache" / "tracking" / LEDGER).write_text("broken\n")
    steps.finish(turn)
    assert turn.told == ["track", "sync"]
