"""Facts about trials in the ledger: who goes on trial, what it costs, which runs count, what is written at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.checkout.places import LIVE
from parammem.config import GateParams
from parammem.core.event import Decided, Observed, Published, RolledBack, TrialStarted
from parammem.core.live_run import LiveArm
from parammem.core.record import digest_of
from parammem.errors import DataError, LedgerError
from parammem.gate import Rule, decide_and_record
from parammem.gate.record_decision import looks_paid
from parammem.gate.record_live import (
    counts_of,
    declare_lost,
    judge_trial,
    judge_watch,
    live_rule,
    record_live,
    start_trial,
    waiting,
)
from parammem.gate.rule import RESERVE, ROLLBACKS, Looks, alpha_of_championship, alpha_of_look, next_alpha
from parammem.improve.generations import generations
from parammem.registry import Ledger
from parammem.registry.ledger_text import as_text
from parammem.registry.state import add_version, champion, trial
from tests.gate.evidences import CLEAR, EQUAL, meeting, part
from tests.gate.live_runs import CHALLENGER, CHAMPION, SHARES, live_runs

WHO, BEGAN = "flow improve", "2026-11-28T10:00:00Z"
PARAMS = GateParams()
FEW = (part("anchor", 6, 4, 20),)
"""Fixed tasks that settle nothing."""
GOOD = {"holdout": 0.4, "champion": 0.5, "challenger": 0.7}


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """v1 is champion; v2 was left undecided by fixed tasks."""
    found = Ledger(tmp_path, clock=lambda: BEGAN)
    add_version(found, "code", CHAMPION, "", WHO)
    found.append(
        Published(domain="code", version=1, adapter=CHAMPION, stage="champion", decision="", dvc=""), WHO
    )  # fmt: skip
    add_version(found, "code", CHALLENGER, "", WHO)
    decide_and_record(meeting(*FEW), Rule(), found, WHO)
    return found


def observed(ledger: Ledger, first: int, many: int, rates: dict[str, float] = GOOD, **how) -> Observed:
    """Runs as a turn enters them."""
    runs = live_runs(first, many, rates, **how)
    text = "".join(run.line() + "\n" for run in runs)
    digest = digest_of(text)
    path = ledger.root / LIVE / f"{digest}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    fact = Observed(domain="code", runs=digest, first=first, last=first + many - 1, counts=counts_of(runs))
    ledger.append(fact, WHO)
    return fact


def judged(ledger: Ledger):
    return judge_trial(ledger.root, ledger.read(), "code", live_rule(PARAMS), ledger.decision)


def test_a_candidate_that_fixed_tasks_left_undecided_goes_on_trial_once(ledger):
    candidate = waiting(ledger.read(), "code")
    assert candidate is not None
    began = start_trial(ledger, "code", PARAMS, WHO)
    assert began is not None
    assert (began.challenger, began.version, began.decision) == (CHALLENGER, 2, candidate.decision)
    assert began.shares == {"holdout": 0.1, "champion": 0.45, "challenger": 0.45}
    assert trial(ledger.read(), "code") == began
    assert start_trial(ledger, "code", PARAMS, WHO) is None
    assert waiting(ledger.read(), "code") is None


def test_a_candidate_that_was_refused_or_promoted_waits_for_no_trial(ledger):
    decide_and_record(meeting(*EQUAL), Rule(), ledger, WHO)
    assert waiting(ledger.read(), "code") is None
    decide_and_record(meeting(*CLEAR), Rule(), ledger, WHO)
    assert waiting(ledger.read(), "code") is None


def test_a_trial_is_one_look_and_costs_its_alpha_when_it_begins_and_nothing_later(ledger):
    before = looks_paid(ledger.read(), "code")
    began = start_trial(ledger, "code", PARAMS, WHO)
    assert began is not None
    assert began.alpha == alpha_of_look(before.regular + 1, 0.05, kept=ROLLBACKS)
    after = looks_paid(ledger.read(), "code")
    assert after.regular == before.regular + 1
    assert after.spent == pytest.approx(before.spent + began.alpha)
    observed(ledger, 1, 3000)
    decision = judged(ledger)
    assert decision is not None
    record_live(ledger, decision, WHO)
    assert looks_paid(ledger.read(), "code") == after


def test_looks_of_a_domain_with_runs_in_use_leave_room_for_rollbacks_and_all_together_stay_within_the_budget():
    looks, total = Looks(kept=ROLLBACKS), 0.05
    for number in range(2000):
        looks = looks.after(next_alpha(looks, total, reserve=number % 3 == 0), number % 3 == 0)
    rollbacks = sum(alpha_of_championship(number, total) for number in range(1, 2000))
    assert looks.spent + rollbacks < total
    assert alpha_of_look(1, total, kept=ROLLBACKS) / alpha_of_look(1, total) == pytest.approx(
        (1 - RESERVE - ROLLBACKS) / (1 - RESERVE)
    )


def test_looks_that_left_nothing_for_rollbacks_are_made_up_for(ledger):
    old = Looks(regular=300, reserve=0, spent=0.045, kept=ROLLBACKS)
    assert next_alpha(old, 0.05, reserve=False) == 0
    assert next_alpha(Looks(regular=300, reserve=0, spent=0.045), 0.05, reserve=False) > 0


def test_runs_that_show_a_gain_promote_and_the_decision_names_their_files(ledger):
    start_trial(ledger, "code", PARAMS, WHO)
    first, second = observed(ledger, 1, 800), observed(ledger, 801, 1200)
    decision = judged(ledger)
    assert decision is not None
    assert decision.answer == "promote"
    assert decision.inputs["runs 1–800"] == first.runs
    assert decision.inputs["runs 801–2000"] == second.runs
    assert decision.inputs["fixed tasks"]
    assert any(guard.name == "validated" for guard in decision.guards)
    record_live(ledger, decision, WHO)
    record_live(ledger, decision, WHO)
    events = ledger.read()
    incumbent = champion(events, "code")
    assert incumbent is not None
    assert incumbent.adapter == CHALLENGER
    assert trial(events, "code") is None
    facts = [event.fact for event in events if isinstance(event.fact, Decided) and event.fact.live]
    assert [(fact.answer, fact.alpha, fact.look) for fact in facts] == [("promote", 0.0, decision.budget.look)]
    assert ledger.decision(decision.digest) == decision


def test_a_trial_that_shows_nothing_yet_writes_nothing_and_goes_on(ledger):
    start_trial(ledger, "code", PARAMS, WHO)
    observed(ledger, 1, 100)
    decision = judged(ledger)
    assert decision is not None
    assert decision.answer == "undecided"
    before = ledger.read()
    record_live(ledger, decision, WHO)
    assert ledger.read() == before


def test_a_refused_challenger_stays_a_candidate_and_its_trial_is_over(ledger):
    start_trial(ledger, "code", PARAMS, WHO)
    observed(ledger, 1, 1500, {**GOOD, "challenger": 0.2})
    decision = judged(ledger)
    assert decision is not None
    assert decision.answer == "refuse"
    record_live(ledger, decision, WHO)
    incumbent = champion(ledger.read(), "code")
    assert incumbent is not None
    assert incumbent.adapter == CHAMPION
    assert trial(ledger.read(), "code") is None
    assert start_trial(ledger, "code", PARAMS, WHO) is None


def test_runs_of_an_earlier_trial_count_for_nobody_else(ledger):
    start_trial(ledger, "code", PARAMS, WHO)
    observed(ledger, 1, 500, started="2026-11-27T00:00:00Z")
    decision = judged(ledger)
    assert decision is not None
    assert decision.live is not None
    assert decision.live.treated.runs == 0


def test_a_champion_is_watched_from_when_it_took_its_place_with_a_share_of_the_budget_for_each_championship(ledger):
    shares: dict[LiveArm, float] = {"holdout": 0.3, "champion": 0.7}
    observed(ledger, 1, 2500, {"holdout": 0.6, "champion": 0.4}, shares=shares)
    decision = judge_watch(ledger.root, ledger.read(), "code", live_rule(PARAMS))
    assert decision is not None
    assert decision.answer == "roll back"
    assert decision.budget.alpha == alpha_of_championship(1, 0.05)
    record_live(ledger, decision, WHO)
    facts = [event.fact for event in ledger.read()]
    assert any(isinstance(fact, Decided) and fact.answer == "roll back" for fact in facts)
    assert "roll back: v1 against no advice, by runs in use" in as_text(ledger.read(), "code")
    assert [one.answer for one in generations(ledger.read(), ledger.decision, "code")] == ["undecided"]
    ledger.append(RolledBack(domain="code", version=0, adapter="", left=1, reason="so"), WHO)
    assert judge_watch(ledger.root, ledger.read(), "code", live_rule(PARAMS)) is None


def test_a_trial_with_lost_runs_promotes_nobody_and_a_watch_begins_anew_after_them(ledger):
    start_trial(ledger, "code", PARAMS, WHO)
    observed(ledger, 1, 1000)
    declare_lost(ledger, "code", 1100, "person me")
    observed(ledger, 1101, 1000)
    decision = judged(ledger)
    assert decision is not None
    assert decision.answer == "refuse"
    assert "runs 1001 to 1100 are lost" in decision.reasons[0]
    watch = judge_watch(ledger.root, ledger.read(), "code", live_rule(PARAMS))
    assert watch is not None
    assert watch.live is not None
    assert watch.live.first > 1100
    with pytest.raises(LedgerError, match="up to 2100 are in the ledger"):
        declare_lost(ledger, "code", 2000, "person me")
    history = as_text(ledger.read(), "code")
    for said in (
        "v2 is on trial by runs in use, share 45%",
        "runs 1 to 1000 in use",
        "runs 1001 to 1100 in use: declared",
    ):
        assert said in history


def test_a_file_of_runs_that_was_changed_or_is_gone_is_named(ledger):
    start_trial(ledger, "code", PARAMS, WHO)
    fact = observed(ledger, 1, 100)
    path: Path = ledger.root / LIVE / f"{fact.runs}.jsonl"
    path.write_text(path.read_text().replace('"passed": false', '"passed": true', 1))
    with pytest.raises(DataError, match="was changed"):
        judged(ledger)
    path.unlink()
    with pytest.raises(DataError, match="no runs 1 to 100 of code"):
        judged(ledger)


def test_a_ledger_without_runs_in_use_spends_as_it_always_did(ledger):
    assert looks_paid(ledger.read(), "code").kept == 0
    ledger.append(
        TrialStarted(
            domain="math", champion="", challenger=CHALLENGER, version=1, shares=SHARES, look=1, alpha=0.008
        ), WHO,
    )  # fmt: skip
    assert looks_paid(ledger.read(), "code").kept == 0
    assert looks_paid(ledger.read(), "math") == Looks(1, 0, 0.008, ROLLBACKS)
