"""Who is who, read out of the ledger: versions, the champion, what became of whom. And the steps that write it."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core.event import Decided, Event, Published, RolledBack, TrialStarted
from parammem.core.record import Record
from parammem.errors import LedgerError
from parammem.registry.ledger import Ledger


class Version(Record):
    """A registered reflector of one domain."""

    domain: str
    number: int
    """1 for the domain's first."""
    adapter: str
    """SHA-256 of its weights."""
    dvc: str
    """DVC hash of its folder; empty: unknown."""
    event: str
    """Digest of the event that registered it."""
    time: str

    @property
    def name(self) -> str:
        return f"v{self.number}"


def versions(events: Sequence[Event], domain: str) -> list[Version]:
    """Return every version of a domain, oldest first."""
    return [
        Version(
            domain=domain,
            number=e.fact.version,
            adapter=e.fact.adapter,
            dvc=e.fact.dvc,
            event=e.digest,
            time=e.time,
        )
        for e in events
        if isinstance(e.fact, Published) and e.fact.domain == domain and e.fact.stage == "candidate"
    ]


def champion(events: Sequence[Event], domain: str) -> Version | None:
    """Return the champion's version; None: there never was one, or it was rolled back to none."""
    incumbent = 0
    for event in events:
        fact = event.fact
        if (isinstance(fact, RolledBack) and fact.domain == domain) or (
            isinstance(fact, Published) and fact.domain == domain and fact.stage == "champion"
        ):
            incumbent = fact.version
    return next((v for v in versions(events, domain) if v.number == incumbent), None)


def trial(events: Sequence[Event], domain: str) -> TrialStarted | None:
    """Return the trial of a challenger on runs of agents in use that goes on in a domain; None: there is none.

    It ends with the live gate's decision about its challenger, with another champion, or with the next trial.
    """
    running = None
    for event in events:
        fact = event.fact
        if getattr(fact, "domain", "") != domain:
            continue
        if isinstance(fact, TrialStarted):
            running = fact
        elif running and isinstance(fact, Decided):
            if fact.live and fact.challenger == running.challenger and fact.answer != "undecided":
                running = None
        elif isinstance(fact, RolledBack) or (isinstance(fact, Published) and fact.stage == "champion"):
            running = None
    return running


def champions(events: Sequence[Event], domain: str) -> list[int]:
    """Return numbers of the versions that ever were champion, in order, each as often as it was promoted."""
    facts = [e.fact for e in events if isinstance(e.fact, Published)]
    return [fact.version for fact in facts if fact.domain == domain and fact.stage == "champion"]


def find_version(events: Sequence[Event], domain: str, name: str) -> Version:
    """Return a version by what people call it: champion, 7, v7, or the beginning of its adapter's digest (8 digits or
    more).

    Raises:
        LedgerError: there is none, or more than one.
    """
    known = versions(events, domain)
    if name == "champion":
        found = [v for v in [champion(events, domain)] if v]
    else:
        found = [v for v in known if name in (v.name, str(v.number))]
        found = found or [v for v in known if len(name) >= 8 and v.adapter.startswith(name)]
    if len(found) != 1:
        listed = ", ".join(v.name for v in known)
        there = f"there are: {listed}" if listed else "there is none yet: `parammem improve` makes the first"
        raise LedgerError(f"{'several versions' if found else 'no version'} {name!r} of {domain}; {there}")
    return found[0]


def add_version(ledger: Ledger, domain: str, adapter: str, dvc: str, actor: str) -> Version:
    """Give an adapter the next version number, as candidate. An adapter that has one keeps it."""
    events = ledger.read()
    known = versions(events, domain)
    old = next((v for v in known if v.adapter == adapter), None)
    if old:
        return old
    number = max((v.number for v in known), default=0) + 1
    fact = Published(domain=domain, version=number, adapter=adapter, stage="candidate", decision="", dvc=dvc)
    event = ledger.append(fact, actor)
    return Version(domain=domain, number=number, adapter=adapter, dvc=dvc, event=event.digest, time=event.time)


def make_champion(ledger: Ledger, version: Version, decision: str, actor: str) -> Version:
    """Make a version champion, on the evidence of a decision that says "promote" of its adapter.

    Raises:
        LedgerError: there is no such decision, or it says something else.
    """
    found = ledger.decision(decision)
    if found.answer != "promote" or found.challenger != version.adapter:
        raise LedgerError(
            f"decision {decision[:16]} says {found.answer!r} of {found.challenger[:16]}; it promotes no {version.name}"
        )
    fact = Published(
        domain=version.domain,
        version=version.number,
        adapter=version.adapter,
        stage="champion",
        decision=decision,
        dvc=version.dvc,
    )
    ledger.append(fact, actor)
    return version


def roll_back(ledger: Ledger, domain: str, to: str, reason: str, actor: str) -> Version | None:
    """Make an earlier champion champion again; `to` as for `find_version`, or "none". No change if it is that.

    Returns:
        The version that is champion from now on; None for "none".

    Raises:
        LedgerError: there is no such version, or it never was champion.
    """
    events = ledger.read()
    present = champion(events, domain)
    target = None if to in ("none", "0", "v0") else find_version(events, domain, to)
    if target and target.number not in champions(events, domain):
        raise LedgerError(f"{target.name} of {domain} never was champion: only the gate makes one")
    left = present.number if present else 0
    if left != (target.number if target else 0):
        fact = RolledBack(
            domain=domain,
            version=target.number if target else 0,
            adapter=target.adapter if target else "",
            left=left,
            reason=reason,
        )
        ledger.append(fact, actor)
    return target


def one_before(events: Sequence[Event], domain: str) -> str:
    """Return what to roll back to when the champion fails: the champion before it that was not left by a rollback, or
    none."""
    present = champion(events, domain)
    left = {e.fact.left for e in events if isinstance(e.fact, RolledBack) and e.fact.domain == domain}
    earlier = [n for n in champions(events, domain) if present and n != present.number and n not in left]
    older = [n for n in earlier if present and n < present.number]
    return f"v{older[-1]}" if older else "none"
