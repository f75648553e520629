"""The ledger as an auditor reads it: its chain walked again by code of our own, and who was champion when.

The registry writes the ledger and has its own reader; an audit that used it would inherit its mistakes. Which ledgers
count, and how they are joined, is one rule for both (registry/branch.py, registry/join.py): what a merge will write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from parammem.checkout import places
from parammem.checkout.git import Blobs, blob_ids, branches
from parammem.core.decision import Decision
from parammem.core.event import (
    START,
    Decided,
    Evaluated,
    Event,
    Ingested,
    Observed,
    Published,
    Recalled,
    RolledBack,
    SetAside,
    Trained,
    TrialStarted,
)
from parammem.core.ledger_format import finished, read_event, split_lines
from parammem.core.record import digest_of
from parammem.registry.branch import ledgers_of
from parammem.registry.join import common, join, merged, missing

LEDGER, DECISIONS = places.LEDGER.as_posix(), places.DECISIONS.as_posix()


class Fault(NamedTuple):
    """A line of the ledger that cannot be believed."""

    line: int
    what: str


class Fork(NamedTuple):
    """Another branch's ledger that goes on beside the working tree's."""

    branch: str
    shared: int
    """Events that both have in common."""
    only_there: list[Event]
    only_here: list[Event]


class Championship(NamedTuple):
    """An adapter in the champion's place."""

    event: int
    """Number of the event that put it there."""
    time: str
    domain: str
    version: int
    adapter: str
    """Empty: no champion, after a rollback to version 0."""
    by: str
    """promotion or rollback."""
    actor: str
    decision: str


@dataclass(frozen=True)
class Life:
    """All events, in order, and what is wrong with the file. An absent ledger has neither."""

    events: list[Event] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unfinished: list[Fault] = field(default_factory=list)
    """What stands after the last newline; no fault."""
    forks: list[Fork] = field(default_factory=list)
    _named: dict[str, list[Event]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, adapter: str) -> list[Event]:
        """Return the events that name an adapter."""
        if len(self._named) == 0:  # made once: a thousand generations ask
            for event in self.events:
                for name in dict.fromkeys(_adapters(event)):
                    self._named.setdefault(name, []).append(event)
        return self._named.get(adapter, []) if adapter else []

    def championships(self, domain: str | None = None) -> list[Championship]:
        """Return champions in the order in which they took the place."""
        found = []
        for event in self.events:
            fact = event.fact
            if isinstance(fact, Published) and fact.stage == "champion":
                by, decision = "promotion", fact.decision
            elif isinstance(fact, RolledBack):
                by, decision = "rollback", ""
            else:
                continue
            if domain in (None, fact.domain):
                championship = Championship(
                    event.number, event.time, fact.domain, fact.version, fact.adapter, by, event.actor, decision
                )
                found.append(championship)
        return found

    def ended(self, championship: Championship) -> Championship | None:
        """Return what took the place of a champion: the next promotion or rollback of its domain; None: it is champion
        now."""
        later = self.championships(championship.domain)
        place = later.index(championship)
        return later[place + 1] if place + 1 < len(later) else None

    def rollbacks_from(self, domain: str, version: int) -> list[Event]:
        """Return the rollbacks that took the champion's place from a version."""
        facts = [event for event in self.events if isinstance(event.fact, RolledBack)]
        return [event for event in facts if (event.fact.domain, event.fact.left) == (domain, version)]  # pyright: ignore

    def champion(self, domain: str) -> Championship | None:
        """Return who is champion now; None if there never was one, or a rollback left the place empty."""
        championships = self.championships(domain)
        return championships[-1] if championships and championships[-1].adapter else None

    def versions(self, domain: str) -> dict[int, str]:
        """Return version → adapter, as registered."""
        facts = [event.fact for event in self.events]
        return {f.version: f.adapter for f in facts if isinstance(f, Published) and f.domain == domain}

    def version_of(self, adapter: str) -> int | None:
        """Return the version under which an adapter was registered."""
        for event in self.events:
            if isinstance(event.fact, Published) and event.fact.adapter == adapter:
                return event.fact.version
        return None

    def batch(self, digest: str) -> Event | None:
        """Return the event that brought in an experience batch."""
        for event in self.events:
            fact = event.fact
            if isinstance(fact, Ingested) and digest and digest in (fact.batch, fact.fresh):
                return event
        return None

    def recalled(self) -> dict[str, Event]:
        """Return row hash → the event that withdrew it."""
        return {row: event for event in self.events if isinstance(event.fact, Recalled) for row in event.fact.rows}


def read_life(repo: Path) -> Life:
    """Return every event and every fault of the ledger to its end; both empty if there is none.

    Automation commits to a branch of its own: its ledger is joined with the working tree's as a merge would join them.
    """
    life, lives = Life(), []
    for one in ledgers_of(repo):
        found = walk(one.data)
        where = f" on the branch {one.name}" if one.ref else ""
        life.faults.extend(Fault(line, f"{what}{where}") for line, what in found.faults)
        life.unfinished.extend(Fault(line, f"{what}{where}") for line, what in found.unfinished)
        lives.append((one.name, found.events))
    life.events.extend(join(*(events for _, events in lives)))
    here = lives[-1][1] if lives else []
    life.forks.extend(fork for name, events in lives[:-1] if (fork := _fork(name, events, here)))
    return life


def _fork(name: str, there: list[Event], here: list[Event]) -> Fork | None:
    only_there, only_here = missing(there, here), missing(here, there)
    return Fork(name, common(there, here), only_there, only_here) if only_there and only_here else None


def ledger_bytes(repo: Path) -> bytes:
    """Return the ledger that `read_life` reads, as a file: one that has all of it or, where there is none, what a merge
    will write. Empty if there is no ledger."""
    found = [(one.data, walk(one.data).events) for one in ledgers_of(repo)]
    everything = join(*(events for _, events in found))
    whole = [data for data, events in found if len(events) == len(everything)]
    if whole or not found:
        return whole[-1] if whole else b""
    chain = merged(*(events for _, events in found))
    return b"".join(event.line().encode() + b"\n" for event in chain)


def branch_ledgers(repo: Path) -> dict[str, bytes]:
    """Return branch, local or fetched from a remote → its ledger; of branches with the same one only the first."""
    names = branches(repo)
    ids: dict[str, str] = {}
    for name, blob_id in blob_ids(repo, names, LEDGER).items():
        ids.setdefault(blob_id, name)
    with Blobs.open(repo) as blobs:
        return {name: blobs.read(blob_id) or b"" for blob_id, name in ids.items()}


def walk(data: bytes) -> Life:
    """Check number, digest and predecessor of each line. What a crash cut short counts as never written, as it does for
    the registry, and is said in `unfinished`."""
    life, previous = Life(), START
    lines, rest = split_lines(data)
    for number, line in enumerate(lines, 1):
        try:
            event = read_event(line)
        except ValueError as error:
            life.faults.append(Fault(number, str(error)))
            continue
        # The digest is of what stands in the file, not of what the records make of it.
        plain = json.loads(line)
        if plain.pop("digest", None) != digest_of(plain):
            life.faults.append(Fault(number, f"event {event.number} does not fit its digest: it was changed"))
        if event.number != number:
            life.faults.append(Fault(number, f"event number {event.number} stands in line {number}"))
        if event.previous != previous:
            life.faults.append(Fault(number, f"event {event.number} does not follow the line before it"))
        life.events.append(event)
        previous = event.digest
    if rest:
        last = life.events[-1] if life.events else None
        whole = finished(rest, last, START) if len(life.events) == len(lines) else None
        life.events.extend([whole] if whole else [])
        what = "lacks its newline; the event counts" if whole else "was cut short by a crash: it was never written"
        life.unfinished.append(Fault(len(lines) + 1, what))
    return life


def read_decision(repo: Path, digest: str) -> Decision | None:
    """Return the record of a decision, if it is there (in the tree, or else on a branch) and is what its name says."""
    try:
        found = Decision.model_validate_json(decision_bytes(repo, digest) or b"")
    except (OSError, ValidationError):
        return None
    return found if found.digest == digest else None


def decision_bytes(repo: Path, digest: str) -> bytes | None:
    """Return the file of a decision, from the tree or else from a branch, whatever it holds."""
    path = f"{DECISIONS}/{digest}.json"
    return (repo / path).read_bytes() if (repo / path).is_file() else _on_a_branch(repo, path)


def _on_a_branch(repo: Path, path: str) -> bytes | None:
    with Blobs.open(repo) as blobs:
        found = (blobs.read(f"{name}:{path}") for name in branches(repo))
        return next((data for data in found if data is not None), None)


def _adapters(event: Event) -> tuple[str, ...]:
    fact = event.fact
    if isinstance(fact, Decided):
        return (fact.champion, fact.challenger)
    if isinstance(fact, Evaluated):
        return tuple(fact.arms.values())
    if isinstance(fact, Recalled):
        return fact.adapters
    if isinstance(fact, TrialStarted):
        return (fact.champion, fact.challenger)
    if isinstance(fact, Ingested | SetAside | Observed):
        return ()
    return (fact.adapter,)


def trained(life: Life, adapter: str) -> Trained | None:
    """Return the event of its training."""
    for event in life.events:
        if isinstance(event.fact, Trained) and event.fact.adapter == adapter:
            return event.fact
    return None
