"""Facts about what the demo must have shown, from recorded lives."""

from __future__ import annotations

import pytest

from experiments.demo.run import unmet
from parammem.core.event import Event, Published, RolledBack, make_event

TURNS = {1: "code: promote", 2: "code: undecided", 3: "code: refuse", 4: "code: promote", 5: "code: undecided"}
"""What the turns of a good demo said."""


def ledger(promoted: bool = True, rolled_back: bool = True) -> list[Event]:
    first = Published(domain="code", version=1, adapter="a" * 64, stage="candidate", decision="", dvc="")
    facts = [first, *([first.model_copy(update={"stage": "champion"})] if promoted else [])]
    back = [RolledBack(domain="code", version=0, adapter="", left=1, reason="asked for")] if rolled_back else []
    return [make_event(n, "", "flow improve", fact, "") for n, fact in enumerate([*facts, *back], 1)]


def test_a_promotion_a_refusal_of_the_lie_and_a_rollback_are_what_it_takes():
    assert unmet(TURNS, ledger(), 3) == []


def test_what_did_not_happen_is_said():
    assert "nobody was promoted" in unmet(TURNS, ledger(promoted=False), 3)[0]
    assert unmet(TURNS, ledger(rolled_back=False), 3) == ["no champion was rolled back"]
    assert len(unmet({**TURNS, 3: "code: promote"}, ledger(False, False), 3)) == 3


@pytest.mark.parametrize("said", ["code: promote", "code: undecided", "Nothing to do", "code: refuse; code: promote"])
def test_only_a_refusal_refuses_the_poisoned_batch(said):
    (sentence,) = unmet({**TURNS, 3: said}, ledger(), 3)
    assert sentence == f"the challenger of the poisoned batch 3 was not refused: {said}"


@pytest.mark.parametrize(("said", "sentences"), [("code: undecided", 0), ("code: refuse", 0), ("code: promote", 1)])
def test_by_another_gate_the_poisoned_batch_may_stay_undecided_and_never_be_promoted(said, sentences):
    assert len(unmet({**TURNS, 3: said}, ledger(), 3, refused=False)) == sentences


def test_nothing_is_asked_of_a_batch_that_was_not_played():
    assert unmet({1: TURNS[1], 2: TURNS[2]}, ledger(), 3) == []


@pytest.mark.parametrize(("turns", "code"), [(TURNS, 0), ({**TURNS, 3: "code: promote"}, 1)])
def test_the_exit_code_says_it_and_the_minutes_are_printed(monkeypatch, tmp_path, capsys, turns, code):
    import contextlib

    from experiments.demo import run

    monkeypatch.setattr("sys.argv", ["demo", "--folder", str(tmp_path / "demo")])
    monkeypatch.chdir(tmp_path)
    for name in ("PREFECT_HOME", "PREFECT_API_URL", "PREFECT_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(run, "make_repository", lambda *_: tmp_path)
    monkeypatch.setattr(run, "local_server", lambda _: contextlib.nullcontext("http://server/api"))
    monkeypatch.setattr(run, "play", lambda *_: turns)
    monkeypatch.setattr(run, "report", lambda *_: ledger())
    assert run.main() == code
    said = capsys.readouterr()
    assert " minutes, " in said.out
    assert ("error: the challenger of the poisoned batch 3 was not refused" in said.err) is bool(code)
