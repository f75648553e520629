"""rule_on(): the gate with its memory. How many looks were paid for stands in the ledger, and so does the answer."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.config import GateParams
from parammem.core.decision import Decision
from parammem.core.event import Decided, Evaluated, Event
from parammem.gate.decide import decide
from parammem.gate.evidence import Evidence
from parammem.gate.rule import VERSION, Rule
from parammem.registry.ledger import Ledger


def rule_of(params: GateParams) -> Rule:
    """The gate's dials out of params."""
    return Rule.model_validate({name: getattr(params, name) for name in Rule.model_fields})


def looks_paid(events: Sequence[Event], domain: str) -> int:
    """Looks that a domain's error budget has paid for."""
    return sum(isinstance(e.fact, Decided) and e.fact.domain == domain and e.fact.alpha > 0 for e in events)


def rule_on(evidence: Evidence, rule: Rule, ledger: Ledger, actor: str) -> Decision:
    """Decide, save the record and write `Evaluated` and `Decided` into the ledger.

    The same evidence under the same rule gets the decision it got before, and is not paid for twice: so a run that
    crashed after the decision can be run again.

    Raises:
        LedgerError: the ledger is broken, or a decision that it names is missing or changed.
    """
    events = ledger.read()
    old = _before(evidence, rule, ledger, events)
    if old:
        return old
    arms = {"none": "", "champion": evidence.champion, "challenger": evidence.challenger}
    ledger.append(Evaluated(domain=evidence.domain, arms=arms, runs=evidence.outcomes, solved=evidence.solved), actor)
    decision = decide(evidence, rule, looks_paid(events, evidence.domain))
    ledger.save_decision(decision)
    ledger.append(decided(decision), actor)
    return decision


def decided(decision: Decision) -> Decided:
    """The ledger's line about a decision."""
    return Decided(
        domain=decision.domain,
        decision=decision.digest,
        champion=decision.champion,
        challenger=decision.challenger,
        answer=decision.answer,
        look=decision.budget.look,
        alpha=decision.budget.alpha if decision.budget.paid else 0.0,
    )


def _before(evidence: Evidence, rule: Rule, ledger: Ledger, events: Sequence[Event]) -> Decision | None:
    """The decision on exactly this evidence, if there was one."""
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
