"""Facts about the gate: what promotes, what refuses, what leaves the question open, and what is paid for."""

from __future__ import annotations

import re

import pytest

from parammem.config import load_params
from parammem.core.decision import Guard
from parammem.gate import Rule, SliceOutcomes, decide, explain
from parammem.gate.record_decision import rule_of
from parammem.gate.rule import Looks, alpha_of_look
from tests.gate.evidences import CLEAR, EQUAL, PASSED, meeting, part

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


def test_too_few_tasks_to_promote_anybody_decide_nothing_and_cost_nothing():
    decision = decide(meeting(part("anchor", 7, 1, 10)), RULE, looks=5)
    assert decision.answer == "undecided"
    assert not decision.budget.paid
    assert decision.test is not None
    assert f"about {decision.test.tasks_needed} tasks" in decision.reasons[0]


def test_a_look_with_little_power_is_paid_from_the_reserve_and_leaves_regular_looks_as_they_were():
    decision = decide(meeting(part("anchor", 8, 4, 10)), RULE, looks=3)
    assert decision.answer == "undecided"
    assert decision.budget.reserve
    assert decision.budget.paid
    assert decision.budget.alpha == alpha_of_look(1, RULE.alpha, reserve=True)
    after = Looks(3, 0, 0.01).after(decision.budget.alpha, decision.budget.reserve)
    assert after == Looks(3, 1, 0.01 + decision.budget.alpha)
    assert decide(meeting(*CLEAR), RULE, after).budget.alpha == alpha_of_look(4, RULE.alpha)


def saturated(name, tasks, solved, runs=1):
    """A slice on which all three arms solve all runs (or none)."""
    each = (runs * solved,) * tasks
    return SliceOutcomes(
        name=name, tasks=tuple(f"tie-{n}" for n in range(tasks)), runs=runs, none=each, champion=each, challenger=each
    )


FIRST = part("anchor", 45, 4, 91)
"""140 tasks, +29.3 points."""


@pytest.mark.parametrize("solved", [0, 1])
@pytest.mark.parametrize("ties", [0, 1, 20, 53, 200, 5000])
def test_tasks_that_every_arm_solves_or_none_neither_help_nor_harm(ties, solved):
    slices = [FIRST, *([saturated("fresh", ties, solved)] if ties else [])]
    decision = decide(meeting(*slices), RULE, looks=0)
    assert decision.answer == "promote"
    assert decision.test is not None
    alone = decide(meeting(FIRST), RULE, looks=0).test
    assert alone is not None
    assert (decision.test.power, decision.test.p) == (alone.power, alone.p)
    assert decision.budget == decide(meeting(FIRST), RULE, looks=0).budget


@pytest.mark.parametrize(("better", "worse"), [(13, 7), (40, 30), (70, 45), (90, 90)])
def test_ties_added_to_a_slice_change_neither_power_nor_how_the_look_is_paid(better, worse):
    few, many = (decide(meeting(part("anchor", better, worse, same)), RULE, looks=2) for same in (10, 4000))
    assert few.test is not None
    assert many.test is not None
    assert few.test.power == many.test.power
    assert few.budget == many.budget


def test_a_saturated_slice_says_so():
    for solved, word in ((1, "ceiling"), (0, "floor")):
        decision = decide(meeting(FIRST, saturated("fresh", 20, solved, runs=1)), RULE, looks=0)
        assert any(f"the fresh slice is at its {word}" in reason for reason in decision.reasons)
    assert not any("slice is at its" in reason for reason in decide(meeting(*CLEAR), RULE, 0).reasons)


def test_a_strong_result_is_promoted_however_little_power_was_planned():
    strong = meeting(part("anchor", 30, 1, 100))
    decision = decide(strong, Rule(min_power=0.9), looks=300)
    assert decision.budget.reserve
    assert decision.answer == "promote"
    weak = decide(meeting(part("anchor", 15, 6, 100)), Rule(min_power=0.9), looks=300)
    assert weak.answer == "undecided"


def test_a_slice_too_small_to_show_that_nothing_got_worse_holds_nobody_back_but_may_refuse():
    small = decide(meeting(FIRST, part("fresh", 2, 3, 7)), RULE, looks=0)
    assert small.answer == "promote"
    assert any("the fresh slice is too small to tell" in reason for reason in small.reasons)
    worse = decide(meeting(FIRST, part("fresh", 0, 11, 1)), RULE, looks=0)
    assert worse.answer == "refuse"


def test_no_look_spends_more_than_is_left():
    spent = Looks(regular=400, reserve=3, spent=0.04999999)
    for evidence in (meeting(*CLEAR), meeting(part("anchor", 20, 1, 100))):
        assert decide(evidence, RULE, spent).budget.alpha <= RULE.alpha - spent.spent
    over = Looks(regular=400, reserve=3, spent=RULE.alpha)
    assert decide(meeting(*CLEAR), RULE, over).answer == "undecided"
    assert not decide(meeting(*CLEAR), RULE, over).budget.paid


def test_whether_a_look_is_paid_for_does_not_depend_on_who_won():
    for better, worse in [(8, 2), (2, 8), (70, 20), (20, 70), (45, 45), (30, 2), (6, 0)]:
        ours = decide(meeting(part("anchor", better, worse, 200)), RULE, 0)
        theirs = decide(meeting(part("anchor", worse, better, 200)), RULE, 0)
        assert ours.budget == theirs.budget


def test_clearly_worse_is_refused_however_little_power_there_is_and_costs_the_reserve_alone():
    few = part("anchor", 0, 25, 45)
    decision = decide(meeting(few), RULE, looks=400)
    assert decision.test is not None
    assert decision.test.power < RULE.min_power
    assert decision.answer == "refuse"
    assert "worse on the anchor slice" in decision.reasons[0]
    assert decision.budget.reserve
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
    with pytest.raises(ValueError, match="1 outcome for 3 tasks"):
        part("anchor", 1, 1, 1, none=(1,))


def test_the_explanation_names_every_number_a_person_needs():
    text = explain(decide(meeting(*CLEAR), RULE, looks=3))
    for wanted in ("PROMOTE", "anchor", "fresh", "power", "look 4", "spent before", "validated", "rule version"):
        assert wanted in text


def power_line(rule: Rule, *slices: SliceOutcomes) -> str:
    return next(line for line in explain(decide(meeting(*slices), rule, looks=0)).splitlines() if "power" in line[:6])


def test_the_explanation_says_how_many_tasks_the_demanded_power_takes():
    said = power_line(Rule(min_power=0.8), FIRST)
    needed = decide(meeting(FIRST), Rule(min_power=0.8), looks=0).test
    assert needed is not None
    assert needed.tasks_needed > 140
    assert f"0.8 is demanded, which takes about {needed.tasks_needed} tasks where as large a share" in said
    assert power_line(Rule(min_power=0), FIRST).endswith("49 tasks that differ")
    assert "as long as none differs" in power_line(Rule(min_power=0.2), saturated("anchor", 30, 1))


def test_the_first_challengers_of_the_default_run_are_promoted_with_the_numbers_of_the_page(repo_root):
    """docs/continual.md says what they won and lost; the gate with the project's own params says the rest."""
    page = (repo_root / "docs" / "continual.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"own first challengers are promoted.*?\n\n", page, re.DOTALL)
    first = re.search(r"\+(\S+) points in code \(better on (\d+) tasks, worse on (\d+), p = (\S+)\)", said)
    assert first
    found = [first.groups(), *re.findall(r"\+(\S+) in \w+ \((\d+), (\d+), (\S+)\)", said)]
    assert len(found) == 3
    rule = rule_of(load_params(repo_root / "params.yaml").gate)
    for points, better, worse, p in found:
        won, lost = int(better), int(worse)
        decision = decide(meeting(part("anchor", won, lost, 140 - won - lost)), rule, looks=0)
        test = decision.test
        assert decision.answer == "promote"
        assert not decision.budget.reserve
        assert test is not None
        assert f"{100 * test.difference:.1f}" == points
        assert f"{test.p:.1e}" == p
        assert f"{test.power:.2f}"[1:] in re.findall(r"power (\.\d+) or (\.\d+)", said)[0]
