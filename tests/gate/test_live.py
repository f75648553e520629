"""Facts about the live gate: what promotes, what refuses, what rolls back, and what leaves the question open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from parammem.core.decision import Decision, Guard
from parammem.gate import LiveRule, decide_live, explain
from parammem.gate.live_rule import Spending
from tests.gate.live_runs import CHALLENGER, CHAMPION, evidence

RULE, FIRST = LiveRule(), Spending(0.009, 1)


def guard_of(decision: Decision, name: str) -> Guard:
    return next(one for one in decision.guards if one.name == name)


def test_a_better_challenger_is_promoted_and_the_run_at_which_that_stood_is_named():
    decision = decide_live(evidence(4000, gain=0.1), RULE, FIRST)
    assert decision.answer == "promote"
    assert decision.live is not None
    assert 200 < decision.live.settled_at < 4000
    assert decision.live.low <= 0.1 <= decision.live.high
    assert (decision.champion, decision.challenger) == (CHAMPION, CHALLENGER)
    assert decision.test is None
    assert decision.slices == ()


def test_looking_after_every_run_and_once_at_the_end_come_to_the_same():
    whole = evidence(1600, gain=0.12, seed=3)
    once = decide_live(whole, RULE, FIRST)
    assert once.live is not None
    at = once.live.settled_at
    columns = ("number", "treated", "chance", "outcome", "group", "unadvised", "tokens")
    cut = [replace(whole, **{name: getattr(whole, name)[:n] for name in columns}) for n in (at - 1, at)]
    assert [decide_live(one, RULE, FIRST).answer for one in cut] == ["undecided", "promote"]


def test_without_runs_or_with_few_nothing_is_decided():
    for runs in (0, 1, 20):
        decision = decide_live(evidence(runs), RULE, FIRST)
        assert decision.answer == "undecided"
        assert "each arm needs 100 outcomes" in decision.reasons[1]


def test_an_arm_with_too_few_outcomes_promotes_nobody_however_clear_it_is():
    clear = evidence(150, base=0.02, gain=0.97)
    assert decide_live(clear, RULE, FIRST).answer == "undecided"
    assert decide_live(clear, LiveRule(least_runs=20), FIRST).answer == "promote"


def test_an_equal_challenger_is_refused_once_a_gain_worth_waiting_for_is_excluded():
    decision = decide_live(evidence(15_000, seed=2), RULE, FIRST)
    assert decision.answer == "refuse"
    assert "not better by 5 points" in decision.reasons[0]


def test_a_worse_challenger_is_refused_early():
    decision = decide_live(evidence(3000, gain=-0.2), RULE, FIRST)
    assert decision.answer == "refuse"
    assert "worse by more than 5 points" in decision.reasons[0] or "not better" in decision.reasons[0]
    assert decision.live is not None
    assert decision.live.settled_at < 1500


def test_a_trial_that_shows_nothing_ends_after_most_runs():
    rule = LiveRule(most_runs=600)
    assert decide_live(evidence(599, seed=1), rule, FIRST).answer == "undecided"
    over = decide_live(evidence(601, seed=1), rule, FIRST)
    assert over.answer == "refuse"
    assert "not shown to be better in 600 runs" in over.reasons[0]
    late = evidence(4000, gain=0.08, seed=4)
    assert decide_live(late, RULE, FIRST).answer == "promote"
    assert decide_live(late, LiveRule(most_runs=300), FIRST).answer == "refuse"


def test_an_empty_budget_promotes_nobody():
    decision = decide_live(evidence(4000, gain=0.3), RULE, Spending(0.0, 900))
    assert decision.answer != "promote"
    assert any("nothing is left of the error budget" in reason for reason in decision.reasons)


def test_a_champion_that_does_harm_is_rolled_back_and_one_that_does_good_or_nothing_stays():
    harm = evidence(6000, gain=-0.15, kind="watch", chance=0.9)
    decision = decide_live(harm, RULE, Spending(0.002, 1))
    assert decision.answer == "roll back"
    assert (decision.champion, decision.challenger) == (CHAMPION, "")
    assert "ROLL BACK" in explain(decision)
    for gain in (0.0, 0.1):
        held = decide_live(evidence(6000, gain=gain, kind="watch", chance=0.9), RULE, Spending(0.002, 1))
        assert held.answer == "undecided"
        assert explain(held).startswith("HOLDS")


@pytest.mark.parametrize("name", ["validated", "no-leakage"])
@pytest.mark.parametrize("passed", [False, None])
def test_a_guard_from_before_the_trial_that_does_not_hold_refuses(name, passed):
    given = replace(evidence(4000, gain=0.1), guards=(Guard(name=name, passed=passed, detail="3 rows"),))
    decision = decide_live(given, RULE, FIRST)
    assert decision.answer == "refuse"
    assert name in decision.reasons[0]


def test_runs_that_do_not_belong_together_refuse_a_trial_and_prevent_a_rollback():
    strange = replace(evidence(4000, gain=0.1), strange=("run 'x' of the arm champion has another adapter",))
    assert decide_live(strange, RULE, FIRST).answer == "refuse"
    watch = replace(evidence(6000, gain=-0.2, kind="watch", chance=0.9), strange=("run 'x' comes twice",))
    decision = decide_live(watch, RULE, Spending(0.002, 1))
    assert decision.answer == "undecided"
    assert any("comes twice" in reason for reason in decision.reasons)


def test_missing_outcomes_at_random_count_against_nobody():
    decision = decide_live(evidence(6000, gain=0.1, missing=(0.3, 0.3)), RULE, FIRST)
    assert decision.answer == "promote"
    assert decision.live is not None
    assert decision.live.treated.runs - decision.live.treated.known > 500


def test_an_arm_whose_failures_stay_unreported_gains_nothing_by_it():
    found = [decide_live(evidence(6000, hidden_failures=0.1, seed=seed), RULE, FIRST) for seed in range(10)]
    assert all(decision.answer != "promote" for decision in found)
    assert any(
        decision.live and decision.live.e_values["known"] > 10 * decision.live.e_values["missing failed"]
        for decision in found
    )


def test_many_more_missing_outcomes_in_one_arm_refuse():
    decision = decide_live(evidence(2000, gain=0.05, missing=(0.05, 0.35)), RULE, FIRST)
    assert decision.answer == "refuse"
    assert guard_of(decision, "missing").passed is False
    assert guard_of(decide_live(evidence(2000, missing=(0.3, 0.35)), RULE, FIRST), "missing").passed is True


def test_another_mix_of_tasks_in_one_arm_refuses():
    given = evidence(3000)
    rng = np.random.default_rng(1)
    mixed = replace(given, treated=rng.random(3000) < np.array([0.65, 0.42, 0.42])[given.group])
    decision = decide_live(mixed, RULE, FIRST)
    assert decision.answer == "refuse"
    assert guard_of(decision, "task-mix").passed is False


def test_too_many_tokens_refuse_where_they_are_counted():
    assert guard_of(decide_live(evidence(900, tokens=(100, 160)), RULE, FIRST), "tokens").passed is False
    assert guard_of(decide_live(evidence(900, tokens=(100, 140)), RULE, FIRST), "tokens").passed is True
    assert guard_of(decide_live(evidence(900), RULE, FIRST), "tokens").passed is True


def test_shares_that_change_in_the_middle_are_taken_as_recorded():
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(6000) < 3000, 0.1, 0.6)
    treated = rng.random(6000) < chance
    # Later runs pass more often, and more of them are the challenger's: a plain comparison would call it better.
    passed = (rng.random(6000) < np.where(np.arange(6000) < 3000, 0.3, 0.7)).astype(float)
    given = replace(evidence(6000), treated=treated, chance=chance, outcome=passed)
    assert passed[treated].mean() - passed[~treated].mean() > 0.1
    decision = decide_live(given, RULE, FIRST)
    assert decision.answer != "promote"
    assert decision.live is not None
    assert abs(decision.live.difference) < 0.05


def test_the_same_runs_give_the_same_decision_and_a_flipped_arm_another():
    first, again = (decide_live(evidence(800), RULE, FIRST) for _ in range(2))
    assert first.digest == again.digest
    flipped = evidence(800)
    flipped.treated[17] = ~flipped.treated[17]
    assert decide_live(flipped, RULE, FIRST).inputs["outcomes"] != first.inputs["outcomes"]


def test_a_decision_on_fixed_tasks_is_written_as_before_and_a_live_one_reads_back():
    live = decide_live(evidence(500), RULE, FIRST)
    assert Decision.model_validate_json(live.model_dump_json()) == live
    fixed = live.model_copy(update={"live": None})
    assert "live" not in fixed.model_dump(mode="json")
    assert Decision.model_validate_json(fixed.model_dump_json()).digest == fixed.digest


def test_the_explanation_names_arms_missing_outcomes_interval_and_what_is_needed():
    text = explain(decide_live(evidence(500, missing=(0.2, 0.2)), RULE, FIRST))
    for wanted in ("UNDECIDED", "challenger", "champion", "missing", "interval", "needed", "look 1", "task-mix"):
        assert wanted in text
