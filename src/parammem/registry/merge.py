"""How git merges a ledger: a merge driver, which a clone has to be told of, and the same by hand for one that was not.

Both sides have appended, so git sees a conflict at the end of the file; what the ledger is after a merge follows from
join.py alone.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from parammem.checkout.git import file_at, git
from parammem.core.event import Event
from parammem.core.jsonl import write_text
from parammem.errors import DataError, LedgerError
from parammem.registry.growth import taken_away
from parammem.registry.join import merged
from parammem.registry.ledger import PLACE, walk

DRIVER = "parammem-ledger"
"""Its name in .gitattributes."""


def merge_bytes(ours: bytes, theirs: bytes) -> bytes:
    """Return two ledgers as one. The same whichever is called ours.

    Raises:
        LedgerError: one of them is no unbroken chain.
    """
    chain = merged(_sound(ours, "ours"), _sound(theirs, "theirs"))
    return as_file(chain)


def as_file(events: Sequence[Event]) -> bytes:
    """Return the bytes of a ledger with these events."""
    return b"".join(event.line().encode() + b"\n" for event in events)


def drive(base: Path, ours: Path, theirs: Path) -> None:
    """Merge the files %O, %A and %B of git into `ours`.

    Raises:
        LedgerError: one of them is no unbroken chain, or both lack what their common ancestor had; git then reports a
            conflict.
    """
    result = merge_bytes(ours.read_bytes(), theirs.read_bytes())
    lost = taken_away(base.read_bytes(), result, True)
    if lost:
        said = f"both sides have lost event {lost[0].number} of their common ledger"
        raise LedgerError(f"{said}; see `git log -p -- {PLACE}`")
    write_text(ours, result.decode())


def install(root: Path) -> bool:
    """Tell this clone of the driver that .gitattributes names. Returns False outside a git repository."""
    command = f"{shlex.quote(sys.executable)} -m parammem.cli registry merge-driver %O %A %B"
    try:
        git(root, "config", f"merge.{DRIVER}.name", "join two ledgers into one chain")
        git(root, "config", f"merge.{DRIVER}.driver", command)
    except DataError:
        return False
    return True


def settle(root: Path) -> int:
    """Resolve the ledger of a merge that has stopped in it, as the driver would have done. Returns its events.

    Raises:
        LedgerError: no merge has stopped there, or a side is no unbroken chain.
    """
    place = PLACE.as_posix()
    ours, theirs = (file_at(root, f":{stage}", f"./{place}") for stage in (2, 3))
    if ours is None or theirs is None:
        raise LedgerError(f"no merge has stopped in {place}; `git status` says what there is to do")
    result = merge_bytes(ours, theirs)
    write_text(root / PLACE, result.decode())
    git(root, "add", "--", place)
    return len(walk(result)[0])


def _sound(data: bytes, side: str) -> list[Event]:
    events, faults, _ = walk(data)
    if faults:
        raise LedgerError(f"line {faults[0].line} of {side}: {faults[0].what}; see `git log -p -- {PLACE}`")
    return events
