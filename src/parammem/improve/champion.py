"""What is done about a champion beside a turn: the nightly check, and rollbacks. Each has a few steps of its own, with
the same lock, worktree and order of a turn, so a crash in them is put in order in the same way."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from parammem.config import DOMAINS, load_params
from parammem.core.event import Checked
from parammem.gate.check import check_champion, failed_in_a_row
from parammem.improve.lock import locked
from parammem.improve.run import Around, call, run_steps
from parammem.improve.steps import STEPS, Step
from parammem.improve.turn import Report, Tools, Turn
from parammem.improve.warm import champion_folder
from parammem.registry.state import champion, one_before, roll_back

FAILURES = 2
"""Checks in a row that fail before the champion is rolled back by itself."""
BEFORE = ("clean", "worktree", "finish")
AFTER = ("push", "commit", "publish", "close")


def evaluate_champion(
    root: Path, tools: Tools, night: str = "", domains: tuple[str, ...] = (), around: Around | None = None
) -> Report:
    """Does each champion still hold? Twice in a row no, and the one before it takes its place.

    Args:
        night: the date it is for, YYYY-MM-DD; today where empty. A night is checked once.
        domains: all of params where empty.

    Raises:
        DataError, LedgerError: as a turn does.
    """
    night = night or tools.clock().date().isoformat()
    step = Step("check", partial(_check, night=night, domains=domains), "a worktree that nobody needs")
    return _with_steps(root, tools, step, around)


def rollback(
    root: Path, tools: Tools, domain: str, to: str, reason: str = "asked for", around: Around | None = None
) -> Report:
    """Make an earlier champion champion again on the branch of automation, and tag it.

    Args:
        to: v2, 2, the beginning of an adapter's digest, "before" (the champion before this one), or "none".

    Raises:
        LedgerError: there is no such version, or it never was champion.
    """
    step = Step("roll back", partial(_roll_back, domain=domain, to=to, reason=reason), "a worktree that nobody needs")
    return _with_steps(root, tools, step, around)


def _with_steps(root: Path, tools: Tools, step: Step, around: Around | None) -> Report:
    """The step between those of a turn that open and close it."""
    known = {one.name: one for one in STEPS}
    steps = (*(known[name] for name in BEFORE), step, *(known[name] for name in AFTER))
    params = load_params(root / "params.yaml").improve
    with locked(root, tools.actor, params.wait_seconds, tools.say):
        turn = Turn(root=root, branch=params.branch, tools=tools)
        report = run_steps(turn, steps, around or call)
    said = [note for note in report.notes if note.startswith(tuple(f"{domain}:" for domain in DOMAINS))]
    return Report(headline="; ".join(said) or "Nothing to do", notes=report.notes, commit=report.commit)


def _check(turn: Turn, night: str, domains: tuple[str, ...]) -> None:
    for domain in domains or turn.settings.domains:
        events = turn.ledger.read()
        reigning = champion(events, domain)
        done = [e.fact for e in events if isinstance(e.fact, Checked) and e.fact.domain == domain]
        if reigning is None:
            turn.note(f"{domain}: no champion")
        elif any(fact.night == night and fact.version == reigning.number for fact in done):
            turn.note(f"{domain}: {reigning.name} was checked for {night} already")
        else:
            evidence = turn.tools.meet(turn, domain, None, champion_folder(turn, domain, reigning))
            fact = check_champion(domain, reigning.number, reigning.adapter, evidence.slices, night)
            turn.record(fact)
            held = {True: "holds", False: "does not hold", None: "cannot be judged: too few tasks"}[fact.holds]
            turn.note(
                f"{domain}: {reigning.name} {held}: {100 * fact.solved:.1f}% solved, without a reflector "
                f"{100 * fact.expected:.1f}% (p = {fact.p:.2g})"
            )
        _leave_what_failed(turn, domain)


def _leave_what_failed(turn: Turn, domain: str) -> None:
    events = turn.ledger.read()
    failed = failed_in_a_row(events, domain)
    if failed >= FAILURES:
        _roll_back(turn, domain, "before", f"the nightly check failed {failed} times in a row")


def _roll_back(turn: Turn, domain: str, to: str, reason: str) -> None:
    events = turn.ledger.read()
    target = one_before(events, domain) if to == "before" else to
    present = champion(events, domain)
    now = roll_back(turn.ledger, domain, target, reason, turn.tools.actor)
    if (now.number if now else 0) == (present.number if present else 0):
        turn.note(f"{domain}: {now.name if now else 'nobody'} is champion already")
    else:
        turn.note(f"{domain}: rolled back to {now.name if now else 'no reflector'}: {reason}")
