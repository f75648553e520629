"""Data of a worktree: fetched before work, pushed before anything refers to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from parammem.checkout.dvc_lock import read_stages
from parammem.errors import DataError
from parammem.improve.processes import DVC, run_guarded

Say = Callable[[str], None]
TRACKED = ("data/experience", "data/fresh", "data/keys/fresh", "data/quarantine")
"""Folders whose files have a .dvc file each."""


def settings(tree: Path) -> Any:
    """DVC's own reading of all its config files that hold for this tree."""
    from dvc.config import Config

    return Config(str(tree / ".dvc"))


def has_remote(tree: Path) -> bool:
    """Whether DVC has a remote to push to by default."""
    return bool(settings(tree)["core"].get("remote"))


def cache_folder(tree: Path) -> str:
    """Where DVC keeps the data of this tree."""
    return str(settings(tree)["cache"].get("dir") or (tree / ".dvc" / "cache").resolve())


def fetch(tree: Path, say: Say) -> None:
    """Bring the committed data into the worktree: from the shared cache, and what is missing from the remote.

    Outputs of stages that are nowhere are left out: a rebuild makes them again. Batches cannot be made again.

    Raises:
        DataError: a batch of experience is neither in the cache nor in the remote.
    """
    run_guarded([*DVC, "checkout", "--quiet", "--force", "--allow-missing"], tree, say)
    if missing_batches(tree) and has_remote(tree):
        run_guarded([*DVC, "pull", "--quiet", *(f"{name}.dvc" for name in missing_batches(tree))], tree, say)
    missing = missing_batches(tree)
    if missing:
        raise DataError(
            f"{len(missing)} batches of experience are neither in DVC's cache nor in a remote that can be reached, "
            f"the first: {missing[0]}; bring them back (`dvc pull`), or take their .dvc files out of git"
        )


def check_out(tree: Path, folder: str, say: Say) -> None:
    """What dvc.lock names below a folder, out of the shared cache."""
    run_guarded([*DVC, "checkout", "--quiet", "--force", "--recursive", folder], tree, say)


def missing_batches(tree: Path) -> list[str]:
    """Batch files that git knows and that are not here."""
    files = sorted(file for folder in TRACKED for file in (tree / folder).glob("**/*.dvc"))
    return [str(file.relative_to(tree).with_suffix("")) for file in files if not file.with_suffix("").is_file()]


def push(tree: Path, say: Say) -> str:
    """Bring everything the worktree refers to into the remote. Returns what was done, in words.

    Raises:
        DataError: the remote cannot be reached or refused; nothing refers to the data yet.
    """
    if not has_remote(tree):
        return "no DVC remote: the data is in the local cache only"
    code, tail = run_guarded([*DVC, "push"], tree, say)
    if code:
        last = "\n".join(f"    {line}" for line in tail[-10:])
        raise DataError(
            f"`dvc push` failed, so nothing was committed; mend the remote and run again, the work is kept. "
            f"Its last lines:\n{last}"
        )
    return tail[-1] if tail else "pushed"


def hash_of(tree: Path, folder: str) -> str:
    """DVC's hash of an output, from dvc.lock: by this `dvc` finds the folder again. Empty if dvc.lock does not say."""
    return outs(tree).get(folder, "")


def outs(tree: Path, domain: str = "") -> dict[str, str]:
    """Path → hash of all deps and outs in dvc.lock; of one domain's stages where one is named."""
    found: dict[str, str] = {}
    stages = read_stages(tree)
    for name, stage in stages.items():
        if domain and not name.endswith(f"@{domain}"):
            continue
        for one in [*stage.get("deps", []), *stage.get("outs", [])]:
            found[one["path"]] = one.get("md5") or one.get("etag") or one.get("checksum") or ""
    return dict(sorted(found.items()))
