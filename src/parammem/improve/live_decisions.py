"""What a turn decides by runs of agents in use: about the challenger on trial, about the champion, and who is next."""

from __future__ import annotations

from parammem.core.decision import Decision
from parammem.core.event import Event, Observed
from parammem.errors import DataError
from parammem.gate.record_live import judge_trial, judge_watch, live_rule, record_live, start_trial
from parammem.improve.turn import Turn
from parammem.registry.state import one_before, roll_back
from parammem.stages.own_runs import measures


def decide_by_runs(turn: Turn) -> None:
    """Let the live gate decide in every domain that has runs in use, and put the next candidate on trial."""
    for domain in turn.settings.domains:
        events = turn.ledger.read()
        if any(fact.domain == domain for fact in turn.observed):
            try:
                _decide(turn, domain, events)
            except DataError as error:  # of this domain alone; its champion stays
                turn.note(f"{domain}: the live gate could not look at the runs: {error}")
        _next_trial(turn, domain)


def _decide(turn: Turn, domain: str, events: list[Event]) -> None:
    rule = live_rule(turn.settings.gate)
    decision = judge_trial(turn.tree, events, domain, rule, turn.ledger.decision)
    if decision:
        _record(turn, decision, "trial")
        if decision.answer == "promote":
            return  # the new champion has no runs yet
    decision = judge_watch(turn.tree, events, domain, rule)
    if decision:
        _record(turn, decision, "champion")
    if decision and decision.answer == "roll back":
        to = one_before(events, domain)
        why = f"runs in use: {decision.reasons[0]} (decision {decision.digest[:16]})"
        now = roll_back(turn.ledger, domain, to, why, turn.tools.actor)
        turn.note(f"{domain}: rolled back to {now.name if now else 'no reflector'}: {why}")


def _record(turn: Turn, decision: Decision, what: str) -> None:
    record_live(turn.ledger, decision, turn.tools.actor)
    turn.note(f"{decision.domain}: {what}: {decision.answer}: {decision.reasons[0]}")
    if decision.answer != "undecided":
        turn.decisions.append(decision)


def _next_trial(turn: Turn, domain: str) -> None:
    """Put the next candidate on trial, where runs in use come in or where outcomes are only reported."""
    events = turn.ledger.read()
    in_use = any(isinstance(event.fact, Observed) and event.fact.domain == domain for event in events)
    if not in_use and measures(turn.settings, domain):
        return
    began = start_trial(turn.ledger, domain, turn.settings.gate, turn.tools.actor)
    if began:
        shares = ", ".join(f"{arm} {share:.0%}" for arm, share in began.shares.items())
        turn.note(
            f"{domain}: v{began.version} is on trial by runs in use ({shares}); look {began.look} of the error budget, "
            f"{began.alpha:.2g}; `parammem gate --live --domain {domain}` shows how it does"
        )
