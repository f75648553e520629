"""Re-hash every link from raw experience to adapter to decision, and name what was changed."""

from __future__ import annotations

from pathlib import Path

from parammem.lineage.checks.cards import lacking_cards
from parammem.lineage.checks.evidence import evidence_checks
from parammem.lineage.checks.findings import Tally, Verification
from parammem.lineage.checks.imported_folders import imported_checks
from parammem.lineage.checks.life import (
    Folders,
    current_checks,
    fsck,
    generation_checks,
    ledger_checks,
    raw_checks,
    tag_checks,
)
from parammem.lineage.checks.live_runs import live_checks
from parammem.lineage.checks.manifest import manifest_checks
from parammem.lineage.checks.tree import tree_checks
from parammem.lineage.past.events import Life, read_life
from parammem.lineage.past.history import Generation, History
from parammem.lineage.past.subject import Subject, find_subject
from parammem.lineage.past.uncommitted import uncommitted


def verify(repo: Path, adapter: str | None = None, full: bool = False, domain: str = "code") -> Verification:
    """Check every link again.

    Args:
        adapter: only what this adapter rests on (a version, a digest, champion, HEAD, a folder); None: everything.
        full: read every file again, also those that did not change since the last time, and let git check its objects.

    Raises:
        AdapterMissingError: there is no such adapter.
    """
    with History.open(repo, fresh=full) as history:
        life = read_life(history.repo)
        only = find_subject(history, life, adapter, domain) if adapter else None
        return verify_history(history, life, only, full)


def _folders(history: History) -> Folders:
    """Return a function from an adapter to the hashes of all its folders in the history, which are read when first
    asked for, which is seldom."""
    found: dict[str, set[str]] = {}

    def of(adapter: str) -> set[str]:
        if not found:
            for one in history.generations():
                found.setdefault(one.digest or "", set()).add(one.out)
        return found.get(adapter, set())

    return of


def verify_history(history: History, life: Life, only: Subject | None = None, full: bool = False) -> Verification:
    """Return `verify` with what is open already."""
    tally, seen, own = Tally(), set(), uncommitted(history)
    if only is None or only.generation is None or only.here:
        tally.add(tree_checks(history, own))
        tally.add(current_checks(history, own))
    if only is None:
        tally.add(imported_checks(history, life))
    if only is not None and only.generation is None:  # a control, or what no dvc.lock names
        tally.add(manifest_checks(Generation(only.domain, 0, only.place, "", None, only.snapshot, only.adapter)))
    tally.add(ledger_checks(history, life))
    tally.add(evidence_checks(history, life))
    tally.add(live_checks(history, life))
    tally.add(tag_checks(history.repo, life))
    tally.add(raw_checks(history, only.snapshot if only else None, seen))
    folders, lacking = _folders(history), []
    for one in history.generations():
        if only is not None and (one.place, one.out) != (only.place, only.out):
            continue
        tally.generations += 1
        tally.rows += one.adapter.rows if one.adapter else 0
        tally.add(generation_checks(one, life, seen, folders, own))
        lacking += [one] if one.adapter is None else []
    tally.add(lacking_cards(lacking, life))
    if full:
        tally.add([fsck(history.repo)])
    return Verification(
        checked=dict(sorted(tally.checked.items())),
        findings=tally.sorted(),
        generations=tally.generations,
        rows=tally.rows,
        files_read=history.hashes.read_files,
        bytes_read=history.hashes.read_bytes,
        full=full,
    )
