"""Which batches leave the pool when a challenger was refused, and which stay under suspicion. Pure functions.

A challenger has learned from every batch of the pool, so a refusal accuses several. Those that no challenger had
learned from before are the likeliest to blame. Batches of earlier challengers about whom nothing was settled get one
more chance: they stay, named as suspects, and go when the next challenger that learned from them is refused too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from parammem.core.decision import Decision
from parammem.core.event import Decided, Event, Ingested, SetAside, Trained

OF_THE_DATA = {"no-leakage", "tokens", "diversity"}
"""Guards that fail because of what was learned. The others fail because of how the adapter was made or is kept."""


class Accusation(NamedTuple):
    """Batches by name, in the order in which they came."""

    aside: tuple[str, ...]
    suspects: tuple[str, ...]


def harmful(decision: Decision) -> bool:
    """Return whether the challenger was refused because it is worse. One that is merely no better accuses no batch:
    small gains of several batches may add up."""
    failed = {guard.name for guard in decision.guards if guard.passed is False}
    worse = any(one.verdict == "worse" for one in decision.slices)
    return decision.answer == "refuse" and (worse or bool(failed & OF_THE_DATA))


def blame(
    events: Sequence[Event], decision: Decision, here: Collection[str], judged: Collection[str] = ()
) -> Accusation:
    """Return what follows from a decision for the batches that its champion has not learned from.

    Args:
        events: the ledger.
        here: names of the batches in the pool.
        judged: adapters of this turn, the decision's challenger among them; they are no earlier challengers.
    """
    if not harmful(decision):
        return Accusation((), ())
    domain = decision.domain
    came = [e.fact for e in events if isinstance(e.fact, Ingested) and e.fact.domains.get(domain)]
    learned = _learned(events, domain)
    known = learned.get(decision.champion, set())
    accused = [one for one in dict.fromkeys(fact.batch for fact in came) if one in here and one not in known]
    now = {decision.challenger, *judged}
    decided = [e.fact for e in events if isinstance(e.fact, Decided) and e.fact.domain == domain]
    before = [fact.challenger for fact in decided if fact.challenger and fact.challenger not in now]
    earlier = learned.get(before[-1], set()) if before else set()
    facts = [e.fact for e in events if isinstance(e.fact, SetAside) and e.fact.domain == domain]
    suspected = {name for fact in facts for name in fact.suspects}
    aside = [name for name in accused if name not in earlier or name in suspected]
    return Accusation(tuple(aside), tuple(name for name in accused if name not in aside))


def _learned(events: Sequence[Event], domain: str) -> dict[str, set[str]]:
    """Return adapter → the batches that were in the pool when it was trained."""
    trained = [e.fact for e in events if isinstance(e.fact, Trained) and e.fact.domain == domain]
    return {fact.adapter: set(fact.batches) for fact in trained}
