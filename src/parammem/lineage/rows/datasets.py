"""The rows of datasets past and present: by hash, by text, and by the experience batch they came in with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from parammem.checkout.places import QUARANTINE, REFLECTIONS, VALIDATED
from parammem.checkout.snapshot import Snapshot
from parammem.core import digest_of
from parammem.core.jsonl import byte_lines

QUARANTINED = f"{QUARANTINE.as_posix()}/"
FOLDERS = (f"{REFLECTIONS.as_posix()}/", f"{VALIDATED.as_posix()}/")


def row_hash(row: dict[str, Any]) -> str:
    """Return `ReflectionExample.row_hash` of a parsed line, without building the record: a million lines have to be
    quick."""
    return digest_of([row["domain"], row["task_text"], row["reflection"]])


def datasets_of(snapshot: Snapshot, domain: str | None = None) -> dict[str, str]:
    """Return path → hash of the files of reflection rows that this state has."""
    found = {path: md5 for path, (md5, _) in snapshot.outs.items() if path.startswith(FOLDERS)}
    if snapshot.commit is None:  # rows that are here without a pipeline that made them
        for folder in FOLDERS:
            for file in sorted((snapshot.store.repo / folder).glob("*.jsonl")):
                found[f"{folder}{file.name}"] = snapshot.store.hashes.file(file)
    return {path: md5 for path, md5 in sorted(found.items()) if domain in (None, path.rpartition("/")[2][:-6])}


def row_hashes(snapshot: Snapshot, path: str, md5: str) -> list[str] | None:
    """Return the row hashes of a dataset, in order; None if its bytes are not here or it is no dataset."""

    def read() -> str | None:
        hashes = [row_hash(row) for row in parsed_rows(snapshot, path)]
        return "\n".join(hashes) if hashes or snapshot.read(path) is not None else None

    try:
        text = snapshot.store.hashes.fact("rows", md5, read)
    except (ValueError, KeyError, TypeError):
        return None
    return None if text is None else text.split()


def parsed_rows(snapshot: Snapshot, path: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a JSONL file, parsed; none if it is not here. Raises ValueError on a broken line."""
    for line in byte_lines(snapshot.read(path) or b""):
        yield json.loads(line)


def matching(snapshot: Snapshot, path: str, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Return the rows of a dataset that are wanted; quarantined lines are opened to the row in them."""
    found = []
    try:
        for line in parsed_rows(snapshot, path):
            row = line.get("row", line)
            if isinstance(row, dict) and "task_text" in row and wanted(row):
                found.append(row)
    except (ValueError, AttributeError):  # `audit verify` names broken files; a search goes on
        return found
    return found


def holds_text(row: dict[str, Any], text: str) -> bool:
    """Return whether this text (folded by `flat`) is the row's task id, or is in its question or advice."""
    return text == str(row["task_id"]).casefold() or text in flat(row["task_text"]) or text in flat(row["reflection"])


def flat(text: str) -> str:
    return " ".join(str(text).casefold().split())
