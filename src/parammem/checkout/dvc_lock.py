"""What DVC has recorded of the outputs of this repository, and the same hashes of what lies there now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parammem.core.plain_yaml import plain_yaml
from parammem.errors import DataError

LOCK = "dvc.lock"


def read_stages(root: Path) -> dict[str, Any]:
    """Stage → what dvc.lock says of it; empty where there is no dvc.lock. Raises DataError: it cannot be read."""
    file = root / LOCK
    if not file.is_file():
        return {}
    try:
        found = plain_yaml(file.read_text(encoding="utf-8")) or {}
        stages = found.get("stages") or {}
        if not all(isinstance(stage, dict) for stage in stages.values()):
            raise ValueError("a stage is no mapping")
    except (ValueError, AttributeError) as error:
        raise DataError(f"{file} cannot be read: {error}; restore it with git") from error
    return stages


def recorded_out(root: Path, path: str) -> str:
    """DVC's hash of an output, from dvc.lock; empty where it has none. Raises DataError: dvc.lock cannot be read."""
    outs = [out for stage in read_stages(root).values() for out in stage.get("outs") or [] if isinstance(out, dict)]
    return next((str(out.get("md5", "")) for out in outs if out.get("path") == path), "")


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """(path inside, file) of the files that DVC counts, sorted. Those that .dvcignore leaves out are not known here."""
    files = ((file.relative_to(folder), file) for file in folder.rglob("*") if file.is_file())
    return sorted((name.as_posix(), file) for name, file in files if "__pycache__" not in name.parts)


def listing_of(folder: Path) -> dict[str, str]:
    """Path inside a folder → MD5, of the files that DVC counts."""
    return {name: md5_of(file) for name, file in files_below(folder)}


def folder_hash(listing: Mapping[str, str]) -> str:
    """The hash that DVC 3 records for a folder with these files: the MD5 of the JSON list of their paths and MD5s,
    sorted by path, with `.dir` behind it (dvc-data, `Tree.as_bytes`)."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(listing.items())]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def md5_of(file: Path) -> str:
    """The hash that DVC 3 records for a file."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
