"""Read dvc.lock: which command, inputs, outputs and params each stage last ran with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parammem.core.plain_yaml import plain_yaml
from parammem.errors import LineageError

LOCK = "dvc.lock"
Lock = dict[str, dict[str, Any]]
"""Stage → {"cmd", "deps": {path: hash}, "outs": {path: hash}, "params": {key: value}}."""


def read_lock(tree: Path) -> Lock:
    """Return the stages in a tree's dvc.lock; none if it has no such file. Raises LineageError."""
    path = tree / LOCK
    return parse_lock(path.read_bytes(), str(path)) if path.is_file() else {}


def parse_lock(data: bytes | str, where: str = LOCK) -> Lock:
    """Return the stages in the bytes of a dvc.lock. Raises LineageError if they cannot be read."""
    try:
        stages = (plain_yaml(data) or {}).get("stages", {})
        return {name: _stage(stage) for name, stage in stages.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise LineageError(f"{where} cannot be read: {error}; restore it with git") from error


def _stage(stage: dict[str, Any]) -> dict[str, Any]:
    params = {key: value for file in (stage.get("params") or {}).values() for key, value in file.items()}
    return {
        "cmd": stage.get("cmd", ""),
        "deps": {entry["path"]: str(entry.get("md5", "")) for entry in stage.get("deps", [])},
        "outs": {entry["path"]: str(entry.get("md5", "")) for entry in stage.get("outs", [])},
        "params": params,
    }


def lock_digests(lock: Lock, domain: str) -> dict[str, str]:
    """Return path → hash of all deps and outs of a domain's stages, and of the stages that have no domain."""
    found: dict[str, str] = {}
    for name, stage in sorted(lock.items()):
        if "@" not in name or name.endswith(f"@{domain}"):
            found |= {path: md5 for path, md5 in {**stage["deps"], **stage["outs"]}.items() if md5}
    return found
