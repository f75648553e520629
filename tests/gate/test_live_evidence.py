"""Facts about which runs belong to a trial or a watch: what was known at their assignment decides, never their arm."""

from __future__ import annotations

import math

import numpy as np

from parammem.core.event import TrialStarted
from parammem.core.live_run import LiveArm
from parammem.core.outcome import Outcome
from parammem.gate.live_evidence import of_trial, of_watch, value_of
from tests.gate.live_runs import CHALLENGER, CHAMPION, SHARES, live_runs

BEGAN = "2026-11-28T10:00:00Z"
RATES = {"holdout": 0.4, "champion": 0.5, "challenger": 0.6}
TRIAL = TrialStarted(
    domain="code", champion=CHAMPION, challenger=CHALLENGER, version=2, shares=SHARES, look=1, alpha=0.009
)  # fmt: skip


def test_a_trial_has_the_runs_of_both_arms_after_the_first_that_its_challenger_advised():
    runs = live_runs(1, 400, RATES)
    first = next(run for run in runs if run.arm == "challenger")
    found = of_trial(runs, TRIAL, BEGAN)
    wanted = [run for run in runs if run.number > first.number and run.arm != "holdout"]
    assert found.number.tolist() == [run.number for run in wanted]
    assert found.treated.tolist() == [run.arm == "challenger" for run in wanted]
    assert set(found.chance.tolist()) == {0.5}
    assert found.strange == ()


def test_runs_from_before_the_trial_or_assigned_without_the_challenger_are_left_out():
    alone: dict[LiveArm, float] = {"holdout": 0.1, "champion": 0.9}
    before = live_runs(1, 50, RATES, shares=alone)
    earlier = live_runs(51, 100, RATES, started="2026-11-27T00:00:00Z")
    own = live_runs(151, 200, RATES)
    after = live_runs(351, 50, RATES, shares=alone)
    found = of_trial([*before, *earlier, *own, *after], TRIAL, BEGAN)
    assert found.number.min() >= 151
    assert found.number.max() <= 350


def test_shares_that_changed_are_those_of_each_run():
    runs = live_runs(1, 100, RATES) + live_runs(
        101, 100, RATES, shares={"holdout": 0.1, "champion": 0.8, "challenger": 0.1}
    )
    found = of_trial(runs, TRIAL, BEGAN)
    assert np.unique(found.chance).round(4).tolist() == [0.1111, 0.5]


def test_another_champion_in_the_middle_and_a_run_that_comes_twice_are_strange():
    other = {"champion": "c" * 64, "challenger": CHALLENGER, "holdout": ""}
    runs = live_runs(1, 100, RATES) + live_runs(101, 40, RATES, adapters=other)  # pyright: ignore[reportArgumentType]
    assert any("arm champion has another adapter" in what for what in of_trial(runs, TRIAL, BEGAN).strange)
    twice = [*live_runs(1, 50, RATES), live_runs(50, 1, RATES)[0].model_copy(update={"number": 51})]
    assert any("comes twice" in what for what in of_trial(twice, TRIAL, BEGAN).strange)


def test_a_watch_has_runs_of_champion_and_holdout_also_while_a_challenger_is_on_trial():
    runs = live_runs(1, 300, RATES, shares={"holdout": 0.2, "champion": 0.8}) + live_runs(301, 300, RATES)
    found = of_watch(runs, "code", CHAMPION, BEGAN)
    assert np.unique(found.chance).round(4).tolist() == [0.8, 0.8182]
    assert of_watch(runs, "code", "c" * 64, BEGAN).number.tolist() == []


def test_an_outcome_is_passed_or_not_else_its_value_else_missing():
    assert value_of(Outcome(passed=True, value=0.2)) == 1.0
    assert value_of(Outcome(passed=None, value=0.2)) == 0.2
    assert math.isnan(value_of(Outcome(passed=None)))
    assert math.isnan(value_of(None))


def test_the_digest_is_that_of_what_was_taken_from_the_runs():
    runs = live_runs(1, 200, RATES)
    first = of_trial(runs, TRIAL, BEGAN)
    assert first.digest == of_trial(list(runs), TRIAL, BEGAN).digest
    last = max(n for n, run in enumerate(runs) if run.arm == "champion")
    changed = runs[last].model_copy(update={"outcome": None})
    assert of_trial([*runs[:last], changed, *runs[last + 1 :]], TRIAL, BEGAN).digest != first.digest
