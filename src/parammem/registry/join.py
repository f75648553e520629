"""One ledger out of two that grew side by side: the one rule by which all callers join them.

Who is champion, how many looks are paid for, what a merge writes and what the audit says all follow from `join`, so
they agree before a merge and after it, whoever merges whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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


def join(one: Sequence[Event], other: Sequence[Event]) -> list[Event]:
    """Return the events of both, each fact once: what both have, what came first, then what only the other has.

    First comes the side that named versions or champions since they parted, because tags were made from its events; of
    two such sides, or none, that of automation, then the earlier one. `join(a, b) == join(b, a)`.
    """
    shared = common(one, other)
    first, second = sorted((one, other), key=lambda events: _rank(events[shared:]))
    return [*first, *missing(second, first)]


def merged(one: Sequence[Event], other: Sequence[Event]) -> list[Event]:
    """Return `join` as one unbroken chain: the facts that come last are signed off once more, with the time and the
    name that they had."""
    shared = common(one, other)
    first = min(one, other, key=lambda events: _rank(events[shared:]))
    chain = list(first)
    for event in join(one, other)[len(first) :]:
        last = chain[-1] if chain else None
        number, previous = (last.number + 1, last.digest) if last else (1, START)
        chain.append(make_event(number, event.time, event.actor, event.fact, previous))
    return chain


def _rank(tail: Sequence[Event]) -> tuple[bool, bool, str, str]:
    """Return a sort key: what comes first sorts first, nothing at all last."""
    if not tail:
        return (True, True, "~", "~")
    names = any(isinstance(event.fact, Published | RolledBack) for event in tail)
    automation = any(event.actor.startswith("flow ") for event in tail)
    return (not names, not automation, tail[0].time, tail[0].digest)
