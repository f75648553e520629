"""Facts about merging ledgers: one valid chain, the same whoever merges whom, with the driver and without it."""

from __future__ import annotations

import itertools
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from parammem import cli
from parammem.core.event import START, Decided, Event, Ingested, Published, Recalled, RolledBack, make_event
from parammem.core.ledger_format import identity
from parammem.errors import LedgerError
from parammem.registry import Ledger
from parammem.registry.branch import known, refuse_behind, warning_behind
from parammem.registry.growth import check_growth
from parammem.registry.join import in_order, join, merged, missing
from parammem.registry.ledger import PLACE, walk
from parammem.registry.merge import as_file, drive, install, merge_bytes, settle
from parammem.registry.state import champion
from parammem.registry.tags import sync_tags
from tests.registry.repository import ENV, call, commit


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)


def ingest(name: str, batch: str = "") -> Ingested:
    return Ingested(source=name * 8, name=f"{name}.jsonl", format="parammem", batch=batch or name, fresh="", rows=1,
                    kept=1, held=0, duplicates=0, quarantined=0)  # fmt: skip


@pytest.fixture
def root(tmp_path) -> Path:
    """main, and automation's branch, with one event in common."""
    root = tmp_path / "repository"
    root.mkdir()
    call(root, "git", "init", "-q", "-b", "main")
    (root / ".gitignore").write_text(".cache/\n")
    (root / ".gitattributes").write_text((Path(__file__).parents[2] / ".gitattributes").read_text())
    clocked(root).append(ingest("o"), "person Ada")
    commit(root, "start")
    return root


SECONDS = itertools.count()


def clocked(root: Path) -> Ledger:
    return Ledger(root, clock=lambda: f"2026-01-02T{next(SECONDS) // 60:02}:{next(SECONDS) % 60:02}:00Z")


def both_ingest(root: Path) -> None:
    """As the documents describe it: automation takes in A, a person B."""
    call(root, "git", "checkout", "-q", "-b", "improve")
    clocked(root).append(ingest("a"), "flow improve")
    clocked(root).append(published(1, "candidate"), "flow improve")
    clocked(root).append(published(1, "champion"), "flow improve")
    commit(root, "a turn")
    sync_tags(root)
    call(root, "git", "checkout", "-q", "main")
    clocked(root).append(ingest("b"), "person Ada")
    commit(root, "by hand")


def published(version: int, stage: str) -> Published:
    return Published(domain="code", version=version, adapter=f"{version:064x}", stage=stage, decision="", dvc="")  # pyright: ignore


def test_git_merges_the_ledgers_once_the_clone_was_told_how(root):
    both_ingest(root)
    before = known(root)
    assert install(root)
    call(root, "git", "merge", "-q", "improve", "-m", "merge")
    events = Ledger(root).read()
    assert [e.fact.kind for e in events] == ["ingest", "ingest", "publish", "publish", "ingest"]
    assert [e.fact for e in events] == [e.fact for e in before], "as it was read before the merge"
    assert (events[-1].actor, events[-1].time) == (before[-1].actor, before[-1].time)
    assert check_growth(root).losses == ()
    assert sync_tags(root) == ((), (), ()), "no tag has to move"
    refuse_behind(root)


def test_the_branch_that_merges_main_gets_the_same_ledger(root, tmp_path):
    both_ingest(root)
    install(root)
    call(tmp_path, "cp", "-r", str(root), "other")
    call(root, "git", "merge", "-q", "improve", "-m", "merge")
    call(tmp_path / "other", "git", "checkout", "-q", "improve")
    call(tmp_path / "other", "git", "merge", "-q", "main", "-m", "merge")
    assert (root / PLACE).read_bytes() == (tmp_path / "other" / PLACE).read_bytes()
    assert check_growth(tmp_path / "other").losses == ()


def test_without_the_driver_the_merge_stops_and_one_command_settles_it(root, monkeypatch):
    both_ingest(root)
    done = subprocess.run(["git", "merge", "-q", "improve", "-m", "merge"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert "events.jsonl" in done.stdout
    monkeypatch.chdir(root)
    result = CliRunner().invoke(cli.app, ["registry", "merge"])
    assert "5 events in one unbroken chain" in result.output
    call(root, "git", "commit", "-q", "--no-edit")
    assert check_growth(root).losses == ()
    with pytest.raises(LedgerError, match="no merge has stopped"):
        settle(root)


def test_setup_says_what_it_did_and_is_harmless_outside_git(tmp_path, monkeypatch, root):
    monkeypatch.chdir(root)
    assert "driver parammem-ledger" in CliRunner().invoke(cli.app, ["registry", "setup"]).output
    assert "registry merge-driver %O %A %B" in call(root, "git", "config", "merge.parammem-ledger.driver")
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path / "plain")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    result = CliRunner().invoke(cli.app, ["registry", "setup"])
    assert result.exit_code == 0
    assert "no git repository" in result.output


def test_the_repositorys_own_attributes_name_the_driver(repo_root):
    told = call(repo_root, "git", "check-attr", "merge", "--", PLACE.as_posix())
    assert told.strip().endswith("merge: parammem-ledger")
    assert "registry setup" in (repo_root / "Makefile").read_text()


def test_a_damaged_side_is_a_conflict_and_no_side_is_lost(root, tmp_path):
    both_ingest(root)
    ours, theirs, base = tmp_path / "ours", tmp_path / "theirs", tmp_path / "base"
    base.write_bytes(b"")
    ours.write_bytes((root / PLACE).read_bytes())
    theirs.write_bytes((root / PLACE).read_bytes().replace(b'"rows": 1', b'"rows": 2'))
    before = ours.read_bytes()
    with pytest.raises(LedgerError, match="line 1 of theirs"):
        drive(base, ours, theirs)
    assert ours.read_bytes() == before


def test_what_both_sides_have_cut_away_is_a_conflict(root, tmp_path):
    clocked(root).append(ingest("x"), "person Ada")
    whole = (root / PLACE).read_bytes()
    shorter = b"".join(whole.splitlines(keepends=True)[:-1])
    for name, data in {"base": whole, "ours": shorter, "theirs": shorter}.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(LedgerError, match="both sides have lost event 2"):
        drive(tmp_path / "base", tmp_path / "ours", tmp_path / "theirs")


def test_a_person_who_ingests_is_told_that_automation_is_ahead(root):
    assert warning_behind(root) == ""
    both_ingest(root)
    assert "branch improve has 3 events that yours lacks" in warning_behind(root)
    install(root)
    call(root, "git", "merge", "-q", "improve", "-m", "merge")
    assert warning_behind(root) == ""


def test_the_same_source_taken_in_on_both_sides_is_one_event(root):
    both_ingest(root)
    clocked(root).append(ingest("a").model_copy(update={"name": "renamed.jsonl"}), "person Ada")
    commit(root, "the same file by hand")
    install(root)
    call(root, "git", "merge", "-q", "improve", "-m", "merge")
    assert [e.fact.source[0] for e in Ledger(root).read() if isinstance(e.fact, Ingested)] == ["o", "a", "b"]


FACTS = st.one_of(
    st.sampled_from("abcd").map(ingest),
    st.sampled_from("abcd").map(lambda x: Recalled(domain="code", rows=(), adapters=(), reason=x)),
    st.sampled_from([1, 2, 3]).map(lambda n: published(n, "champion")),
    st.sampled_from([1, 2]).map(lambda n: RolledBack(domain="code", version=n, adapter="", left=3, reason="r")),
    st.sampled_from("xy").map(
        lambda x: Decided(domain="code", decision=x, champion="", challenger="", answer="refuse", look=1, alpha=0.01)
    ),
)
SIDE = st.lists(st.tuples(FACTS, st.sampled_from(["person Ada", "flow improve"])), max_size=5)


def grown(folder: Path, start: bytes, facts) -> list[Event]:
    ledger = clocked(folder)
    ledger.path.parent.mkdir(parents=True)
    ledger.path.write_bytes(start)
    for fact, actor in facts:
        ledger.append(fact, actor)
    return ledger.read()


@settings(max_examples=80, deadline=None, database=None)
@given(SIDE, SIDE, SIDE)
def test_whatever_grew_a_merge_is_a_valid_chain_that_has_all_of_it(tmp_path_factory, shared, one, other):
    folder = tmp_path_factory.mktemp("sides")
    start = as_file(grown(folder / "start", b"", shared))
    a, b = grown(folder / "a", start, one), grown(folder / "b", start, other)
    chain = merged(a, b)
    data = as_file(chain)
    assert chain == merged(b, a)
    assert data == merge_bytes(as_file(a), as_file(b)) == merge_bytes(as_file(b), as_file(a))
    assert walk(data)[1] == []
    assert [e.fact for e in chain] == [e.fact for e in join(a, b)]
    assert champion(chain, "code") == champion(join(a, b), "code")
    assert missing(a, chain) == missing(b, chain) == []
    assert data.startswith((as_file(a), as_file(b)))
    assert merged(chain, a) == merged(chain, b) == chain, "merging once more changes nothing"


TREE = st.lists(st.tuples(st.integers(0, 9), SIDE), min_size=1, max_size=5)
"""Ledgers that grew: from how much of an earlier one each began, and what was appended then."""


def chained(start: list[Event], side) -> list[Event]:
    """What the ledger would hold after these appends: a fact that it has adds nothing, unless it rolls back."""
    chain = list(start)
    for fact, actor in side:
        if isinstance(fact, RolledBack) or identity(fact) not in {identity(event.fact) for event in chain}:
            time = f"2026-01-02T{next(SECONDS) // 60 % 24:02}:{next(SECONDS) % 60:02}:00Z"
            previous = chain[-1].digest if chain else START
            chain.append(make_event(len(chain) + 1, time, actor, fact, previous))
    return chain


def grown_tree(tree) -> list[list[Event]]:
    ledgers: list[list[Event]] = []
    for kept, side in tree:
        ledgers.append(chained(ledgers[kept % len(ledgers)][:kept] if ledgers else [], side))
    return ledgers


@settings(max_examples=80, deadline=None, database=None)
@given(TREE, st.randoms(use_true_random=False))
def test_the_order_of_many_ledgers_follows_from_their_events_alone(tree, chance: random.Random):
    ledgers = grown_tree(tree)
    whole = join(*ledgers)
    again = [*ledgers, *(one[: chance.randint(0, len(one))] for one in ledgers), chance.choice(ledgers)]
    chance.shuffle(again)
    assert join(*again) == whole, "neither their order nor what is given twice makes a difference"
    assert {event.digest for event in whole} <= {event.digest for one in ledgers for event in one}
    assert all(missing(one, whole) == [] for one in ledgers), "nothing is lost"


@settings(max_examples=80, deadline=None, database=None)
@given(TREE)
def test_a_merge_of_many_ledgers_changes_nobodys_answer(tree):
    ledgers = grown_tree(tree)
    facts, chain, ordered = [event.fact for event in join(*ledgers)], merged(*ledgers), in_order(ledgers)
    assert walk(as_file(chain))[1] == []
    assert [event.fact for event in chain] == facts
    for few in range(1, len(ordered) + 1):  # merged one after the other, in their order
        assert [event.fact for event in join(*ledgers, merged(*ordered[:few]))] == facts


def test_three_ledgers_of_which_two_name_nothing_have_one_order():
    """Joined two at a time, what named no version stood in the order in which the branches happened to be read."""
    start = chained([], [(ingest("o"), "person Ada")])
    one = chained(start, [(ingest("a"), "person Ada")])
    two = chained(start, [(ingest("b"), "flow improve")])
    three = chained(start, [(published(1, "candidate"), "person Ada")])
    orders = {tuple(e.digest for e in join(*some)) for some in itertools.permutations([one, two, three])}
    assert len(orders) == 1
    said = [e.fact for e in join(one, two, three)]
    assert [fact.kind for fact in said] == ["ingest", "publish", "ingest", "ingest"]
    assert [fact.source[0] for fact in said if isinstance(fact, Ingested)] == ["o", "b", "a"]
