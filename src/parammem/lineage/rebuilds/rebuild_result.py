"""What became of a rebuild, kept below `.cache/audit/` on the machine that did it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parammem.checkout.places import AUDIT
from parammem.core.jsonl import write_text

PLACE = AUDIT / "rebuilds"


def last_rebuild(repo: Path, digest: str) -> dict[str, Any] | None:
    """Return the record of the last rebuild of an adapter: time, machine, identical, verdict; None if there was none
    here."""
    path = repo / PLACE / f"{digest}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError:
        return None


def keep_rebuild(repo: Path, digest: str, record: dict[str, Any]) -> None:
    """Remember a rebuild of the adapter as it was recorded, with nothing changed on the way."""
    write_text(repo / PLACE / f"{digest}.json", json.dumps(record, indent=1, sort_keys=True) + "\n")
