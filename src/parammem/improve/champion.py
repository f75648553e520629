"""What is done about a champion beside a turn: the nightly check, and rollbacks. Each has a few steps of its own, with
the same lock, worktree and order of a turn, so a crash in them is put in order in the same way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from parammem.checkout.lock import locked
from parammem.checkout.places import AUTOMATION
from parammem.config import load_params
from parammem.core.event import Checked, Event, Published, RolledBack
from parammem.core.jsonl import write_text
from parammem.errors import LedgerError
from parammem.gate.nightly_check import check_champion, failed_in_a_row
from parammem.improve.run import Around, call, run_steps
from parammem.improve.steps import STEPS, TurnStep
from parammem.improve.turn import Tools, Turn, TurnReport
from parammem.improve.warm_challenger import champion_folder
from parammem.registry.branch import known
from parammem.registry.state import champion, find_version, one_before, roll_back

FAILURES = 2
"""Checks in a row that fail before the champion is rolled back by itself."""
"""What was asked for, until it is done: a rollback that is killed must not be done twice."""
BEFORE = ("clean", "worktree", "finish")
AFTER = ("push", "commit", "publish", "close")


def evaluate_champion(
    root: Path, tools: Tools, night: str = "", domains: tuple[str, ...] = (), around: Around | None = None
) -> TurnReport:
    """Check that each champion still holds; after two failures in a row the one before takes its place.

    Args:
        night: the date it is for, YYYY-MM-DD; today where empty. A night is checked once.
        domains: all of params where empty.

    Raises:
        DataError, LedgerError: as a turn does.
    """
    night = night or tools.clock().date().isoformat()
    step = TurnStep("check", partial(_check, night=night, domains=domains), "a worktree that can be deleted")
    return _with_steps(root, tools, step, around)


def rollback(
    root: Path, tools: Tools, domain: str, to: str, reason: str = "asked for", around: Around | None = None
) -> TurnReport:
    """Make an earlier champion champion again on the branch of automation, and tag it.

    Who is meant is settled now, before anything waits: a turn that is at work may promote another version meanwhile.

    Args:
        to: v2, 2, the beginning of an adapter's digest, "before" (the champion before this one), or "none".

    Raises:
        LedgerError: there is no such version, it never was champion, or who is champion has changed meanwhile.
    """
    events = known(root, committed=True)
    meant = resolve(events, domain, to)
    if to == "before" and _was_cut_short(root, events, meant):
        said = f"{domain}: the rollback to {meant.present_name} had been cut short; it is complete now"
        work: Callable[[Turn], None] = lambda turn: turn.note(said)  # noqa: E731
    else:
        if to == "before":
            tools.say(f"{domain}: the champion before {meant.present_name} is {meant.target}")
        seen = [event.digest for event in events if _moves(event, domain)]
        asked = {"target": meant.target, "present": meant.present, "seen": seen}
        write_text(_note(root, domain), json.dumps(asked))
        work = partial(_roll_back_as_meant, meant=meant, reason=reason)
    report = _with_steps(root, tools, TurnStep("roll back", work, "a worktree that can be deleted"), around)
    _note(root, domain).unlink(missing_ok=True)
    return report


class Meant(NamedTuple):
    """A rollback as it was asked for."""

    domain: str
    to: str
    """As it was said."""
    target: str
    """v2, or none."""
    present: int
    """The version that was champion; 0: none was."""
    seen: frozenset[str]
    """Digests of the events that there were."""

    @property
    def present_name(self) -> str:
        return f"v{self.present}" if self.present else "none"


def resolve(events: Sequence[Event], domain: str, to: str) -> Meant:
    """Say which version is meant. Raises LedgerError when there is no such version."""
    present = champion(events, domain)
    if to == "before" and present is None:
        raise LedgerError(
            f"{domain} has no champion, so there is none before it; `parammem registry history --domain {domain}` "
            "lists its versions"
        )
    target = one_before(events, domain) if to == "before" else to
    if target not in ("none", "0", "v0"):
        target = find_version(events, domain, target).name
    else:
        target = "none"
    seen = frozenset(event.digest for event in events)
    return Meant(domain, to, target, present.number if present else 0, seen)


def _roll_back_as_meant(turn: Turn, meant: Meant, reason: str) -> None:
    events = turn.ledger.read()
    present = champion(events, meant.domain)
    if (present.number if present else 0) != meant.present:
        name = present.name if present else "none"
        since = [e for e in events if e.digest not in meant.seen and _moves(e, meant.domain)]
        moves = [f"event {e.number}, {e.time}, {e.actor}: {_said(e)}" for e in since]
        what = "; ".join(moves) or "see `parammem registry history`"
        again = f"parammem rollback --to {meant.target} --domain {meant.domain}"
        raise LedgerError(
            f"the champion of {meant.domain} was {meant.present_name} when you asked and is {name} now "
            f"({what}); nothing was rolled back. "
            f"To go from {name} to {meant.target} run `{again}`"
        )
    _roll_back(turn, meant.domain, meant.target, reason)


def _moves(event: Event, domain: str) -> bool:
    fact = event.fact
    if isinstance(fact, Published):
        return fact.domain == domain and fact.stage == "champion"
    return isinstance(fact, RolledBack) and fact.domain == domain


def _said(event: Event) -> str:
    fact = event.fact
    return f"rolled back: {fact.reason}" if isinstance(fact, RolledBack) else "promoted"


def _was_cut_short(root: Path, events: Sequence[Event], meant: Meant) -> bool:
    """Return whether an earlier "before" was killed, or failed, after its rollback was committed. A second request for
    the same means that one, and not the champion before that."""
    note = _note(root, meant.domain)
    try:
        asked = json.loads(note.read_bytes())
        moves = [event for event in events if _moves(event, meant.domain)]
        since = moves[-1] if moves and moves[-1].digest not in asked["seen"] else None
        fact = since.fact if since else None
        return isinstance(fact, RolledBack) and [f"v{fact.version}", fact.left] == [asked["target"], asked["present"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _note(root: Path, domain: str) -> Path:
    return root / AUTOMATION / f"rollback-{domain}.json"


def _with_steps(root: Path, tools: Tools, step: TurnStep, around: Around | None) -> TurnReport:
    """Return the step between those of a turn that open and close it."""
    known = {one.name: one for one in STEPS}
    steps = (*(known[name] for name in BEFORE), step, *(known[name] for name in AFTER))
    loaded = load_params(root / "params.yaml")
    params = loaded.improve
    with locked(root, tools.actor, params.wait_seconds, tools.say):
        turn = Turn(root=root, branch=params.branch, tools=tools)
        report = run_steps(turn, steps, around or call)
    said = [note for note in report.notes if note.startswith(tuple(f"{domain}:" for domain in loaded.domains))]
    return TurnReport(headline="; ".join(said) or "Nothing to do", notes=report.notes, commit=report.commit)


def _check(turn: Turn, night: str, domains: tuple[str, ...]) -> None:
    for domain in domains or turn.settings.domains:
        events = turn.ledger.read()
        incumbent = champion(events, domain)
        done = [e.fact for e in events if isinstance(e.fact, Checked) and e.fact.domain == domain]
        if incumbent is None:
            turn.note(f"{domain}: no champion")
        elif any(fact.night == night and fact.version == incumbent.number for fact in done):
            turn.note(f"{domain}: {incumbent.name} was checked for {night} already")
        else:
            evidence = turn.tools.compare(turn, domain, None, champion_folder(turn, domain, incumbent))
            fact = check_champion(domain, incumbent.number, incumbent.adapter, evidence.slices, night)
            turn.record(fact)
            held = {True: "holds", False: "does not hold", None: "cannot be judged: too few tasks"}[fact.holds]
            turn.note(
                f"{domain}: {incumbent.name} {held}: {100 * fact.solved:.1f}% solved, without a reflector "
                f"{100 * fact.expected:.1f}% (p = {fact.p:.2g})"
            )
        _leave_what_failed(turn, domain)


def _leave_what_failed(turn: Turn, domain: str) -> None:
    events = turn.ledger.read()
    failed = failed_in_a_row(events, domain)
    if failed >= FAILURES:
        _roll_back(turn, domain, one_before(events, domain), f"the nightly check failed {failed} times in a row")


def _roll_back(turn: Turn, domain: str, to: str, reason: str) -> None:
    events = turn.ledger.read()
    present = champion(events, domain)
    now = roll_back(turn.ledger, domain, to, reason, turn.tools.actor)
    if (now.number if now else 0) == (present.number if present else 0):
        turn.note(f"{domain}: {now.name if now else 'nobody'} is champion already")
    else:
        turn.note(f"{domain}: rolled back to {now.name if now else 'no reflector'}: {reason}")
