"""Facts about runs of agents in use on their way into the ledger: what is believed, and what stays where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parammem.checkout.places import LIVE, LIVE_INBOX
from parammem.core.event import Event, Observed, make_event
from parammem.core.live_run import LiveRun
from parammem.core.outcome import Outcome
from parammem.improve.live_decisions import decide_by_runs
from parammem.improve.live_inbox import LARGEST, clear_entered, look_for_runs, runs_wait, take_in_runs
from parammem.improve.turn import Tools, Turn
from parammem.registry.live_secret import PLACE, evidence_name
from tests.gate.live_runs import SECRET, live_runs
from tests.stages.arena import parsed

RATES = {"holdout": 0.4, "champion": 0.5, "challenger": 0.6}


@pytest.fixture
def root(tmp_path) -> Path:
    secret = tmp_path / PLACE
    secret.parent.mkdir(parents=True)
    secret.write_bytes(SECRET)
    return tmp_path


def leave(root: Path, runs: list[LiveRun], secret: bytes = SECRET, name: str = "") -> Path:
    """Write a file as the service does."""
    data = "".join(run.line() + "\n" for run in runs).encode()
    path = root / LIVE_INBOX / (name or evidence_name(data, secret))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def turn_of(root: Path) -> Turn:
    tools = Tools(rebuild=lambda *_: None, compare=lambda *_: pytest.fail("compared"), say=print, actor="test")
    tree = root / "tree"
    tree.mkdir(exist_ok=True)
    return Turn(root=root, branch="improve", tools=tools, params=parsed(), tree=tree)


def entered(first: int, last: int, domain: str = "code") -> list[Event]:
    fact = Observed(domain=domain, runs="9" * 64, first=first, last=last, counts={})
    return [make_event(1, "2026-11-28T12:00:00Z", "test", fact, "0" * 64)]


def test_a_file_of_the_service_is_entered_and_taken_away_when_that_is_committed(root):
    path = leave(root, live_runs(1, 40, RATES))
    turn = turn_of(root)
    assert runs_wait(root)
    facts = take_in_runs(turn)
    assert [(fact.first, fact.last) for fact in facts] == [(1, 40)]
    assert (turn.tree / LIVE / f"{facts[0].runs}.jsonl").read_bytes() == path.read_bytes()
    assert sum(runs for runs, _, _ in facts[0].counts.values()) == 40
    assert [event.fact for event in turn.ledger.read()] == facts
    assert path.exists()
    assert clear_entered(root, turn.tree) == 1
    assert not runs_wait(root)


def test_a_turn_that_is_run_again_after_a_crash_enters_nothing_twice(root):
    leave(root, live_runs(1, 40, RATES))
    turn = turn_of(root)
    take_in_runs(turn)
    assert take_in_runs(turn) == []
    assert len(turn.ledger.read()) == 1


def test_files_are_taken_in_the_order_of_their_runs_and_one_that_comes_too_early_waits(root):
    for first in (41, 1, 121):
        leave(root, live_runs(first, 40, RATES))
    found = look_for_runs(root, [])
    assert [fact.first for _, fact, _ in found.files] == [1, 41]
    assert "run 81 is the next one" in next(iter(found.refused.values()))
    assert [fact.first for _, fact, _ in look_for_runs(root, entered(1, 120)).files] == [121]


def test_runs_that_the_ledger_has_already_do_not_come_in_once_more_under_another_name(root):
    leave(root, live_runs(1, 40, RATES, seed=7))
    found = look_for_runs(root, entered(1, 80))
    assert found.files == []
    assert "run 81 is the next one" in next(iter(found.refused.values()))


def test_domains_are_numbered_apart(root):
    leave(root, live_runs(1, 10, RATES))
    leave(root, live_runs(1, 10, RATES, domain="math"))
    assert {fact.domain for _, fact, _ in look_for_runs(root, []).files} == {"code", "math"}


def changed(run: LiveRun, **fields) -> LiveRun:
    return run.model_copy(update=fields)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("other secret", "not that of its contents"),
        ("changed outcome", "not that of its contents"),
        ("odd name", "not that of its contents"),
        ("flipped arm", "not of the arm that was drawn"),
        ("dropped run", "does not follow the line before"),
        ("twice", "stands in it twice"),
        ("empty", "holds no run"),
        ("odd shares", "no chances that add up to 1"),
        ("no time", "does not say when it started"),
        ("no record", "not a LiveRun"),
        ("huge", "more than"),
        ("link", "no regular file"),
    ],
)
def test_what_the_service_did_not_write_or_what_contradicts_itself_stays_and_is_named(root, how, said):
    runs = live_runs(1, 20, RATES)
    if how == "other secret":
        leave(root, runs, secret=b"t" * 32)
    elif how == "changed outcome":
        path = leave(root, runs)
        better = [changed(run, outcome=Outcome(passed=True)) for run in runs]
        path.write_text("".join(run.line() + "\n" for run in better))
    elif how == "odd name":
        leave(root, runs, name="runs.jsonl")
    elif how == "flipped arm":
        other = "champion" if runs[3].arm != "champion" else "challenger"
        leave(root, [*runs[:3], changed(runs[3], arm=other), *runs[4:]])
    elif how == "dropped run":
        leave(root, [*runs[:3], *runs[4:]])
    elif how == "twice":
        leave(root, [*runs, changed(runs[0], number=21)])
    elif how == "odd shares":
        leave(root, [changed(run, shares={"holdout": 0.1, "champion": 0.45, "challenger": 0.3}) for run in runs])
    elif how == "no time":
        leave(root, [changed(run, started="yesterday") for run in runs])
    elif how == "empty":
        leave(root, [])
    elif how == "huge":
        (root / LIVE_INBOX).mkdir(parents=True)
        with (root / LIVE_INBOX / "0.jsonl").open("wb") as out:
            out.truncate(LARGEST + 1)  # takes no room
    elif how == "no record":
        data = b'{"arm": "champion"}\n'
        (root / LIVE_INBOX).mkdir(parents=True)
        (root / LIVE_INBOX / evidence_name(data, SECRET)).write_bytes(data)
    else:
        path = leave(root, runs)
        os.replace(path, root / "elsewhere")
        path.symlink_to(root / "elsewhere")
    found = look_for_runs(root, [])
    assert found.files == []
    assert said in next(iter(found.refused.values()))
    turn = turn_of(root)
    assert take_in_runs(turn) == []
    assert any("runs stay in data/live/in" in note for note in turn.notes)
    assert runs_wait(root)


def test_a_file_that_is_refused_costs_its_neighbours_nothing(root):
    leave(root, live_runs(1, 20, RATES))
    leave(root, live_runs(1, 20, RATES, domain="math"), secret=b"t" * 32)
    found = look_for_runs(root, [])
    assert [fact.domain for _, fact, _ in found.files] == ["code"]
    assert len(found.refused) == 1


def test_runs_without_champion_or_trial_decide_nothing(root):
    leave(root, live_runs(1, 40, RATES))
    turn = turn_of(root)
    turn.observed = take_in_runs(turn)
    decide_by_runs(turn)
    assert turn.decisions == []
    assert len(turn.ledger.read()) == 1
