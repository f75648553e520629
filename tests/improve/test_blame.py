"""Facts about who is to blame when a challenger is refused."""

from __future__ import annotations

import pytest

from parammem.core.decision import Decision, Guard
from parammem.core.event import Decided, SetAside
from parammem.gate import Rule, decide
from parammem.improve.blame import blame, harmful
from tests.gate.evidences import CLEAR, EQUAL, PASSED, meeting, part
from tests.improve.test_triggers import ingest, ledger, train

WORSE = (part("anchor", 5, 60, 335),)


def decision(challenger: str, champion: str, slices=WORSE, guards=PASSED) -> Decision:
    evidence = meeting(*slices, guards=guards, champion=champion).model_copy(update={"challenger": challenger})
    return decide(evidence, Rule(), 0)


def decided(challenger: str, answer: str) -> Decided:
    return Decided(domain="code", decision="d", champion="v1", challenger=challenger, answer=answer, look=1, alpha=0.01)  # pyright: ignore[reportArgumentType]


def aside(*batches: str, suspects: tuple[str, ...] = ()) -> SetAside:
    return SetAside(domain="code", decision="d", batches=batches, suspects=suspects)


def test_who_is_refused_for_being_worse_accuses_the_batches_that_only_it_has_learned_from():
    events = ledger(ingest("a"), train("v1", "a"), decided("v1", "promote"), ingest("b"), train("v2", "a", "b"))
    assert blame(events, decision("v2", "v1"), ["a", "b"]) == (("b",), ())


def test_without_a_champion_every_batch_is_accused():
    events = ledger(ingest("a"), ingest("b"), train("v1", "a", "b"))
    assert blame(events, decision("v1", ""), ["a", "b"]).aside == ("a", "b")


def undecided_then(*more) -> list:
    """v1 learned from a and is champion, nothing was settled about v2, which learned from b, and v3 learned from c
    too."""
    first = [ingest("a"), train("v1", "a"), decided("v1", "promote")]
    second = [ingest("b"), train("v2", "a", "b"), decided("v2", "undecided")]
    return [*first, *second, ingest("c"), train("v3", "a", "b", "c"), *more]


def test_batches_of_an_undecided_challenger_stay_as_suspects():
    assert blame(ledger(*undecided_then()), decision("v3", "v1"), ["a", "b", "c"]) == (("c",), ("b",))


def test_suspects_go_when_the_next_challenger_is_refused_too():
    more = [decided("v3", "refuse"), aside("c", suspects=("b",)), ingest("d"), train("v4", "a", "b", "d")]
    found = blame(ledger(*undecided_then(*more)), decision("v4", "v1"), ["a", "b", "d"])
    assert found == (("b", "d"), ())


def test_suspects_are_cleared_by_a_champion_that_learned_from_them():
    more = [decided("v3", "refuse"), aside("c", suspects=("b",)), ingest("d"), train("v4", "a", "b", "d")]
    more += [decided("v4", "promote"), ingest("e"), train("v5", "a", "b", "d", "e")]
    found = blame(ledger(*undecided_then(*more)), decision("v5", "v4"), ["a", "b", "d", "e"])
    assert found == (("e",), ())


def test_another_challenger_of_the_same_turn_is_no_earlier_one():
    events = ledger(*undecided_then(train("v4", "a", "b", "c"), decided("v3", "refuse"), decided("v4", "undecided")))
    assert blame(events, decision("v3", "v1"), ["a", "b", "c"], judged=["v3", "v4"]) == (("c",), ("b",))


@pytest.mark.parametrize("slices", [CLEAR, EQUAL])
def test_who_is_no_worse_accuses_nobody(slices):
    events = ledger(ingest("a"), train("v1", "a"), ingest("b"), train("v2", "a", "b"))
    assert blame(events, decision("v2", "v1", slices), ["a", "b"]) == ((), ())


@pytest.mark.parametrize(
    ("name", "guilty"), [("diversity", True), ("no-leakage", True), ("loads", False), ("validated", False)]
)
def test_a_guard_accuses_the_data_only_where_the_data_can_have_failed_it(name, guilty):
    guards = (*PASSED, Guard(name=name, passed=False, detail="so"))
    refused = decision("v2", "v1", CLEAR, guards)
    assert refused.answer == "refuse"
    assert harmful(refused) is guilty
