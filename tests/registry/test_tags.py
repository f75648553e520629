"""Facts about tags: they are a projection of the ledger, GTO reads them, and they can be rebuilt from nothing."""

from __future__ import annotations

import itertools
import json

import pytest

from parammem.checkout.git import require_identity
from parammem.errors import LedgerError
from parammem.registry import Ledger
from parammem.registry.register import register_adapter
from parammem.registry.state import add_version, champion, find_version, make_champion, roll_back
from parammem.registry.storage import collect_garbage, fetch, missing_champions
from parammem.registry.tags import existing_tags, sync_tags
from tests.registry.repository import ENV, call, commit, dvc, make_adapter, make_repository, promoting

WHO = "person ada"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    seconds = itertools.count()
    root = tmp_path / "repository"
    root.mkdir()
    call(root, "git", "init", "-q", "-b", "main")
    (root / ".gitignore").write_text(".cache/\n")
    commit(root, "start")
    return Ledger(root, clock=lambda: f"2026-01-02T03:04:{next(seconds):02}Z")


def promote(ledger: Ledger, adapter: str) -> None:
    version = add_version(ledger, "code", adapter, "", WHO)
    decision = promoting(adapter)
    ledger.save_decision(decision)
    make_champion(ledger, version, decision.digest, WHO)


def life(ledger: Ledger) -> None:
    """v1 is champion, v2 takes its place, v3 stays candidate, back to v1."""
    promote(ledger, "a" * 64)
    commit(ledger.root, "one")
    promote(ledger, "b" * 64)
    commit(ledger.root, "two")
    add_version(ledger, "code", "c" * 64, "", WHO)
    roll_back(ledger, "code", "v1", "worse", WHO)
    commit(ledger.root, "three")


NAMES = {
    "code-reflector@v1.0.0",
    "code-reflector@v2.0.0",
    "code-reflector@v3.0.0",
    "code-reflector#candidate#1",
    "code-reflector#champion#2",
    "code-reflector#candidate#3",
    "code-reflector#champion!#4",
    "code-reflector#champion#5",
    "code-reflector#candidate#6",
    "code-reflector#champion!#7",
    "code-reflector#champion#8",
}


def test_every_event_gets_its_tags_once(ledger):
    life(ledger)
    made = sync_tags(ledger.root)
    assert set(made.made) == NAMES
    assert sync_tags(ledger.root) == ((), (), ())


def test_an_event_that_is_not_committed_waits(ledger):
    add_version(ledger, "code", "a" * 64, "", WHO)
    assert sync_tags(ledger.root).waiting == ("code-reflector@v1.0.0", "code-reflector#candidate#1")
    assert existing_tags(ledger.root) == {}
    commit(ledger.root, "one")
    assert sync_tags(ledger.root).waiting == ()


def test_tags_rebuilt_from_nothing_are_the_same_in_every_bit(ledger):
    life(ledger)
    sync_tags(ledger.root)
    listing = ("git", "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", "refs/tags")
    before = call(ledger.root, *listing)
    for name in existing_tags(ledger.root):
        call(ledger.root, "git", "tag", "-d", name)
    sync_tags(ledger.root)
    assert call(ledger.root, *listing) == before


def test_a_tag_that_was_moved_is_mended_and_a_strangers_tag_is_left_alone(ledger):
    life(ledger)
    sync_tags(ledger.root)
    before = existing_tags(ledger.root)
    call(ledger.root, "git", "tag", "-f", "-a", "-m", "me", "code-reflector#champion#8", "HEAD~2")
    call(ledger.root, "git", "tag", "release-1")
    assert sync_tags(ledger.root).mended == ("code-reflector#champion#8",)
    assert existing_tags(ledger.root) == before | {"release-1": ("", "")}


def test_an_event_that_a_merge_signs_anew_is_tagged_at_the_merge(ledger):
    """As a turn does it when your ledger and automation's grew side by side."""
    root = ledger.root
    call(root, "git", "checkout", "-q", "-b", "improve")
    promote(ledger, "a" * 64)
    automatic = commit(root, "a turn")
    call(root, "git", "checkout", "-q", "main")
    add_version(ledger, "math", "d" * 64, "", WHO)
    commit(root, "by hand")
    call(root, "git", "checkout", "-q", "improve")
    call(root, "git", "merge", "-q", "-s", "ours", "--no-commit", "main")
    add_version(ledger, "math", "d" * 64, "", WHO)
    merge = commit(root, "both")
    assert sync_tags(root).waiting == ()
    assert existing_tags(root)["math-reflector@v1.0.0"][1] == merge
    assert existing_tags(root)["code-reflector@v1.0.0"][1] == automatic
    call(root, "git", "checkout", "-q", "main")
    call(root, "git", "merge", "-q", "--no-ff", "improve")
    assert sync_tags(root) == ((), (), ()), "merging the branch moves no tag"


def test_gto_reads_versions_stages_and_the_champion(ledger):
    import gto.api

    life(ledger)
    sync_tags(ledger.root)
    root = str(ledger.root)
    (incumbent,) = gto.api.find_versions_in_stage(root, "code-reflector", "champion")
    assert incumbent.version == "v1.0.0"
    shown = gto.api.show(root, "code-reflector")
    assert {row["version"] for row in shown} == {"v1.0.0", "v2.0.0", "v3.0.0"}  # pyright: ignore
    assert len(gto.api.history(root, "code-reflector")) >= len(NAMES)


def test_gto_knows_of_no_champion_after_a_rollback_to_none(ledger):
    import gto.api

    promote(ledger, "a" * 64)
    roll_back(ledger, "code", "none", "harmful", WHO)
    commit(ledger.root, "one")
    assert "code-reflector#champion!#3" in sync_tags(ledger.root).made
    assert not gto.api.find_versions_in_stage(str(ledger.root), "code-reflector", "champion")


def test_a_version_without_a_tag_cannot_be_fetched_and_the_fix_is_named(ledger, tmp_path):
    version = add_version(ledger, "code", "a" * 64, "", WHO)
    with pytest.raises(LedgerError, match="parammem sync"):
        fetch(ledger.root, "code", version, tmp_path / "there")


def test_without_a_git_identity_nothing_is_tagged_and_the_fix_is_named(ledger, monkeypatch):
    promote(ledger, "a" * 64)
    commit(ledger.root, "one")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    call(ledger.root, "git", "config", "user.useConfigOnly", "true")
    with pytest.raises(LedgerError, match=r"git config user\.name"):
        require_identity(ledger.root)
    with pytest.raises(LedgerError, match=r"git config user\.name"):
        sync_tags(ledger.root)
    assert existing_tags(ledger.root) == {}


@pytest.mark.integration
def test_garbage_collection_keeps_every_version_and_fetch_brings_them_back(tmp_path):
    root = make_repository(tmp_path / "repository")
    ledger = Ledger(root)
    adapters = []
    for seed in (1, 2, 3):
        adapters.append(make_adapter(root, seed))
        version = register_adapter(root, "code", None, WHO)
        if seed < 3:
            decision = promoting(version.adapter)
            ledger.save_decision(decision)
            make_champion(ledger, version, decision.digest, WHO)
        if seed == 2:
            with pytest.raises(LedgerError, match="commit ledger/ first"):
                collect_garbage(root)
        commit(root, f"night {seed}")
    roll_back(ledger, "code", "v1", "worse", WHO)
    commit(root, "back")
    (root / "stray").write_text("unused")
    dvc(root, "add", "-q", "stray")
    for name in ("stray", "stray.dvc"):
        (root / name).unlink()
    assert "Removed 1 objects" in collect_garbage(root)
    assert missing_champions(root) == []
    for number, adapter in enumerate(adapters, 1):
        there = fetch(root, "code", find_version(ledger.read(), "code", f"v{number}"), tmp_path / f"v{number}")
        assert adapter.digest in (there / "adapter.json").read_text()
    other = find_version(ledger.read(), "code", "v1").model_copy(update={"adapter": "f" * 64})
    with pytest.raises(LedgerError, match=f"holds the adapter {adapters[0].digest[:16]}, not ffff"):
        fetch(root, "code", other, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    incumbent = champion(ledger.read(), "code")
    assert incumbent is not None
    assert incumbent.adapter == adapters[0].digest
    sync_tags(root)
    there = tmp_path / "champion"
    dvc(root, "artifacts", "get", "-q", ".", "code-reflector", "--stage", "champion", "--out", str(there))
    assert incumbent.adapter in (there / "adapter.json").read_text()


@pytest.mark.integration
def test_plain_gc_would_have_lost_the_champion_and_it_is_noticed(tmp_path):
    root = make_repository(tmp_path / "repository")
    ledger = Ledger(root)
    make_adapter(root, 1)
    version = register_adapter(root, "code", None, WHO)
    decision = promoting(version.adapter)
    ledger.save_decision(decision)
    make_champion(ledger, version, decision.digest, WHO)
    commit(root, "one")
    sync_tags(root)
    make_adapter(root, 2)
    commit(root, "two")
    events = ledger.read()
    listing = root / ".dvc/cache/files/md5" / version.dvc[:2] / version.dvc[2:]
    part = next(one["md5"] for one in json.loads(listing.read_text()) if one["relpath"].endswith("safetensors"))
    weights = root / ".dvc/cache/files/md5" / part[:2] / part[2:]
    kept = weights.read_bytes()
    weights.chmod(0o644)
    weights.unlink()
    assert missing_champions(root) == ["code v1"], "a file of the folder is gone"
    weights.write_bytes(kept)
    assert missing_champions(root) == []
    dvc(root, "gc", "-q", "-w", "-f")
    assert missing_champions(root) == ["code v1"]
    assert missing_champions(root, events) == ["code v1"], "named once"
    call(root, "git", "rm", "-q", "--cached", str(ledger.path))
    ledger.path.rename(tmp_path / "aside")
    assert missing_champions(root) == []
    assert missing_champions(root, events) == ["code v1"], "by the ledger of automation"
    (tmp_path / "aside").rename(ledger.path)
    call(root, "git", "reset", "-q")
    with pytest.raises(LedgerError, match="cache lacks code v1"):
        collect_garbage(root)
