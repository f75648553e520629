"""One ledger out of several that grew side by side: the one rule by which all callers join them.

Who is champion, how many looks are paid for, what a merge writes and what the audit says all follow from `join`, so
they agree before a merge and after it, whoever merges whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from parammem.core.event import START, Event, Published, RolledBack, make_event
from parammem.core.ledger_format import identity


def common(one: Sequence[Event], other: Sequence[Event]) -> int:
    """Return how many events from the first on are the same in both."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a.digest != b.digest), min(len(one), len(other)))


def missing(events: Sequence[Event], there: Sequence[Event]) -> list[Event]:
    """Return events that another ledger has neither as they are nor signed off once more.

    A fact that stands in `events` twice (a rollback may) has to stand in `there` twice.
    """
    digests = {event.digest for event in there}
    if all(event.digest in digests for event in events):
        return []
    counts, seen = Counter(identity(event.fact) for event in there), Counter()
    lost = []
    for event in events:
        name = identity(event.fact)
        seen[name] += 1
        if event.digest not in digests and seen[name] > counts[name]:
            lost.append(event)
    return lost


def join(*ledgers: Sequence[Event]) -> list[Event]:
    """Return the events of all, each fact once: the first ledger by `in_order`, then what only the next one has.

    A function of the set of events: neither the order of the ledgers, nor one given twice, nor one that is the
    beginning of another makes a difference.
    """
    first, *others = in_order(ledgers) or [()]
    found = list(first)
    for ledger in others:
        found += missing(ledger, found)
    return found


def merged(*ledgers: Sequence[Event]) -> list[Event]:
    """Return `join` as one unbroken chain: the facts that come last are signed off once more, with the time and the
    name that they had."""
    first, *_ = in_order(ledgers) or [()]
    chain = list(first)
    for event in join(*ledgers)[len(chain) :]:
        last = chain[-1] if chain else None
        number, previous = (last.number + 1, last.digest) if last else (1, START)
        chain.append(make_event(number, event.time, event.actor, event.fact, previous))
    return chain


def in_order(ledgers: Iterable[Sequence[Event]]) -> list[Sequence[Event]]:
    """Sort ledgers into the order in which they are joined, without those that another one begins with.

    Wherever they part, those that go on with the same event stay together, and these groups are sorted by what they
    hold from there on: first the group in which automation named versions or champions (tags were made from these
    events), then one in which a person did, then one that automation wrote to; of two alike the one whose first event
    is earlier.
    """
    waiting, found = [(0, [ledger for ledger in ledgers if ledger])], []
    while waiting:
        place, group = waiting.pop()
        groups = _parted(place, group)
        while len(groups) == 1 and len(group) > 1:
            place, group = place + 1, groups[0]
            groups = _parted(place, group)
        if len(groups) > 1:
            groups.sort(key=lambda one: _rank(place, one), reverse=True)  # the last one is taken up first
            waiting += [(place, one) for one in groups]
        elif group:
            found.append(group[0])
    return found


def _parted(place: int, group: Sequence[Sequence[Event]]) -> list[list[Sequence[Event]]]:
    """Return the ledgers that have an event at this place, those with the same one together."""
    groups: dict[str, list[Sequence[Event]]] = {}
    for ledger in group:
        if len(ledger) > place:
            groups.setdefault(ledger[place].digest, []).append(ledger)
    return list(groups.values())


def _rank(place: int, group: Sequence[Sequence[Event]]) -> tuple[tuple[bool, bool], str, str]:
    """Return a key that sorts first the group that is joined first; a merge of the group with one that comes later has
    the same rank."""
    first = group[0][place]
    tails = (event for ledger in group for event in islice(ledger, place, None))
    return min(_naming(event) for event in tails), first.time, first.digest


def _naming(event: Event) -> tuple[bool, bool]:
    """Return a key that sorts first an event by which automation named a version or a champion."""
    return not isinstance(event.fact, Published | RolledBack), not event.actor.startswith("flow ")
