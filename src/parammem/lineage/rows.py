"""Which adapters saw a row: by its hash, or by words of its text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from parammem.core import ReflectionExample, read_jsonl
from parammem.errors import LineageError
from parammem.lineage.files import read_adapter, read_row_hashes
from parammem.lineage.records import Sighting

HASH = re.compile(r"[0-9a-f]{8,64}")


def find_row(repo: Path, hash_or_text: str) -> list[Sighting]:
    """Adapters below `models/` that were trained on a row, with its lines in their rows.txt.

    Args:
        hash_or_text: a row hash or its first 8 or more digits; or text, which is looked for (case and spacing aside)
            in the id, question and reflection of the rows below `data/`.

    Returns:
        Sorted by folder; empty if the row is known and no adapter saw it.

    Raises:
        LineageError: no row with such a text is in the repository's data.
    """
    query = hash_or_text.strip()
    if HASH.fullmatch(query):
        return _sightings(repo, lambda row: row.startswith(query))
    wanted = _matching(repo, query)
    return _sightings(repo, wanted.__contains__)


def _matching(repo: Path, query: str) -> set[str]:
    text = _flat(query)
    files = sorted(path for place in ("validated", "reflections") for path in (repo / "data" / place).glob("*.jsonl"))
    found: set[str] = set()
    for path in files:
        rows = [row for row in read_jsonl(path, ReflectionExample) if _holds(row, text)]
        found |= {row.row_hash for row in rows}
    if not text or not found:
        raise LineageError(
            f"no row holds {query!r} in {len(files)} file(s) below data/; `dvc pull` if they are not here, "
            "or give a row hash"
        )
    return found


def _holds(row: ReflectionExample, text: str) -> bool:
    return text == row.task_id.casefold() or text in _flat(row.task_text) or text in _flat(row.reflection)


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())


def _sightings(repo: Path, wanted: Callable[[str], bool]) -> list[Sighting]:
    found = []
    for card in sorted((repo / "models").rglob("adapter.json")):
        adapter = read_adapter(card.parent)
        places: dict[str, list[int]] = {}
        for number, row in enumerate(read_row_hashes(card.parent) or [], 1):
            if wanted(row):
                places.setdefault(row, []).append(number)
        folder = card.parent.relative_to(repo).as_posix()
        found += [
            Sighting(folder=folder, domain=adapter.domain, digest=adapter.digest, row_hash=row, places=tuple(lines))
            for row, lines in sorted(places.items())
        ]
    return found
