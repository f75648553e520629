"""Which sources made what a state holds: the digests that the stage `code` records, read again and compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from parammem.checkout.places import CODE
from parammem.checkout.snapshot import Snapshot
from parammem.checkout.source_digests import PACKAGE, Sources, changed_sources, sources_of
from parammem.errors import DataError

DIGESTS = CODE.as_posix()
"""The out of the stage `code`: per stage one file, source → digest."""
SOURCES = f"src/{PACKAGE}"
"""Its dep."""


def digests_of(state: Snapshot, domain: str) -> dict[str, str] | None:
    """Return source → digest of all that a domain's stages, and those that have no domain, could reach in a state.

    None where its dvc.lock is from before there were such digests, or where a file of them is not here.
    """
    found: dict[str, str] = {}
    for name, stage in state.lock.items():
        for path, md5 in stage["deps"].items():
            if path.startswith(f"{DIGESTS}/") and name.partition("@")[2] in ("", domain):
                data = state.read(path)
                if data is None or hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
                    return None
                found |= json.loads(data)
    return dict(sorted(found.items())) or None


def changed_here(repo: Path) -> list[str]:
    """Return sources whose digest in the working tree is another than the recorded one. None of a docstring's doing is
    named.

    Raises:
        DataError: a source is no Python, or a recorded stage is there no more.
    """
    sources, found = Sources(sources_of(repo)), set()
    for file in sorted((repo / DIGESTS).glob("*.json")):
        try:
            recorded = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{file} cannot be read: {error}; `dvc repro code` writes it anew") from error
        now = sources.reachable(f"{PACKAGE}.stages.{file.stem}")
        recorded = {path: digest for path, digest in recorded.items() if path.startswith("src/")}
        found.update(changed_sources(recorded, {f"src/{path}": digest for path, digest in now.items()}))
    return sorted(found)
