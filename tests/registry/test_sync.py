"""Facts about the replay to W&B: everything is told once, in order, and again from nothing with the same result."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from parammem.core.event import Trained
from parammem.errors import DataError
from parammem.registry import Ledger
from parammem.registry.state import add_version, make_champion, roll_back
from parammem.registry.sync import aliases_of, operations, replay
from parammem.tracking.wandb_server import ArtifactAbsent
from tests.registry.repository import promoting

WHO = "flow improve"


class FakeServer:
    """Keeps aliases as W&B does: an alias is on one version of an artifact. Can be told to fail at a call, and to lack
    artifacts, by the alias that holds their digest."""

    name = "https://server project"

    def __init__(self, fail_at: int = 0, lacks: tuple[str, ...] = ()) -> None:
        self.lacks = set(lacks)
        self.logged: list[dict[str, str]] = []
        self.aliases: dict[str, dict[str, str]] = defaultdict(dict)
        self.used: dict[str, dict] = {}
        self.linked: dict[str, str] = {}
        self.calls, self.fail_at = 0, fail_at

    def _called(self) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise ConnectionError("the server is gone")

    def set_aliases(self, artifact, digest, aliases, gone) -> None:
        self._called()
        for alias in gone:
            self.aliases[artifact].pop(alias, None)
        if digest in self.lacks:
            raise ArtifactAbsent(f"no {digest}")
        for alias in aliases:
            self.aliases[artifact][alias] = digest

    def use(self, run, artifact, metadata) -> None:
        self._called()
        self.used[run] = {"artifact": artifact} | metadata

    def link(self, artifact, digest, collection) -> None:
        self._called()
        if digest in self.lacks:
            raise ArtifactAbsent(f"no {digest}")
        self.linked[collection] = digest

    def log(self, state) -> None:
        """Takes in what it is given, as a server does that gets a run."""
        (card,) = (state / "models" / "reflectors").glob("*/adapter.json")
        self.lacks.discard(f"digest-{json.loads(card.read_text())['digest'][:16]}")
        self.logged.append({p.relative_to(state).as_posix(): p.read_text() for p in state.rglob("*") if p.is_file()})


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """v1 and v2 were champion, v3 is candidate, v1 is champion again; math has a v1 of its own."""
    ledger = Ledger(tmp_path / "repository")
    for letter in "abc":
        fact = Trained(domain="code", adapter=letter * 64, data_digest="d", rows=3, base_digest="b", recipe_digest="r")
        ledger.append(fact, WHO)
        version = add_version(ledger, "code", letter * 64, "", WHO)
        if letter != "c":
            decision = promoting(letter * 64)
            ledger.save_decision(decision)
            make_champion(ledger, version, decision.digest, WHO)
    add_version(ledger, "math", "d" * 64, "", WHO)
    roll_back(ledger, "code", "v1", "worse", WHO)
    return ledger


def told(server: FakeServer) -> tuple:
    return dict(server.aliases), server.used, server.linked


def digest(letter: str) -> str:
    return f"digest-{letter * 16}"


def test_the_server_ends_with_what_the_ledger_says(ledger, tmp_path):
    server = FakeServer()
    replay(ledger.read(), server, tmp_path)
    assert server.aliases["reflector-code"] == {
        "v1": digest("a"), "v2": digest("b"), "v3": digest("c"), "candidate": digest("c"), "champion": digest("a"),
    }  # fmt: skip
    assert server.aliases["reflector-math"] == {"v1": digest("d"), "candidate": digest("d")}
    assert set(server.used) == {f"train-code-{letter * 16}" for letter in "abc"}
    assert server.linked == {"code-reflector": digest("b")}


def test_a_second_replay_tells_nothing_and_new_events_only_themselves(ledger, tmp_path):
    server = FakeServer()
    replay(ledger.read(), server, tmp_path)
    before = server.calls
    assert replay(ledger.read(), server, tmp_path) == []
    assert server.calls == before
    add_version(ledger, "code", "e" * 64, "", WHO)
    assert [one.kind for one in replay(ledger.read(), server, tmp_path)] == ["aliases"]


@pytest.mark.parametrize("fail_at", range(1, 13))
def test_a_server_that_goes_away_at_any_call_gets_the_rest_next_time(ledger, tmp_path, fail_at):
    whole, broken = FakeServer(), FakeServer(fail_at)
    replay(ledger.read(), whole, tmp_path / "whole")
    if fail_at <= whole.calls:
        with pytest.raises(ConnectionError):
            replay(ledger.read(), broken, tmp_path / "broken")
    replay(ledger.read(), broken, tmp_path / "broken")
    assert told(broken) == told(whole)


def test_forgetting_what_was_told_changes_nothing_on_the_server(ledger, tmp_path):
    server = FakeServer()
    replay(ledger.read(), server, tmp_path)
    before = told(server)
    (tmp_path / "synced.jsonl").unlink()
    assert len(replay(ledger.read(), server, tmp_path)) == len(operations(ledger.read()))
    assert told(server) == before


def test_another_server_is_told_everything(ledger, tmp_path):
    first, second = FakeServer(), FakeServer()
    second.name = "https://elsewhere project"
    replay(ledger.read(), first, tmp_path)
    replay(ledger.read(), second, tmp_path)
    assert told(second) == told(first)


@pytest.mark.parametrize("lost", [("a",), ("b",), ("a", "b"), ("c", "d")])
def test_an_artifact_that_nobody_has_keeps_back_only_its_own_version(ledger, tmp_path, lost):
    whole, server = FakeServer(), FakeServer(lacks=tuple(map(digest, lost)))
    replay(ledger.read(), whole, tmp_path / "whole")
    for _ in range(2):  # the second time it says the same, and tells nothing anew
        with pytest.raises(DataError) as said:
            replay(ledger.read(), server, tmp_path / "server", ledger.root)
        assert f"no artifact of {len(lost)} version" in str(said.value)
        assert all(digest(letter) in str(said.value) for letter in lost)
        assert "run `parammem sync` again" in str(said.value)
    expected = {alias: at for alias, at in whole.aliases["reflector-code"].items() if at[-1] not in lost}
    assert {alias: at for alias, at in server.aliases["reflector-code"].items() if alias in expected} == expected
    assert server.used == whole.used


@pytest.mark.parametrize("lost", [("a",), ("b",), ("a", "b"), ("c",)])
def test_an_artifact_that_comes_late_takes_no_alias_away_from_those_who_have_it_by_now(ledger, tmp_path, lost):
    whole, server = FakeServer(), FakeServer(lacks=tuple(map(digest, lost)))
    replay(ledger.read(), whole, tmp_path / "whole")
    with pytest.raises(DataError):
        replay(ledger.read(), server, tmp_path / "server", ledger.root)
    server.lacks.clear()
    assert replay(ledger.read(), server, tmp_path / "server", ledger.root)
    assert server.aliases == whole.aliases
    assert replay(ledger.read(), server, tmp_path / "server", ledger.root) == []


def test_a_version_that_was_never_logged_is_logged_out_of_its_tag(tmp_path, monkeypatch):
    """As after a crash between `commit` and `publish`, with tracking off, or with a lost .cache/tracking."""
    from parammem.registry.register import register_adapter
    from parammem.registry.tags import sync_tags
    from tests.registry.repository import ENV, commit, make_adapter, make_repository

    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    root = make_repository(tmp_path / "repository")
    found = []
    for seed in (1, 2):
        found.append(make_adapter(root, seed).digest[:16])
        (root / "params.yaml").write_text(f"seed: {seed}\n")
        register_adapter(root, "code", None, WHO)
        commit(root, f"v{seed}")
    sync_tags(root)
    server = FakeServer(lacks=tuple(f"digest-{one}" for one in found))
    assert len(replay(Ledger(root).read(), server, tmp_path / "told", root)) == 4
    assert server.aliases["reflector-code"] == {
        "v1": f"digest-{found[0]}", "v2": f"digest-{found[1]}", "candidate": f"digest-{found[1]}",
    }  # fmt: skip
    first = server.logged[0]
    assert first["models/reflectors/code/adapter_model.safetensors"] == "weights 1"
    assert first["params.yaml"] == "seed: 1\n"
    assert "models/reflectors/code" in first["dvc.lock"]
    assert replay(Ledger(root).read(), server, tmp_path / "told", root) == []


def test_a_rollback_to_none_takes_the_alias_away(ledger, tmp_path):
    roll_back(ledger, "code", "none", "harmful", WHO)
    server = FakeServer()
    replay(ledger.read(), server, tmp_path)
    assert "champion" not in server.aliases["reflector-code"]


def test_offline_artifacts_get_the_aliases_that_hold_now(ledger):
    found = aliases_of(ledger.read())
    assert found["a" * 64] == ("candidate", "champion", "v1")
    assert found["b" * 64] == ("candidate", "v2")
    assert found["d" * 64] == ("candidate", "v1")
    roll_back(ledger, "code", "none", "harmful", WHO)
    assert all("champion" not in names for names in aliases_of(ledger.read()).values())


def test_sync_without_a_server_makes_tags_and_says_what_waits(ledger, monkeypatch, repo_root):
    import shutil

    from typer.testing import CliRunner

    from parammem import cli
    from tests.registry.repository import ENV, call, commit

    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    shutil.copy(repo_root / "params.yaml", ledger.root)
    (ledger.root / ".gitignore").write_text(".cache/\n")
    call(ledger.root, "git", "init", "-q", "-b", "main")
    commit(ledger.root, "all")
    monkeypatch.chdir(ledger.root)
    result = CliRunner().invoke(cli.app, ["sync"])
    assert result.exit_code == 0, result.output
    assert "W&B: offline; " in result.output
    assert "tags: 0 made" not in result.output
    assert "tags: 0 made" in CliRunner().invoke(cli.app, ["sync"]).output
