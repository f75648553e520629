"""Runs of agents in use (data/live) against the events that brought them in and the decisions that name them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from parammem.checkout.git import branches, file_at
from parammem.checkout.places import DECISIONS, LIVE
from parammem.core.decision import Decision
from parammem.core.event import Decided, Observed
from parammem.core.jsonl import read_jsonl
from parammem.core.live_run import LiveRun
from parammem.core.record import digest_of
from parammem.errors import DataError
from parammem.lineage.checks.findings import Finding
from parammem.lineage.past.events import Life, read_decision
from parammem.lineage.past.history import History

NAMED = re.compile(r"runs (\d+)–(\d+)")
"""Input of a live decision that names a file of runs."""


def live_checks(history: History, life: Life) -> Iterator[Finding]:
    """Yield each file of runs that the ledger names, each that it does not, and each live decision's list of files.

    That a file has the SHA-256 of its name is checked with the tree (tree.py).
    """
    facts = [event.fact for event in life.events if isinstance(event.fact, Observed)]
    for fact in facts:
        yield _file(history, fact) if fact.runs else _finding(LIVE.as_posix(), None, _lost(fact))
    yield from _numbers(facts)
    named = {fact.runs for fact in facts}
    for file in sorted((history.repo / LIVE).glob("*.jsonl")):
        if file.stem not in named:
            yield _finding(f"{LIVE.as_posix()}/{file.name}", None, "no event of the ledger names it")
    entered = {(fact.domain, fact.first, fact.last): fact.runs for fact in facts}
    for event in life.events:
        if isinstance(event.fact, Decided) and event.fact.live:
            found = read_decision(history.repo, event.fact.decision)
            if found:  # else the ledger's check says that it is missing
                yield _decision(found, entered)


def runs_inputs(decision: Decision) -> dict[str, str]:
    """Return "runs FIRST–LAST" → SHA-256 of the files that a live decision was made on."""
    return {name: digest for name, digest in decision.inputs.items() if NAMED.fullmatch(name)}


def runs_bytes(history: History, digest: str) -> bytes | None:
    """Return a file of runs, from the tree or else from DVC's cache; None: it is not here, or is not what its name
    says."""
    path = history.repo / LIVE / f"{digest}.jsonl"
    data = path.read_bytes() if path.is_file() else _cached(history, path.with_name(f"{path.name}.dvc"))
    return data if data is not None and digest_of(data) == digest else None


def _cached(history: History, pointer: Path) -> bytes | None:
    """Return what DVC's cache has of a file, by its pointer in the tree or on a branch."""
    name = pointer.relative_to(history.repo).as_posix()
    there = (file_at(history.repo, ref, name) for ref in branches(history.repo))
    told = pointer.read_bytes() if pointer.is_file() else next(filter(None, there), b"")
    found = re.search(rb"md5: ([0-9a-f]{32})\b", told or b"")
    return history.store.bytes_of(found[1].decode()) if found else None


def _file(history: History, fact: Observed) -> Finding:
    """Check that a file is here, and holds as many runs and outcomes of each arm as the event says."""
    path = f"{LIVE.as_posix()}/{fact.runs}.jsonl"
    there = history.repo / path
    if not there.is_file():
        pointer = f"{path}.dvc"
        if (history.repo / pointer).is_file():
            return _finding(path, None, "not here; `dvc pull`")
        if any(file_at(history.repo, name, pointer) is not None for name in branches(history.repo)):
            return _finding(path, None, "not here: kept by automation only")
        return _finding(
            path, False, f"runs {fact.first} to {fact.last} are gone, and so is {pointer}; restore it with git"
        )
    try:
        runs = read_jsonl(there, LiveRun)
    except DataError as error:
        return _finding(path, False, f"it cannot be read ({error}); `dvc checkout {path}.dvc` restores it")
    said = _said(runs)
    if said != (fact.domain, fact.first, fact.last, {arm: tuple(counts) for arm, counts in fact.counts.items()}):
        return _finding(path, False, "its runs are not those that the ledger counted; `dvc checkout` restores it")
    return _finding(path, True, "its runs are those that the ledger counted")


def _lost(fact: Observed) -> str:
    return f"runs {fact.first} to {fact.last} of {fact.domain} never came; a person declared them lost"


def _said(runs: list[LiveRun]) -> tuple[str, int, int, dict[str, tuple[int, ...]]]:
    """Count a file again, by code of our own: an audit that used the gate's would inherit its mistakes."""
    every, known, passed = Counter(), Counter(), Counter()
    for run in runs:
        ended = run.outcome
        every[run.arm] += 1
        known[run.arm] += ended is not None and (ended.passed is not None or ended.value is not None)
        passed[run.arm] += ended is not None and ended.passed is True
    counts = {str(arm): (every[arm], known[arm], passed[arm]) for arm in every}
    domains, numbers = {run.domain for run in runs}, [run.number for run in runs]
    whole = bool(numbers) and len(domains) == 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return (runs[0].domain, numbers[0], numbers[-1], counts) if whole else ("", 0, 0, {})


def _numbers(facts: list[Observed]) -> Iterator[Finding]:
    """Check that each domain's runs follow each other without a gap: a file that was left out would leave one."""
    last: dict[str, int] = {}
    for fact in sorted(facts, key=lambda one: (one.domain, one.first)):
        expected = last.get(fact.domain, 0) + 1
        holds = fact.first == expected
        detail = f"runs of {fact.domain} begin at {fact.first}, and {expected} is the next one"
        yield _finding(f"{LIVE.as_posix()}/{fact.runs}.jsonl", holds, detail)
        last[fact.domain] = fact.last


def _decision(decision: Decision, entered: dict[tuple[str, int, int], str]) -> Finding:
    path = f"{DECISIONS.as_posix()}/{decision.digest}.json"
    for name, digest in runs_inputs(decision).items():
        match = NAMED.fullmatch(name)
        assert match
        if entered.get((decision.domain, int(match[1]), int(match[2]))) != digest:
            return _finding(path, False, f"it was made on other {name} than the ledger names")
    return _finding(path, True, "the runs that it was made on are those that the ledger names")


def _finding(path: str, holds: bool | None, detail: str) -> Finding:
    return Finding(kind="evidence", stage="decide", path=path, holds=holds, detail=detail)
