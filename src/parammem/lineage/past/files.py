"""Read what the pipeline left in a repository. A file that is missing is None; one that is broken is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parammem.checkout.dvc_lock import folder_hash, listing_of
from parammem.core import Adapter
from parammem.core.plain_yaml import plain_yaml
from parammem.errors import AdapterError, AdapterMissingError, LineageError

WEIGHTS = "adapter_model.safetensors"


def read_adapter(folder: Path) -> Adapter:
    """The adapter's card.

    Raises:
        AdapterMissingError: there is no adapter.json.
        AdapterError: it is no adapter card.
    """
    path = folder / "adapter.json"
    if not path.is_file():
        raise AdapterMissingError(
            f"no adapter in {str(folder)!r}: adapter.json was expected; `dvc pull` or `dvc repro`"
        )
    try:
        return Adapter.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise AdapterError(
            f"{path} is no adapter card ({type(error).__name__}); `dvc checkout` or train again"
        ) from error


def read_mapping(path: Path) -> dict[str, Any] | None:
    """A YAML or JSON file's mapping; None if there is no such file. Raises LineageError if it cannot be read."""
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text) if path.suffix == ".json" else plain_yaml(text)
    except (ValueError, RecursionError) as error:
        raise LineageError(f"{path} cannot be read: {error}; restore it with git or `dvc checkout`") from error
    if not isinstance(value, dict):
        raise LineageError(f"{path} holds no mapping; restore it with git or `dvc checkout`")
    return value


def read_row_hashes(folder: Path) -> list[str] | None:
    """rows.txt in its order, or None."""
    path = folder / "rows.txt"
    return path.read_text(encoding="utf-8").split() if path.is_file() else None


def file_hash(path: Path, kind: str) -> str:
    """Hex digest of a file, read in blocks. The kind `git` is a blob's name: SHA-1 with its length before it."""
    with path.open("rb") as data:
        if kind == "git":
            named = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
            for block in iter(lambda: data.read(1 << 20), b""):
                named.update(block)
            return named.hexdigest()
        return hashlib.file_digest(data, kind).hexdigest()


def dvc_hash(path: Path) -> str | None:
    """The hash that DVC 3 records for a file or folder; None if there is nothing."""
    if path.is_file():
        return file_hash(path, "md5")
    return folder_hash(listing_of(path)) if path.is_dir() else None
