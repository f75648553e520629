"""Read what the pipeline left in a repository. A file that is missing is None; one that is broken is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parammem.core.plain_yaml import plain_mapping
from parammem.errors import LineageError

WEIGHTS = "adapter_model.safetensors"


def read_mapping(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a YAML or JSON file; None if there is none. Raises LineageError if it cannot be read."""
    try:
        return plain_mapping(path)
    except ValueError as error:
        raise LineageError(f"{path} {error}; restore it with git or `dvc checkout`") from error


def read_row_hashes(folder: Path) -> list[str] | None:
    """Return rows.txt in its order, or None."""
    path = folder / "rows.txt"
    return path.read_text(encoding="utf-8").split() if path.is_file() else None
