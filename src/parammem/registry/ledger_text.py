"""The ledger for people: versions of a domain and what became of them; whether everything in it still holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parammem.core.escape import shown
from parammem.core.event import (
    Checked,
    Decided,
    Event,
    Imported,
    Observed,
    Published,
    RolledBack,
    SetAside,
    TrialStarted,
)
from parammem.core.words import count
from parammem.errors import LedgerError, LineageError
from parammem.registry.branch import BranchLedger, decision_in, ledgers_of
from parammem.registry.growth import check_growth
from parammem.registry.join import join
from parammem.registry.ledger import PLACE, walk
from parammem.registry.observed_files import check_observed
from parammem.registry.state import champion, versions


def as_text(events: Sequence[Event], domain: str) -> str:
    """Return one line per event that concerns the domain's versions, oldest first, and the champion."""
    numbers = {v.adapter: v.name for v in versions(events, domain)}
    lines = [line for event in events if (line := _line(event, domain, numbers))]
    incumbent = champion(events, domain)
    last = f"champion: {incumbent.name} ({incumbent.adapter[:16]})" if incumbent else "champion: none"
    return "\n".join([*lines, last])


def _line(event: Event, domain: str, numbers: dict[str, str]) -> str:
    fact = event.fact
    if getattr(fact, "domain", None) != domain:
        return ""
    said = ""
    if isinstance(fact, Published):
        said = f"v{fact.version} is {fact.stage} ({fact.adapter[:16]})"
    elif isinstance(fact, Imported):
        said = f"imported from {shown(fact.source)} ({fact.adapter[:16]})"
    elif isinstance(fact, Decided):
        said = _decided(fact, numbers)
    elif isinstance(fact, TrialStarted):
        said = f"v{fact.version} is on trial by runs in use, share {fact.shares.get('challenger', 0):.0%}"
    elif isinstance(fact, Observed):
        outcomes = sum(known for _, known, _ in fact.counts.values())
        what = count(outcomes, "outcome") if fact.runs else "declared lost"
        said = f"runs {fact.first} to {fact.last} in use: {what}"
    elif isinstance(fact, RolledBack):
        said = f"{_rolled_back(fact)}: {shown(fact.reason)}"
    elif isinstance(fact, SetAside):
        said = f"{count(len(fact.batches), 'batch', 'batches')} set aside, {len(fact.suspects)} under suspicion"
    elif isinstance(fact, Checked):
        held = {True: "holds", False: "FAILED", None: "too few tasks to say"}[fact.holds]
        said = f"check of v{fact.version}: {held} ({fact.solved:.1%} against {fact.expected:.1%}, p = {fact.p:.2g})"
    return f"{event.number:5}  {event.time}  {shown(event.actor):24.24}  {said}" if said else ""


def _decided(fact: Decided, numbers: dict[str, str]) -> str:
    """Return who was decided about, against whom; a decision to roll back has no challenger."""
    champion = numbers.get(fact.champion, fact.champion[:16] if fact.live and fact.champion else "no reflector")
    if not fact.challenger:
        return f"{fact.answer}: {champion} against no advice, by runs in use (decision {fact.decision[:12]})"
    who, how = numbers.get(fact.challenger, fact.challenger[:16]), ", by runs in use" if fact.live else ""
    return f"{fact.answer}: {who} against {champion}{how} (decision {fact.decision[:12]})"


def _rolled_back(fact: RolledBack) -> str:
    """Return in words from which version to which; version 0 is no reflector."""
    if not fact.left:
        return f"v{fact.version} is champion again; there was none"
    return f"rolled back from v{fact.left} to {f'v{fact.version}' if fact.version else 'no reflector'}"


def check(root: Path) -> str:
    """Check that every ledger that counts is an unbroken chain, that every decision and every file of runs in use is
    what its digest says, and that no commit took an event away. Returns it in words.

    Raises:
        LedgerError: a line, a decision or a file of runs does not hold.
        LineageError: events were taken out of the ledger; names the commits and the events.
    """
    found = ledgers_of(root)
    damaged = [f"  line {line} of {_place(one)}: {what}" for one in found for line, what in walk(one.data)[1]]
    if damaged:
        listing = "\n".join(damaged)
        raise LedgerError(f"the ledger does not hold; `git log -p -- {PLACE}` says who changed it:\n{listing}")
    lines = [_summary(root, one) for one in found]
    lines += filter(None, [check_observed(root, join(*(walk(one.data)[0] for one in found)))])
    growth = check_growth(root)
    lost = [loss.what for loss in growth.losses if loss.certain]
    if lost:
        raise LineageError("events were taken out of the ledger:\n" + "\n".join(f"  {what}" for what in lost))
    lines.append(f"git: {count(growth.commits, 'commit')} touched the ledger, and none of them took an event away")
    lines += [f"not certain: {loss.what}" for loss in growth.losses]
    lines += [f"not checked: {what}" for what in growth.unchecked]
    return "\n".join(lines)


def _summary(root: Path, one: BranchLedger) -> str:
    events, _, unfinished = walk(one.data)
    digests = [event.fact.decision for event in events if isinstance(event.fact, Decided)]
    for digest in digests:
        decision_in(root, digest, one.ref)
    said = f"{_place(one)}: {count(len(events), 'event')}, {count(len(digests), 'decision')}: the chain is unbroken"
    return f"{said}; {unfinished}" if unfinished else said


def _place(one: BranchLedger) -> str:
    return f"{PLACE} on the branch {one.name}" if one.ref else PLACE.as_posix()
