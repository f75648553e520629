"""Facts about the gate's memory: a look is paid for once, and a decision stands in the ledger with its evidence."""

from __future__ import annotations

import pytest

from parammem.core.event import Decided
from parammem.errors import LedgerError
from parammem.gate import Rule, decide_and_record
from parammem.gate.nightly_check import check_champion
from parammem.gate.record_decision import decide_and_record_all, looks_paid
from parammem.gate.rule import Looks
from parammem.registry import Ledger
from tests.gate.evidences import CLEAR, EQUAL, meeting, part

WHO = "flow improve"


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def test_a_decision_is_saved_and_stands_in_the_ledger(ledger):
    decision = decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    kinds = [event.fact.kind for event in ledger.read()]
    assert kinds == ["evaluate", "decide"]
    fact = ledger.read()[-1].fact
    assert isinstance(fact, Decided)
    assert (fact.answer, fact.look, fact.decision) == ("promote", 1, decision.digest)
    assert ledger.decision(decision.digest) == decision


def test_the_same_evidence_is_paid_for_once(ledger):
    first = decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    assert decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO) == first
    assert looks_paid(ledger.read(), "code") == Looks(1, 0, first.budget.alpha)


def test_a_reserve_look_stands_in_the_ledger_as_one_and_the_record_of_a_regular_look_is_as_it_was(ledger):
    weak = decide_and_record(meeting(part("anchor", 8, 4, 10)), Rule(), ledger, WHO)
    decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    reserve, regular = [e for e in ledger.read() if isinstance(e.fact, Decided)]
    assert isinstance(reserve.fact, Decided)
    assert reserve.fact.reserve
    assert '"reserve": true' in reserve.line()
    assert "reserve" not in regular.line()
    looks = looks_paid(ledger.read(), "code")
    assert (looks.regular, looks.reserve) == (1, 1)
    assert ledger.decision(weak.digest) == weak


def test_other_evidence_is_another_look_with_less_to_spend(ledger):
    first = decide_and_record(meeting(*EQUAL), Rule(), ledger, WHO)
    second = decide_and_record(meeting(part("anchor", 61, 60, 279)), Rule(), ledger, WHO)
    assert second.budget.look == 2
    assert second.budget.alpha < first.budget.alpha


def test_a_look_that_was_not_taken_is_not_counted(ledger):
    decide_and_record(meeting(part("anchor", 3, 2, 10)), Rule(), ledger, WHO)
    assert looks_paid(ledger.read(), "code") == Looks()
    assert decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO).budget.look == 1


def test_domains_have_budgets_of_their_own(ledger):
    decide_and_record(meeting(*EQUAL), Rule(), ledger, WHO)
    other = meeting(*EQUAL).model_copy(update={"domain": "math"})
    assert decide_and_record(other, Rule(), ledger, WHO).budget.look == 1


def test_a_decision_after_a_crash_between_record_and_ledger_is_the_same(ledger, monkeypatch):
    real = Ledger.append

    def crash(self, fact, actor):
        if isinstance(fact, Decided):
            raise KeyboardInterrupt
        return real(self, fact, actor)

    monkeypatch.setattr(Ledger, "append", crash)
    with pytest.raises(KeyboardInterrupt):
        decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    monkeypatch.setattr(Ledger, "append", real)
    decision = decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    assert decision.budget.look == 1
    assert len(list((ledger.root / "ledger" / "decisions").iterdir())) == 1
    assert [event.fact.kind for event in ledger.read()] == ["evaluate", "decide"]


def test_a_decision_that_was_changed_on_disk_stops_the_gate(ledger):
    decision = decide_and_record(meeting(*EQUAL), Rule(), ledger, WHO)
    path = ledger.root / "ledger" / "decisions" / f"{decision.digest}.json"
    path.write_text(path.read_text().replace('"refuse"', '"promote"'))
    with pytest.raises(LedgerError, match="was changed"):
        decide_and_record(meeting(*EQUAL), Rule(), ledger, WHO)


def two(first, second):
    """Two challengers of one champion on the same tasks."""
    one = meeting(*first)
    return [one, meeting(*second).model_copy(update={"challenger": "c" * 64})]


def test_two_challengers_are_two_looks_and_each_pays_for_itself(ledger):
    first, second = decide_and_record_all(two(EQUAL, CLEAR), Rule(), ledger, WHO)
    assert (first.answer, second.answer) == ("refuse", "promote")
    assert (first.budget.look, second.budget.look) == (1, 2)
    assert second.budget.alpha < first.budget.alpha
    assert looks_paid(ledger.read(), "code").regular == 2
    assert [event.fact.kind for event in ledger.read()] == ["evaluate", "decide"] * 2


@pytest.mark.parametrize(("gains", "winner"), [((70, 60), 0), ((60, 70), 1), ((60, 60), 0)])
def test_of_two_that_pass_the_one_that_gained_more_is_promoted_and_the_other_is_outdone(ledger, gains, winner):
    slices = [(part("anchor", gain, 20, 320 - gain),) for gain in gains]
    decisions = decide_and_record_all(two(*slices), Rule(), ledger, WHO)
    assert [one.answer for one in decisions].count("promote") == 1
    assert decisions[winner].answer == "promote"
    other = decisions[1 - winner]
    assert other.answer == "undecided"
    assert other.reasons[0].startswith(f"outdone: {decisions[winner].challenger[:16]}")
    assert other.budget.paid
    assert ledger.decision(other.digest) == other


def test_the_same_two_meetings_get_the_same_two_answers(ledger):
    first = decide_and_record_all(two(CLEAR, CLEAR), Rule(), ledger, WHO)
    assert decide_and_record_all(two(CLEAR, CLEAR), Rule(), ledger, WHO) == first
    assert looks_paid(ledger.read(), "code").regular == 2


def nightly(better: int, worse: int, same: int):
    """A check in which no reflector is better on so many tasks, and so on."""
    one = part("anchor", better, worse, same)
    swapped = one.model_copy(update={"none": one.challenger, "challenger": one.champion, "champion": ()})
    return check_champion("code", 3, "a" * 64, [swapped], "2026-01-02")


def test_a_champion_that_is_worse_than_nothing_fails_its_check():
    check = nightly(better=40, worse=10, same=100)
    assert check.holds is False
    assert check.p < 0.01
    assert check.solved < check.expected


def test_a_champion_that_is_no_worse_holds():
    assert nightly(better=30, worse=30, same=90).holds is True
    assert nightly(better=5, worse=50, same=90).holds is True


def test_a_check_of_a_handful_of_tasks_says_nothing():
    assert nightly(better=10, worse=0, same=0).holds is None
