"""Find what a `dvc repro` in the working tree wrote and is not committed yet, apart from records that were altered.

A difference between the working tree's dvc.lock and HEAD's is explained when the tree bears it out: the stage's outs
are here, and their hashes are what dvc.lock says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parammem.checkout.dvc_lock import LOCK, Lock, parse_lock
from parammem.checkout.git import ask, file_at
from parammem.checkout.hashes import Hashes
from parammem.checkout.snapshot import Snapshot
from parammem.core.plain_yaml import plain_yaml
from parammem.errors import LineageError
from parammem.lineage.past.history import History


@dataclass(frozen=True)
class Uncommitted:
    """The difference between the working tree's dvc.lock and HEAD's."""

    anew: tuple[str, ...] = ()
    """Stages that ran after the commit, as the working tree bears out."""
    behind: tuple[str, ...] = ()
    """Stages that did not run since a stage before them ran anew: what they read is what HEAD has."""
    unexplained: str = ""
    """The first difference that the working tree does not bear out; empty: there is none."""
    outs: dict[str, str] = field(default_factory=dict)
    """Outs of the stages that ran anew → stage."""

    def maker(self, path: str) -> str:
        """Return the stage that made this file anew; empty: none did."""
        return next((stage for out, stage in self.outs.items() if path == out or path.startswith(f"{out}/")), "")


def uncommitted(history: History) -> Uncommitted:
    """Compare the working tree's dvc.lock with HEAD's. Without one in HEAD there is no difference."""
    data = file_at(history.repo, "HEAD", LOCK)
    try:
        old, here = parse_lock(data or b""), history.here()
    except LineageError:
        return Uncommitted()
    if data is None or old == here.lock:
        return Uncommitted()
    tree = _Tree(history.repo, history.hashes, here)
    changed = [name for name in here.lock if here.lock[name] != old.get(name)]
    strange = [what for name in changed if (what := tree.unexplained(name, old.get(name)))]
    strange += [f"the stage {name} is gone" for name in old if name not in here.lock]
    anew = tuple(name for name in changed if not tree.unexplained(name, old.get(name)))
    outs = {path: name for name in anew for path in here.lock[name]["outs"]}
    behind = (name for name in here.lock if name not in changed and _reads_older(here, old, name, anew))
    return Uncommitted(anew, tuple(behind), next(iter(strange), ""), outs)


def _reads_older(here: Snapshot, old: Lock, name: str, anew: tuple[str, ...]) -> bool:
    """Return whether a stage read another version of what a stage made anew."""
    for path, md5 in old[name]["deps"].items():
        made = here.hash(path)
        if made is not None and made != md5 and here.maker(path) in anew:
            return True
    return False


class _Tree:
    """The files of the working tree, asked whether they bear out what dvc.lock says of a stage."""

    def __init__(self, repo: Path, hashes: Hashes, here: Snapshot) -> None:
        self._repo, self._hashes, self._here = repo, hashes, here

    def unexplained(self, name: str, old: dict[str, Any] | None) -> str:
        """Return the first part of a stage that the tree does not bear out; empty: it bears out all of it.

        Where other outs are here than HEAD names, the stage did run, and its inputs may have changed since. Where
        the outs are the same, each input has to be the one that is here, unless somebody is editing it.
        """
        stage, before = self._here.lock[name], old or {"cmd": "", "deps": {}, "outs": {}, "params": {}}
        for path, md5 in stage["outs"].items():
            if self._hashes.any(self._repo / path) != md5:
                return f"outs of {name}, {path}"
        if stage["outs"] != before["outs"]:
            return ""
        for path in sorted({*stage["deps"], *before["deps"]}):
            md5 = stage["deps"].get(path)
            if md5 != before["deps"].get(path) and not self._is_read(path, md5):
                return f"deps of {name}, {path}"
        for key in sorted({*stage["params"], *before["params"]}):
            value = stage["params"].get(key)
            if value != before["params"].get(key) and not self._is_set(key, value):
                return f"params of {name}, {key}"
        return "" if stage["cmd"] == before["cmd"] or self._is_run(stage["cmd"]) else f"cmd of {name}"

    def _is_read(self, path: str, md5: str | None) -> bool:
        if md5 is None:
            return not self._same("dvc.yaml")
        made = self._here.hash(path)
        return md5 == (made or self._hashes.any(self._repo / path)) or (made is None and self._edited(path))

    def _is_set(self, key: str, value: Any) -> bool:
        if not self._same("params.yaml"):
            return True
        found: Any = self._yaml("params.yaml")
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found == value

    def _is_run(self, command: str) -> bool:
        stages: Any = (self._yaml("dvc.yaml") or {}).get("stages") or {}
        known = [str(stage.get("do", stage).get("cmd", "")) for stage in stages.values()]
        patterns = [".*".join(map(re.escape, re.split(r"\$\{[^}]*\}", cmd))) for cmd in known]
        return any(re.fullmatch(pattern, command) for pattern in patterns)

    def _edited(self, path: str) -> bool:
        """Return whether git has files of this path, and they are not those of HEAD."""
        return bool(ask(self._repo, "ls-tree", "-r", "HEAD", "--", path)) and not self._same(path)

    def _same(self, path: str) -> bool:
        return as_committed(self._hashes, self._repo, path)

    def _yaml(self, name: str) -> Any:
        try:
            return plain_yaml((self._repo / name).read_bytes())
        except (OSError, ValueError):
            return None


def as_committed(hashes: Hashes, repo: Path, path: str) -> bool:
    """Return whether all files that git has at this path are as in HEAD. False where it has none."""
    listing = ask(repo, "ls-tree", "-r", "-z", "HEAD", "--", path) or ""
    entries = [entry.partition("\t") for entry in listing.split("\0") if entry]
    files = [(repo / name, about.split()[2]) for about, _, name in entries]
    return bool(files) and all(file.is_file() and hashes.file(file, "git") == blob_id for file, blob_id in files)
