"""Decide about challengers by what the ledger says was spent before, and write the decisions into the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.config import GateParams
from parammem.core.decision import Decision
from parammem.core.event import Decided, Evaluated, Event, Observed, TrialStarted
from parammem.gate.decide import decide
from parammem.gate.evidence import Evidence
from parammem.gate.rule import ROLLBACKS, VERSION, Looks, Rule
from parammem.registry.ledger import Ledger


def rule_of(params: GateParams) -> Rule:
    """Return the gate's dials out of params."""
    return Rule.model_validate({name: getattr(params, name) for name in Rule.model_fields})


def looks_paid(events: Sequence[Event], domain: str) -> Looks:
    """Return the looks that a domain's error budget has paid for, out of the ledger. A trial was paid for when it
    began."""
    looks = Looks()
    for event in events:
        fact = event.fact
        if getattr(fact, "domain", "") != domain:
            continue
        if isinstance(fact, Observed | TrialStarted):
            looks = looks._replace(kept=ROLLBACKS)
        if isinstance(fact, TrialStarted):
            looks = looks.after(fact.alpha, reserve=False)
        elif isinstance(fact, Decided) and fact.alpha > 0:
            looks = looks.after(fact.alpha, fact.reserve)
    return looks


def decide_and_record(evidence: Evidence, rule: Rule, ledger: Ledger, actor: str) -> Decision:
    """Decide, save the record and write `Evaluated` and `Decided` into the ledger.

    The same evidence under the same rule gets the decision it got before, and is not paid for twice: so a run that
    crashed after the decision can be run again.

    Raises:
        LedgerError: the ledger is broken, or a decision that it names is missing or changed.
    """
    return decide_and_record_all([evidence], rule, ledger, actor)[0]


def decide_and_record_all(several: Sequence[Evidence], rule: Rule, ledger: Ledger, actor: str) -> list[Decision]:
    """Decide on several challengers and record it, as `decide_and_record`: all of one domain, each against the same
    champion on the same tasks.

    Each is a look of its own and pays for itself, so the budget holds however many there are and however alike. Of
    several that pass one is promoted: that which solved most, the first of them on a tie. To choose among those costs
    nothing, since each of them was shown to be better.
    """
    events = ledger.read()
    old = [_before(evidence, rule, ledger, events) for evidence in several]
    if all(old):
        return [one for one in old if one]
    decisions = _decide_all(several, rule, looks_paid(events, several[0].domain))
    for evidence, decision in zip(several, decisions, strict=True):
        arms = {"none": "", "champion": evidence.champion, "challenger": evidence.challenger}
        fact = Evaluated(domain=evidence.domain, arms=arms, runs=evidence.outcomes, solved=evidence.solved)
        ledger.append(fact, actor)
        ledger.save_decision(decision)
        ledger.append(decided(decision), actor)
    return decisions


def _decide_all(several: Sequence[Evidence], rule: Rule, looks: Looks) -> list[Decision]:
    decisions: list[Decision] = []
    for evidence in several:
        decisions.append(decide(evidence, rule, looks))
        budget = decisions[-1].budget
        looks = looks.after(budget.alpha, budget.reserve) if budget.paid else looks
    passed = [one for one in decisions if one.answer == "promote"]
    if len(passed) < 2:
        return decisions
    best = max(passed, key=_gain)
    return [_outdone(one, best) if one in passed and one is not best else one for one in decisions]


def _gain(decision: Decision) -> float:
    return decision.test.difference if decision.test else 0.0


def _outdone(decision: Decision, best: Decision) -> Decision:
    """Return a challenger that may be promoted, beside one that may be too and gained no less."""
    why = f"outdone: {best.challenger[:16]} may be promoted too, and gained {100 * _gain(best):+.1f} points"
    inputs = {**decision.inputs, "outdone by": best.challenger}
    return decision.model_copy(update={"answer": "undecided", "reasons": (why, *decision.reasons), "inputs": inputs})


def decided(decision: Decision) -> Decided:
    """Return the ledger's line about a decision. One by runs in use costs nothing more: its trial was paid for when it
    began, and for rollbacks a share of the budget is kept."""
    return Decided(
        domain=decision.domain,
        decision=decision.digest,
        champion=decision.champion,
        challenger=decision.challenger,
        answer=decision.answer,
        look=decision.budget.look,
        alpha=decision.budget.alpha if decision.budget.paid and decision.live is None else 0.0,
        reserve=decision.budget.paid and decision.budget.reserve,
        live=decision.live is not None,
    )


def _before(evidence: Evidence, rule: Rule, ledger: Ledger, events: Sequence[Event]) -> Decision | None:
    """Return the decision on exactly this evidence, if there was one."""
    for event in reversed(events):
        fact = event.fact
        if not isinstance(fact, Decided) or fact.domain != evidence.domain:
            continue
        if (fact.champion, fact.challenger) != (evidence.champion, evidence.challenger):
            continue
        found = ledger.decision(fact.decision)
        same = found.inputs.get("outcomes") == evidence.outcomes and found.guards == evidence.guards
        if same and found.rule == rule.model_dump(mode="json") and found.rule_version == VERSION:
            return found
    return None
