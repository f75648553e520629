"""Files of runs in use (data/live) against the digests by which the ledger names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parammem.checkout.git import branches, file_at
from parammem.checkout.hashes import file_hash
from parammem.checkout.places import LIVE
from parammem.core.event import Event, Observed
from parammem.core.words import count
from parammem.errors import LedgerError


def check_observed(root: Path, events: Sequence[Event]) -> str:
    """Return in words that every file of runs that the ledger names is what its digest says; empty: it names none.

    Raises:
        LedgerError: a file was changed, or is gone and nothing says where to get it again; names all of them.
    """
    named = {e.fact.runs: e.fact for e in events if isinstance(e.fact, Observed) and e.fact.runs}
    if not named:
        return ""
    files = {digest: root / LIVE / f"{digest}.jsonl" for digest in named}
    here = {digest: path for digest, path in files.items() if path.is_file()}
    wrong = [f"{_place(d)} was changed; `dvc checkout {_place(d)}.dvc`" for d, path in here.items()
             if file_hash(path, "sha256") != d]  # fmt: skip
    gone = [d for d in named if d not in here and not _has_pointer(root, d)]
    wrong += [
        f"{_place(digest)}, runs {named[digest].first} to {named[digest].last} of {named[digest].domain}, is gone, and "
        "so is its .dvc file; restore it with git"
        for digest in gone
    ]
    if wrong:
        raise LedgerError("runs in use do not hold:\n" + "\n".join(f"  {what}" for what in wrong))
    away = len(named) - len(here)
    said = f"{LIVE}: {count(len(here), 'file')} of runs in use, each what the ledger names"
    return f"{said}; not checked: {count(away, 'file')} that `dvc pull` brings" if away else said


def _place(digest: str) -> str:
    return f"{LIVE.as_posix()}/{digest}.jsonl"


def _has_pointer(root: Path, digest: str) -> bool:
    pointer = f"{_place(digest)}.dvc"
    return (root / pointer).is_file() or any(file_at(root, ref, pointer) is not None for ref in branches(root))
