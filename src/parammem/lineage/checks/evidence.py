"""The outcomes that the gate was given (ledger/evidence) against the decisions that name them by digest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parammem.checkout import places
from parammem.checkout.git import HISTORY, ask, branches
from parammem.core import digest_of
from parammem.core.decision import Decision
from parammem.core.event import Decided
from parammem.lineage.checks.findings import Finding
from parammem.lineage.past.events import Life, read_decision
from parammem.lineage.past.history import History

EVIDENCE = places.EVIDENCE.as_posix()
SHARED = ("domain", "champion", "challenger", "guards")
"""What evidence and decision both say."""
BY_THE_GATE = {"outcomes", "outdone by"}
"""Inputs of a decision that the gate adds to those of the evidence."""


def evidence_place(decision: Decision) -> str | None:
    """Return the file with a decision's evidence; None for a decision that names no outcomes, or that runs in use
    decided (live_runs.py)."""
    outcomes = decision.inputs.get("outcomes") if decision.live is None else None
    return f"{EVIDENCE}/{outcomes}.json" if outcomes else None


def evidence_bytes(history: History, place: str) -> bytes | None:
    """Return a file of evidence, from the tree or else from a branch, whatever it holds."""
    if (history.repo / place).is_file():
        return (history.repo / place).read_bytes()
    found = (history.blobs.read(f"{name}:{place}") for name in branches(history.repo))
    return next((data for data in found if data is not None), None)


def evidence_checks(history: History, life: Life) -> Iterator[Finding]:
    """Yield each decision's evidence, and each file of evidence that no decision names."""
    decisions: dict[str, list[str]] = {}
    for event in life.events:
        found = read_decision(history.repo, event.fact.decision) if isinstance(event.fact, Decided) else None
        if found and (place := evidence_place(found)):
            decisions.setdefault(place, []).append(found.digest)
    lost = _deleted(history.repo)
    for place, digests in decisions.items():
        yield _evidence(history, place, digests, place in lost)
    for file in sorted((history.repo / EVIDENCE).glob("*.json")):
        place = file.relative_to(history.repo).as_posix()
        if place not in decisions:
            yield _finding(place, None, "no decision of the ledger names it")


def _evidence(history: History, place: str, digests: list[str], lost: bool) -> Finding:
    """Check a file of outcomes against the decisions on it. Equal outcomes share a file, which the last comparison
    wrote: what else it says must fit one of the decisions."""
    said = _said(history, place)
    if said is None:
        detail = f"it was deleted; `git log --all -- {place}` has it" if lost else "not here: kept by automation only"
        return _finding(place, False if lost else None, detail)
    if said.get("outcomes") != Path(place).stem:
        named = ", ".join(digest[:16] for digest in digests)
        detail = f"its outcomes have the digest {str(said.get('outcomes'))[:16]}, decision {named} was made on others"
        return _finding(place, False, f"{detail}; restore it with git")
    records = (read_decision(history.repo, digest) for digest in digests)
    differ = [_differs(said, found) for found in records if found]
    if all(differ):
        return _finding(place, False, f"it says another {differ[-1]} than decision {digests[-1][:16]}; see `git log`")
    return _finding(place, True, "its outcomes are those that the decision names")


def _differs(said: dict[str, Any], decision: Decision) -> str:
    """Return the first field in which they differ; empty: in none. Decisions from before an input was recorded lack
    it."""
    plain = decision.model_dump(mode="json")
    for name in SHARED:
        if said.get(name) != digest_of(plain[name]):
            return name
    given, named = said.get("inputs"), plain["inputs"]
    if not isinstance(given, dict) or named.keys() - given.keys() - BY_THE_GATE:
        return "set of inputs"
    return next((name for name, digest in given.items() if named.get(name, digest) != digest), "")


def _said(history: History, place: str) -> dict[str, Any] | None:
    """Return digests of what a file of evidence says; remembered for as long as it is unchanged. None: it is not
    here."""
    there = history.repo / place

    def read() -> dict[str, Any]:
        try:
            plain = json.loads(evidence_bytes(history, place) or b"")
            digests = {name: digest_of(plain[name]) for name in SHARED}
            strange = sorted({*plain} - {*SHARED, "slices", "inputs"})
            return {} if strange else {**digests, "outcomes": digest_of(plain["slices"]), "inputs": plain["inputs"]}
        except (ValueError, KeyError, TypeError):
            return {}

    if there.is_file():
        return history.hashes.fact("evidence", history.hashes.file(there, "sha256"), read)
    return read() if evidence_bytes(history, place) is not None else None


def _deleted(repo: Path) -> set[str]:
    """Return files of evidence that a commit took away."""
    text = ask(repo, "log", *HISTORY, "--format=", "--name-only", "--no-renames", "--diff-filter=D", "--", EVIDENCE)
    return set((text or "").split("\n"))


def _finding(place: str, holds: bool | None, detail: str) -> Finding:
    return Finding(kind="evidence", stage="decide", path=place, holds=holds, detail=detail)
