"""Imported adapters against their .dvc files, their cards and the event that took them in."""

from __future__ import annotations

from collections.abc import Iterator

from parammem.checkout.places import IMPORTED
from parammem.core.adapter import read_card
from parammem.core.event import Imported
from parammem.core.plain_yaml import plain_mapping
from parammem.errors import AdapterError
from parammem.lineage.checks.findings import Finding
from parammem.lineage.checks.manifest import manifest_checks
from parammem.lineage.past.events import Life
from parammem.lineage.past.history import Generation, History


def imported_checks(history: History, life: Life) -> Iterator[Finding]:
    """Check the bytes, the card and the event of each imported adapter that the working tree names."""
    for pointer in sorted((history.repo / IMPORTED).glob("*/*.dvc")):
        place = pointer.with_suffix("")
        path = place.relative_to(history.repo).as_posix()
        if not place.is_dir():
            yield _finding(path, None, "it is not here; `dvc pull` fetches it")
            continue
        try:
            recorded = str((plain_mapping(pointer) or {})["outs"][0]["md5"])
            card = read_card(place)
        except (ValueError, LookupError, TypeError, AdapterError) as error:
            yield _finding(path, False, f"its .dvc file or its card cannot be read ({type(error).__name__})")
            continue
        found = history.hashes.folder(place)
        yield _finding(path, found == recorded, f"its hash is {found[:12]}, its .dvc file says {recorded[:12]}")
        said = [e.fact for e in life.of(card.digest) if isinstance(e.fact, Imported)]
        same = any((f.settings, f.base_digest) == (card.settings_digest, card.base_digest) for f in said)
        detail = "the event of its import tells of the same settings and base"
        yield _finding(path, same, detail if same else f"not so, or there is no such event: {detail}")
        yield from manifest_checks(Generation(card.domain, 0, path, "", None, history.here(), card))


def _finding(path: str, holds: bool | None, detail: str) -> Finding:
    return Finding(kind="adapter", stage="import", path=path, holds=holds, detail=detail)
