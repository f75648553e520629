"""The ledger to its end: the checked-out one, joined with those of the branches that this project's own commands commit
to (`improve.branch`, `recall/…`) and with the remotes' copies that were fetched.

The registry, the gate and the audit all ask here which ledgers count, and join them by join.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from parammem.checkout.git import ask, branches, file_at
from parammem.config import ImproveParams
from parammem.core.decision import Decision
from parammem.core.event import Event
from parammem.core.plain_yaml import plain_yaml
from parammem.core.words import count
from parammem.errors import LedgerError
from parammem.registry.join import join, missing
from parammem.registry.ledger import DECISIONS, PLACE, Fault, Ledger, walk

RECALLS = "recall/"


class BranchLedger(NamedTuple):
    """A ledger that counts: a branch's, or the working tree's."""

    ref: str
    """Full name of the branch; empty: the working tree's."""
    data: bytes

    @property
    def name(self) -> str:
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/remotes/") or "the working tree"


def automation(root: Path) -> str:
    """Return the branch that automation commits to, by params.yaml; its default where that does not say it."""
    try:
        raw: Any = plain_yaml((root / "params.yaml").read_bytes())
        found = raw["improve"]["branch"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    return found if isinstance(found, str) and found else ImproveParams().branch


def ledgers_of(root: Path, committed: bool = False) -> list[BranchLedger]:
    """Return the ledgers that count, automation's first and the working tree's last; of equal ones the first.

    Args:
        committed: HEAD's instead of the working tree's.
    """
    here = (root / PLACE).read_bytes() if not committed and (root / PLACE).is_file() else b""
    if committed:
        here = file_at(root, "HEAD", PLACE.as_posix()) or b""
    found = [BranchLedger(ref, file_at(root, ref, PLACE.as_posix()) or b"") for ref in _refs(root)]
    seen: set[bytes] = {b""}
    kept = []
    for one in [*found, BranchLedger("", here)]:
        if one.data not in seen or not one.ref:
            kept.append(one)
        seen.add(one.data)
    return kept


def _refs(root: Path) -> list[str]:
    names = branches(root)  # none without a repository, or without git: the file is all there is
    present, branch = ask(root, "branch", "--show-current"), automation(root)

    def place(ref: str) -> int | None:
        _, kind, name = ref.split("/", 2)
        short = name if kind == "heads" else name.partition("/")[2]
        if short == branch or short.startswith(RECALLS):
            return (0 if short == branch else 1) + (2 if kind == "remotes" else 0)
        return 4 if kind == "remotes" and present and short == present else None

    placed = [(place(ref), ref) for ref in names]
    return [ref for _, ref in sorted((p, ref) for p, ref in placed if p is not None)]


def known(root: Path, committed: bool = False) -> list[Event]:
    """Return the events of the ledger to its end.

    Args:
        committed: leave out what the working tree has beyond HEAD.

    Raises:
        LedgerError: one of the chains does not hold.
    """
    return join(*(sound(one, walk) for one in ledgers_of(root, committed)))


def sound(one: BranchLedger, reader: Callable[[bytes], tuple[list[Event], list[Fault], str]]) -> list[Event]:
    """Return a source's events. Raises LedgerError, naming the line and the branch, where its chain does not hold."""
    events, faults, _ = reader(one.data)
    if faults:
        line, what = faults[0]
        where = f" on the branch {one.name}" if one.ref else ""
        see = f"`git log -p {one.name} -- {PLACE}`" if one.ref else f"`git log -p`, or `git checkout -- {PLACE}`"
        raise LedgerError(f"{PLACE}:{line}{where}: {what}; see {see}")
    return events


def decision_in(root: Path, digest: str, ref: str = "") -> Decision:
    """Return a decision's record, from the working tree or, where it is not there, from a branch.

    Raises:
        LedgerError: it is missing, or is not what its name says.
    """
    if (root / DECISIONS / f"{digest}.json").is_file() or not ref:
        return Ledger(root).decision(digest)
    return decision_at(root, ref, digest)


def decision_of(root: Path, digest: str) -> Decision:
    """Return a decision's record, from the working tree or else from a branch whose ledger counts.

    Raises:
        LedgerError: it is missing, or is not what its name says.
    """
    name = f"{DECISIONS.as_posix()}/{digest}.json"
    found = (ref for ref in ("", *_refs(root)) if (file_at(root, ref, name) if ref else (root / name).is_file()))
    return decision_in(root, digest, next(found, ""))


def decision_at(root: Path, revision: str, digest: str) -> Decision:
    """Return a decision's record in a commit. Raises LedgerError if it is not there, or is not what its name says."""
    name = (DECISIONS / f"{digest}.json").as_posix()
    try:
        found = Decision.model_validate_json(file_at(root, revision, name) or b"")
    except ValidationError:
        found = None
    if found is None or found.digest != digest:
        said = "was changed or is missing"
        raise LedgerError(f"{name} on {revision.removeprefix('refs/')} {said}; see `git log --all -- {name}`")
    return found


def ledger_at(root: Path, revision: str) -> list[Event]:
    """Return the events of a commit's ledger; none if there is no such commit, or no ledger in it. Raises LedgerError
    if its chain does not hold."""
    return sound(BranchLedger(revision, file_at(root, revision, PLACE.as_posix()) or b""), walk)


def ahead(root: Path) -> tuple[str, list[Event]]:
    """Return the first branch whose ledger has events that the checked-out one lacks, and those events; empty: none
    has."""
    here = Ledger(root).read()
    for one in ledgers_of(root):
        lacking = missing(sound(one, walk), here) if one.ref else []
        if lacking:
            return one.name, lacking
    return "", []


def refuse_behind(root: Path) -> None:
    """Raise LedgerError if another ledger that counts has events that the checked-out one lacks.

    Who appends to the checked-out one then would make two ledgers, and would count too few of the gate's looks.
    """
    name, lacking = ahead(root)
    if lacking:
        raise LedgerError(
            f"the branch {name} has {count(len(lacking), 'event')} that your ledger lacks; `git merge {name}`, "
            "then run again"
        )


def warning_behind(root: Path) -> str:
    """Return what a command that goes on all the same says where another branch's ledger is ahead; empty where none
    is."""
    try:
        name, lacking = ahead(root)
    except LedgerError:  # said by whoever needs that ledger
        return ""
    if not lacking:
        return ""
    return (
        f"the ledger of the branch {name} has {count(len(lacking), 'event')} that yours lacks; both will be joined "
        f"when you `git merge {name}`"
    )
