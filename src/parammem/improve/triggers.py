"""When there is reason to train again: enough new rows, a world that looks different, or time. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from parammem.core.event import Event, Ingested, Trained
from parammem.core.record import Record
from parammem.core.words import count


class Triggers(Record):
    """The dials; the fields are those of `improve` in params.yaml."""

    min_new_rows: int
    """New, unique rows that were ingested since the last training."""
    max_hours: float
    """Hours since the last training after which any new row is reason enough; 0: time is no reason."""
    drift_points: float
    """Change of the share of good outcomes, new rows against older ones, that counts as drift if it is no chance;
    0: drift is no reason."""
    drift_rows: int
    """Fewest new rows with an outcome that drift is looked for in."""


class Reason(Record):
    """Whether to train a domain's reflector again, and why."""

    domain: str
    due: bool
    why: str
    """In words, also when it is not due."""
    new_rows: int
    kind: str
    """rows, drift, time, or none."""


class Outcomes(Record):
    """What the rows of batches say about how agents did."""

    rows: int = 0
    good: int = 0
    """Outcome was right."""
    bad: int = 0
    """Outcome was wrong; the rest is unknown."""

    def plus(self, other: Outcomes) -> Outcomes:
        return Outcomes(rows=self.rows + other.rows, good=self.good + other.good, bad=self.bad + other.bad)

    @property
    def known(self) -> int:
        return self.good + self.bad

    @property
    def share(self) -> float:
        return self.good / self.known if self.known else 0.0


def last_training(events: Sequence[Event], domain: str) -> Event | None:
    """Return the event of the domain's newest adapter."""
    found = [event for event in events if isinstance(event.fact, Trained) and event.fact.domain == domain]
    return found[-1] if found else None


def new_batches(events: Sequence[Event], domain: str) -> list[str]:
    """Return batches with rows of the domain that came in since its newest adapter was trained, in order, each once."""
    last = last_training(events, domain)
    known = set(last.fact.batches) if last and isinstance(last.fact, Trained) else set()
    came = [e.fact for e in events if isinstance(e.fact, Ingested)]
    names = [fact.batch for fact in came if fact.batch and fact.domains.get(domain)]
    return [name for name in dict.fromkeys(names) if name not in known and _after(events, name, last)]


def _after(events: Sequence[Event], batch: str, last: Event | None) -> bool:
    """Return whether a batch came in after an event. One that came before and was not learned from had been set
    aside."""
    first = next(e.number for e in events if isinstance(e.fact, Ingested) and e.fact.batch == batch)
    return last is None or first > last.number


def judge(
    domain: str, events: Sequence[Event], batches: Mapping[str, Outcomes], triggers: Triggers, now: datetime
) -> Reason:
    """Decide whether it is time to train this domain's reflector, and why.

    Args:
        batches: what the domain's rows in each batch say, for all batches that are at hand.
    """
    new = [name for name in new_batches(events, domain) if batches.get(name, Outcomes()).rows]
    fresh = _sum(batches[name] for name in new)
    before = _sum(found for name, found in batches.items() if name not in new)
    rows = f"{count(fresh.rows, 'new row')}"

    def reason(kind: str, why: str) -> Reason:
        return Reason(domain=domain, due=kind != "none", why=f"{domain}: {why}", new_rows=fresh.rows, kind=kind)

    if not fresh.rows:
        return reason("none", "nothing new")
    if fresh.rows >= triggers.min_new_rows:
        return reason("rows", f"{rows}, {triggers.min_new_rows} are enough")
    drift = _drift(before, fresh, triggers)
    if drift:
        return reason("drift", f"{rows}, and {drift}")
    hours = _hours_since(events, domain, now)
    if triggers.max_hours and hours >= triggers.max_hours:
        return reason("time", f"{rows}, and the last training was {hours:.0f} hours ago")
    return reason("none", f"{rows} of {triggers.min_new_rows} needed")


def _drift(before: Outcomes, fresh: Outcomes, triggers: Triggers) -> str:
    """Return in words how far agents do otherwise than they did; empty if that is little, or may be chance."""
    from scipy.stats import fisher_exact

    if not triggers.drift_points or fresh.known < triggers.drift_rows or not before.known:
        return ""
    change = fresh.share - before.share
    p = float(fisher_exact([[before.good, before.bad], [fresh.good, fresh.bad]]).pvalue)  # pyright: ignore
    if abs(change) < triggers.drift_points or p > 0.01:
        return ""
    return f"agents succeed {100 * change:+.0f} points as often as before (p = {p:.1g})"


def _hours_since(events: Sequence[Event], domain: str, now: datetime) -> float:
    """Return hours since the last training, or since the first event where there was none."""
    last = last_training(events, domain) or (events[0] if events else None)
    if last is None:
        return 0.0
    return (now - datetime.fromisoformat(last.time)).total_seconds() / 3600


def _sum(found) -> Outcomes:
    total = Outcomes()
    for one in found:
        total = total.plus(one)
    return total
