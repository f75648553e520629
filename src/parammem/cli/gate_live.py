"""`parammem gate --live`: what runs of agents in use say so far of the challenger on trial and of the champion."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from parammem.cli.say import say
from parammem.config import Params
from parammem.core.escape import shown


def show_live(params: Params, domain: str, as_json: bool) -> None:
    """Print what the live gate would say now, runs that no turn has entered yet among them. Writes nothing."""
    from parammem.checkout.places import LIVE_INBOX
    from parammem.gate import explain
    from parammem.gate.record_live import judge_trial, judge_watch, live_rule
    from parammem.improve.live_inbox import look_for_runs
    from parammem.registry.branch import decision_of, known

    root = Path()
    events, rule = known(root), live_rule(params.gate)
    found = look_for_runs(root, events)
    more = [(fact, runs) for _, fact, runs in found.files]
    decisions = {
        "trial": judge_trial(root, events, domain, rule, partial(decision_of, root), more),
        "champion": judge_watch(root, events, domain, rule, more),
    }
    new = sum(len(runs) for fact, runs in more if fact.domain == domain)
    if as_json:
        plain = {name: one.model_dump(mode="json") if one else None for name, one in decisions.items()}
        say(json.dumps({"domain": domain, "not_entered": new, "refused": found.refused, **plain}, indent=2))
        return
    for name, one in decisions.items():
        say(explain(one) if one else _none(name, domain))
        say("")
    if new:
        say(f"{new} of these runs lie in {LIVE_INBOX} and count once `parammem improve` has entered them")
    for name, why in found.refused.items():
        say(f"left out: {shown(name)}: {shown(why, 500)}")


def enter_lost(domain: str, last: int) -> None:
    """Write into the ledger that the runs which it waits for, up to a number, are lost."""
    from parammem.checkout.git import person
    from parammem.gate.record_live import declare_lost
    from parammem.registry import Ledger
    from parammem.registry.branch import refuse_behind
    from parammem.registry.growth import refuse_losses

    refuse_losses(Path())
    refuse_behind(Path())
    fact = declare_lost(Ledger(), domain, last, person(Path()))
    say(f"runs {fact.first} to {fact.last} of {domain} are lost; commit ledger/events.jsonl, and the next turn goes on")


def _none(name: str, domain: str) -> str:
    if name == "champion":
        return f"{domain} has no champion that runs could speak against"
    return (
        f"no challenger of {domain} is on trial. A trial begins in a turn of `parammem improve` when fixed tasks leave "
        "a candidate undecided and runs of agents in use come in (in domains whose outcomes are only reported: always)"
    )
