"""The ledger for people: versions of a domain and what became of them; whether everything in it still holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parammem.core.event import Checked, Decided, Event, Published, RolledBack, SetAside
from parammem.errors import LedgerError
from parammem.registry.ledger import Ledger
from parammem.registry.state import champion, versions


def as_text(events: Sequence[Event], domain: str) -> str:
    """One line per event that concerns the domain's versions, oldest first, and who reigns."""
    numbers = {v.adapter: v.name for v in versions(events, domain)}
    lines = [line for event in events if (line := _line(event, domain, numbers))]
    reigning = champion(events, domain)
    last = f"champion: {reigning.name} ({reigning.adapter[:16]})" if reigning else "champion: none"
    return "\n".join([*lines, last])


def _line(event: Event, domain: str, numbers: dict[str, str]) -> str:
    fact = event.fact
    if getattr(fact, "domain", None) != domain:
        return ""
    said = ""
    if isinstance(fact, Published):
        said = f"v{fact.version} is {fact.stage} ({fact.adapter[:16]})"
    elif isinstance(fact, Decided):
        who, against = numbers.get(fact.challenger, fact.challenger[:16]), numbers.get(fact.champion, "no reflector")
        said = f"{fact.answer}: {who} against {against} (decision {fact.decision[:12]})"
    elif isinstance(fact, RolledBack):
        said = f"rolled back from v{fact.left} to {f'v{fact.version}' if fact.version else 'none'}: {fact.reason}"
    elif isinstance(fact, SetAside):
        said = f"{len(fact.batches)} batch(es) set aside, {len(fact.suspects)} under suspicion"
    elif isinstance(fact, Checked):
        held = {True: "holds", False: "FAILED", None: "too few tasks to say"}[fact.holds]
        said = f"check of v{fact.version}: {held} ({fact.solved:.1%} against {fact.expected:.1%}, p = {fact.p:.2g})"
    return f"{event.number:5}  {event.time}  {event.actor:24.24}  {said}" if said else ""


def check(root: Path) -> str:
    """That the chain is unbroken and every decision is what its digest says, in words. Raises LedgerError if not."""
    ledger = Ledger(root)
    faults = ledger.verify()
    if faults:
        listing = "\n".join(f"  line {fault.line}: {fault.what}" for fault in faults)
        raise LedgerError(f"{ledger.path} does not hold:\n{listing}")
    events = ledger.read()
    decisions = [event.fact.decision for event in events if isinstance(event.fact, Decided)]
    for digest in decisions:
        ledger.decision(digest)
    return f"{len(events)} events, {len(decisions)} decisions: the chain is unbroken"
