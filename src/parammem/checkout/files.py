"""Read what the pipeline left in a repository. A file that is missing is None; one that is broken is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parammem.core.plain_yaml import plain_yaml
from parammem.errors import LineageError

WEIGHTS = "adapter_model.safetensors"


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
