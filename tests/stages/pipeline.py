"""What dvc.yaml says of a stage, and what its code says: files and params watched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
STAGES = ("tasks", "collect", "validate", "train", "evaluate", "report")


def declared(stage: str, domain: str) -> dict[str, list[str]]:
    """deps, params and outs (with metrics and plots) of one stage of dvc.yaml, the domain filled in."""
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    found = found.get("do", found)
    entries = {kind: [_name(e) for e in found.get(kind, [])] for kind in ("deps", "params", "outs", "metrics", "plots")}
    filled = {kind: [name.replace("${item.domain}", domain) for name in names] for kind, names in entries.items()}
    return {
        "deps": filled["deps"],
        "params": filled["params"],
        "outs": filled["outs"] + filled["metrics"] + filled["plots"],
    }


def _name(entry: Any) -> str:
    return next(iter(entry)) if isinstance(entry, dict) else entry


def covered(path: str, by: list[str]) -> bool:
    """Whether a file is one of these paths or lies below one."""
    return any(path == one or path.startswith(f"{one}/") for one in by)


class Watched:
    """A section of params that notes in `read` which of its keys were asked for."""

    def __init__(self, section: Any, name: str, read: set[str]) -> None:
        self._section, self._name, self._read = section, name, read

    def __getattr__(self, key: str) -> Any:
        fields = type(self._section).model_fields
        if key in ("model_dump", "model_copy", "model_dump_json"):
            self._read.update(f"{self._name}.{field}" for field in fields)
        elif key in fields:
            self._read.add(f"{self._name}.{key}")
        return getattr(self._section, key)


class WatchedParams:
    """Params whose sections are Watched. `read` holds names like train.seed."""

    def __init__(self, params: Any) -> None:
        self.read: set[str] = set()
        self._params = params

    def __getattr__(self, key: str) -> Any:
        if key in ("kind", "kinds"):  # what `domains` says of kinds is in the digests of the stage `code`
            return getattr(self._params, key)
        field = type(self._params).model_fields[key]
        value = getattr(self._params, key)
        name = field.alias or key
        if not hasattr(value, "model_fields_set"):
            self.read.add(name)
            return value
        return Watched(value, name, self.read)


class _Files:
    """What is open()ed below a folder while a stage runs. Audit hooks stay for good: there is one."""

    def __init__(self) -> None:
        self.root: Path | None = None
        self.opened: dict[str, str] = {}
        self.installed = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self.root is not None and isinstance(arguments[0], str | bytes):
            self.note(Path(arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]), arguments[2])
        elif event == "os.rename" and self.root is not None:
            self.note(Path(arguments[1]), 1)

    def note(self, path: Path, flags: int) -> None:
        assert self.root is not None
        whole = self.root / path
        if whole.is_relative_to(self.root) and not whole.is_dir():
            kind = "written" if flags & 3 else "read"
            if kind == "read" and not whole.exists():
                return  # the last name of a folder that rmtree opens from within the folder above it
            self.opened.setdefault(whole.relative_to(self.root).as_posix(), kind)


_FILES = _Files()


@contextmanager
def files_opened(root: Path) -> Iterator[dict[str, str]]:
    """Path relative to root → whether it was first read or first written, filled while the block runs."""
    if not _FILES.installed:
        sys.addaudithook(_FILES.hook)
        _FILES.installed = True
    _FILES.root, _FILES.opened = root, {}
    try:
        yield _FILES.opened
    finally:
        _FILES.root = None
