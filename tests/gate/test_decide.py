"""Facts about the gate: what promotes, what refuses, what leaves the question open, and what is paid for."""

from __future__ import annotations

import pytest

from parammem.core.decision import Guard
from parammem.gate import Rule, decide, explain
from parammem.gate.rule import alpha_of_look
from tests.gate.meetings import CLEAR, EQUAL, PASSED, meeting, part

RULE = Rule()


def test_a_clear_gain_promotes():
    decision = decide(meeting(*CLEAR), RULE, looks=0)
    assert decision.answer == "promote"
    assert decision.test is not None
    assert decision.test.name == "mcnemar"
    assert decision.test.difference == pytest.approx(0.1)
    assert decision.test.p <= decision.budget.alpha
    assert decision.budget.paid


def test_equal_arms_are_refused_where_a_gain_would_have_been_found():
    decision = decide(meeting(*EQUAL), RULE, looks=0)
    assert decision.answer == "refuse"
    assert decision.test is not None
    assert decision.test.power >= 0.8
    assert "would have been found" in decision.reasons[0]


def test_the_same_gain_no_longer_promotes_when_the_budget_is_nearly_spent():
    gain = (part("anchor", 54, 30, 316), part("fresh", 27, 15, 158))
    assert decide(meeting(*gain), RULE, looks=0).answer == "promote"
    late = decide(meeting(*gain), RULE, looks=60)
    assert late.answer != "promote"
    assert late.budget.alpha == alpha_of_look(61, RULE.alpha)
    assert late.budget.spent_before < RULE.alpha


def test_too_few_tasks_decide_nothing_and_cost_nothing():
    decision = decide(meeting(part("anchor", 8, 2, 10)), RULE, looks=5)
    assert decision.answer == "undecided"
    assert not decision.budget.paid
    assert decision.test is not None
    assert str(decision.test.tasks_needed) in decision.reasons[0]


def test_whether_a_look_is_paid_for_does_not_depend_on_who_won():
    for better, worse in [(8, 2), (2, 8), (70, 20), (20, 70), (45, 45)]:
        ours = decide(meeting(part("anchor", better, worse, 200)), RULE, 0)
        theirs = decide(meeting(part("anchor", worse, better, 200)), RULE, 0)
        assert ours.budget.paid == theirs.budget.paid


def test_clearly_worse_is_refused_however_little_power_there_is_and_costs_nothing():
    few = part("anchor", 0, 25, 45)
    decision = decide(meeting(few), RULE, looks=400)
    assert decision.test is not None
    assert decision.test.power < RULE.min_power
    assert decision.answer == "refuse"
    assert "worse on the anchor slice" in decision.reasons[0]
    assert not decision.budget.paid
    tokens = (PASSED[0], Guard(name="tokens", passed=False, detail="twice as many"))
    assert decide(meeting(part("anchor", 8, 2, 10), guards=tokens), RULE, looks=5).answer == "refuse"


def test_no_tasks_at_all_is_undecided():
    decision = decide(meeting(), RULE, looks=0)
    assert decision.answer == "undecided"
    assert decision.test is None
    assert not decision.budget.paid


@pytest.mark.parametrize("passed", [False, None])
def test_a_guard_that_failed_or_was_not_looked_at_refuses_whatever_the_scores(passed):
    guards = (*PASSED, Guard(name="no-leakage", passed=passed, detail="3 of 90 rows"))
    decision = decide(meeting(*CLEAR, guards=guards), RULE, looks=0)
    assert decision.answer == "refuse"
    assert "no-leakage" in decision.reasons[0]
    assert not decision.budget.paid


def test_without_any_guard_nothing_is_promoted():
    assert decide(meeting(*CLEAR, guards=()), RULE, looks=0).answer == "refuse"


def test_a_guard_over_outcomes_refuses_and_the_look_is_paid_for():
    guards = (PASSED[0], Guard(name="tokens", passed=False, detail="twice as many"))
    decision = decide(meeting(*CLEAR, guards=guards), RULE, looks=0)
    assert decision.answer == "refuse"
    assert decision.budget.paid


def test_worse_on_one_slice_refuses_though_better_over_all():
    decision = decide(meeting(part("anchor", 10, 60, 130), part("fresh", 150, 10, 240)), RULE, looks=0)
    assert decision.answer == "refuse"
    assert "worse on the anchor slice" in decision.reasons[0]
    assert decision.budget.paid


def test_unclear_on_one_slice_is_undecided_though_better_over_all():
    decision = decide(meeting(part("anchor", 6, 9, 60), part("fresh", 90, 20, 290)), RULE, looks=0)
    assert {one.name: one.verdict for one in decision.slices}["anchor"] == "unclear"
    assert decision.answer == "undecided"


def test_a_wider_margin_lets_a_drifting_world_teach_something_new():
    drift = meeting(part("anchor", 20, 40, 240), part("fresh", 120, 10, 170))
    assert decide(drift, RULE, looks=0).answer != "promote"
    assert decide(drift, Rule(anchor_margin=0.15), looks=0).answer == "promote"


def test_without_a_champion_no_reflector_stands_in_its_place():
    first = part("anchor", 100, 20, 280)
    alone = first.model_copy(update={"champion": (), "none": first.champion})
    decision = decide(meeting(alone, champion=""), RULE, looks=0)
    assert decision.answer == "promote"
    assert decision.slices[0].none == decision.slices[0].champion
    assert "none yet" in explain(decision)


def test_several_runs_per_task_are_tested_by_task():
    evidence = meeting(part("anchor", 60, 20, 320, runs=3), part("fresh", 30, 10, 160, runs=3))
    decision = decide(evidence, RULE, looks=0)
    assert decision.test is not None
    assert decision.test.name == "sign-flip by task"
    assert decision.test.tasks == 600
    one = decide(meeting(*CLEAR), RULE, looks=0)
    assert one.test is not None
    assert decision.test.p == pytest.approx(one.test.p)


def test_the_same_evidence_gives_the_same_digest_and_other_dials_another():
    assert decide(meeting(*CLEAR), RULE, 0).digest == decide(meeting(*CLEAR), RULE, 0).digest
    assert decide(meeting(*CLEAR), RULE, 0).digest != decide(meeting(*CLEAR), Rule(alpha=0.04), 0).digest
    assert decide(meeting(*CLEAR), RULE, 0).digest != decide(meeting(*CLEAR), RULE, 1).digest


def test_outcomes_that_do_not_fit_their_tasks_are_refused():
    with pytest.raises(ValueError, match="outcomes for"):
        part("anchor", 1, 1, 1, none=(1,))


def test_the_explanation_names_every_number_a_person_needs():
    text = explain(decide(meeting(*CLEAR), RULE, looks=3))
    for wanted in ("PROMOTE", "anchor", "fresh", "power", "look 4", "spent before", "validated", "rule version"):
        assert wanted in text
