"""Trials and watches out of the ledger: which runs belong to them, what they may spend; and the steps that write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from parammem.checkout.places import LIVE
from parammem.config import GateParams
from parammem.core.decision import Decision, Guard
from parammem.core.event import Decided, Event, Observed, Published, RolledBack, TrialStarted
from parammem.core.jsonl import read_jsonl
from parammem.core.live_run import LiveArm, LiveRun
from parammem.core.plain_yaml import plain_yaml
from parammem.core.record import digest_of
from parammem.errors import DataError, LedgerError
from parammem.gate.live import decide_live
from parammem.gate.live_evidence import of_trial, of_watch
from parammem.gate.live_rule import LiveRule, Spending
from parammem.gate.record_decision import decided, looks_paid
from parammem.gate.rule import ROLLBACKS, alpha_of_championship, next_alpha
from parammem.registry.ledger import Ledger
from parammem.registry.state import champion, find_version, make_champion, trial, versions

FindDecision = Callable[[str], Decision]
"""Digest → the record of a decision."""
Arrived = Sequence[tuple[Observed, Sequence[LiveRun]]]
"""Files of runs that are whole, and follow the last run in the ledger."""
NOTHING: Arrived = ()


def live_rule(params: GateParams) -> LiveRule:
    """Return the live gate's dials out of params."""
    same = {
        name: getattr(params.live, name) for name in LiveRule.model_fields if name in type(params.live).model_fields
    }
    return LiveRule.model_validate({"total": params.alpha, "max_token_ratio": params.max_token_ratio, **same})


def judge_trial(
    root: Path, events: Sequence[Event], domain: str, rule: LiveRule, find: FindDecision, more: Arrived = NOTHING
) -> Decision | None:
    """Return what the live gate says now of the challenger on trial; None: none is. Writes nothing.

    Args:
        more: runs that are not in the ledger yet.

    Raises:
        DataError: a file of runs that the ledger names is missing or changed.
    """
    running = trial(events, domain)
    if running is None:
        return None
    began = next(e for e in reversed(events) if e.fact == running)
    runs, inputs, lost = _runs(root, events, domain, began, more)
    if running.decision:
        inputs["fixed tasks"] = running.decision
    guards = (*(_seen_before(find(running.decision)) if running.decision else ()), _complete(lost))
    before = looks_paid(events, domain).spent - running.alpha
    evidence = of_trial(runs, running, began.time, guards, inputs)
    return decide_live(evidence, rule, Spending(running.alpha, running.look, max(0.0, before)))


def judge_watch(
    root: Path, events: Sequence[Event], domain: str, rule: LiveRule, more: Arrived = NOTHING
) -> Decision | None:
    """Return what the live gate says now of the champion against no advice; None: there is no champion. Writes nothing.

    Raises:
        DataError: a file of runs that the ledger names is missing or changed.
    """
    incumbent, moves = champion(events, domain), _championships(events, domain)
    if incumbent is None:
        return None
    runs, inputs, lost = _runs(root, events, domain, moves[-1], more)
    whole = [run for run in runs if run.number > max((fact.last for fact in lost), default=0)]
    evidence = of_watch(whole, domain, incumbent.adapter, moves[-1].time, inputs)
    alpha = alpha_of_championship(len(moves), rule.total)
    return decide_live(evidence, rule, Spending(alpha, len(moves), looks_paid(events, domain).spent))


def _seen_before(decision: Decision) -> tuple[Guard, ...]:
    """Return the guards of the decision on fixed tasks, without tokens: these are counted on the runs in use."""
    return tuple(guard for guard in decision.guards if guard.name != "tokens")


def _complete(lost: Sequence[Observed]) -> Guard:
    """Return the guard that no run of the trial was declared lost: somebody might do so because its outcome is bad."""
    named = ", ".join(f"{fact.first} to {fact.last}" for fact in lost)
    return Guard(name="complete", passed=not lost, detail=f"runs {named} are lost" if lost else "no run is missing")


def _championships(events: Sequence[Event], domain: str) -> list[Event]:
    """Return the events that put a version into the champion's place."""
    facts = ((e, e.fact) for e in events if getattr(e.fact, "domain", "") == domain)
    return [
        event
        for event, fact in facts
        if (isinstance(fact, Published) and fact.stage == "champion") or (isinstance(fact, RolledBack) and fact.version)
    ]


def _runs(
    root: Path, events: Sequence[Event], domain: str, after: Event, more: Arrived
) -> tuple[list[LiveRun], dict[str, str], list[Observed]]:
    """Return the runs that came in after an event, the files that they are from as inputs of a decision, and what was
    declared lost meanwhile."""
    place = next(n for n, event in enumerate(events) if event.digest == after.digest)
    facts = [e.fact for e in events[place:] if isinstance(e.fact, Observed) and e.fact.domain == domain]
    facts.sort(key=lambda fact: fact.first)
    lost = [fact for fact in facts if not fact.runs]
    facts = [fact for fact in facts if fact.runs]
    arrived = [(fact, runs) for fact, runs in more if fact.domain == domain]
    runs = [run for fact in facts for run in read_runs(root, fact)] + [run for _, own in arrived for run in own]
    files = [*facts, *(fact for fact, _ in arrived)]
    return runs, {f"runs {fact.first}–{fact.last}": fact.runs for fact in files}, lost


def read_runs(root: Path, fact: Observed) -> list[LiveRun]:
    """Return the runs of a file that the ledger names: from the tree, or else from DVC's cache, where automation's
    branch has put it.

    Raises:
        DataError: it is in neither, or is another one.
    """
    name = LIVE / f"{fact.runs}.jsonl"
    path = root / name if (root / name).is_file() else _on_a_branch(root, name)
    if path is None:
        raise DataError(
            f"no runs {fact.first} to {fact.last} of {fact.domain} in {root / name}; `dvc pull` brings them"
        )
    found = digest_of(path.read_bytes())
    if found != fact.runs:
        raise DataError(f"{path} was changed: its SHA-256 is {found[:16]}; `dvc checkout {name}.dvc` restores it")
    return read_jsonl(path, LiveRun)


def _on_a_branch(root: Path, name: Path) -> Path | None:
    from parammem.checkout.dvc import cache_folder, cached
    from parammem.checkout.git import branches, file_at

    for ref in branches(root):
        pointer = plain_yaml(file_at(root, ref, f"{name.as_posix()}.dvc") or b"")
        outs = pointer.get("outs") if isinstance(pointer, dict) else None
        if isinstance(outs, list) and outs:
            path = cached(cache_folder(root), str(outs[0].get("md5", "")))
            return path if path.is_file() else None
    return None


def counts_of(runs: Sequence[LiveRun]) -> dict[LiveArm, tuple[int, int, int]]:
    """Return arm → runs, those with an outcome, those of these that passed: what an event `observe` says of a file."""
    found: dict[LiveArm, tuple[int, int, int]] = {}
    for run in runs:
        known = run.outcome is not None and (run.outcome.passed is not None or run.outcome.value is not None)
        passed = run.outcome is not None and run.outcome.passed is True
        before = found.get(run.arm, (0, 0, 0))
        found[run.arm] = (before[0] + 1, before[1] + known, before[2] + passed)
    return dict(sorted(found.items()))


def declare_lost(ledger: Ledger, domain: str, last: int, actor: str) -> Observed:
    """Write down that the domain's runs that the ledger waits for, up to a number, will never come.

    A trial that is under way is refused for it, and a watch begins anew after them.

    Raises:
        LedgerError: there is nothing to wait for up to that number.
    """
    known = [e.fact.last for e in ledger.read() if isinstance(e.fact, Observed) and e.fact.domain == domain]
    first = max(known, default=0) + 1
    if last < first:
        raise LedgerError(f"runs of {domain} up to {first - 1} are in the ledger; run {last} is not lost")
    fact = Observed(domain=domain, runs="", first=first, last=last, counts={})
    ledger.append(fact, actor)
    return fact


def record_live(ledger: Ledger, decision: Decision, actor: str) -> None:
    """Write down a live decision that settles something; who is promoted becomes champion. The same decision a second
    time changes nothing.

    Raises:
        LedgerError: the challenger is no version of the domain.
    """
    if decision.answer == "undecided":
        return
    ledger.save_decision(decision)
    ledger.append(decided(decision), actor)
    if decision.answer == "promote":
        version = find_version(ledger.read(), decision.domain, decision.challenger)
        make_champion(ledger, version, decision.digest, actor)


def waiting(events: Sequence[Event], domain: str) -> Decided | None:
    """Return the decision on fixed tasks that left the newest candidate undecided, if it had no trial yet against this
    champion; None: nobody waits for a trial."""
    last: Decided | None = None
    tried: set[str] = set()
    for event in events:
        fact = event.fact
        if getattr(fact, "domain", "") != domain:
            continue
        if isinstance(fact, RolledBack) or (isinstance(fact, Published) and fact.stage == "champion"):
            last, tried = None, set()
        elif isinstance(fact, TrialStarted):
            tried.add(fact.challenger)
        elif isinstance(fact, Decided) and not fact.live:
            last = fact if fact.answer == "undecided" else None if last and last.challenger == fact.challenger else last
    return last if last and last.challenger not in tried else None


def start_trial(ledger: Ledger, domain: str, params: GateParams, actor: str) -> TrialStarted | None:
    """Put the candidate that waits on trial, unless another one is; returns the trial that began.

    Its alpha is taken from the domain's error budget now, once and for all.
    """
    events = ledger.read()
    candidate, incumbent = waiting(events, domain), champion(events, domain)
    if candidate is None or trial(events, domain) is not None:
        return None
    version = next((one for one in versions(events, domain) if one.adapter == candidate.challenger), None)
    looks = looks_paid(events, domain)._replace(kept=ROLLBACKS)
    alpha = next_alpha(looks, params.alpha, reserve=False)
    if version is None or alpha <= 0 or candidate.champion != (incumbent.adapter if incumbent else ""):
        return None
    live = params.live
    rest = round(1 - live.holdout - live.challenger, 6)
    fact = TrialStarted(
        domain=domain,
        champion=candidate.champion,
        challenger=version.adapter,
        version=version.number,
        shares={"holdout": live.holdout, "champion": rest, "challenger": live.challenger},
        look=looks.regular + 1,
        alpha=alpha,
        decision=candidate.decision,
    )
    ledger.append(fact, actor)
    return fact
