"""Copies of the working tree as repositories of their own: what small_repro.py and real.py run the pipeline in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from parammem.checkout.dvc_lock import LOCK, read_lock
from parammem.checkout.hashes import file_hash

ROOT = Path(__file__).resolve().parent.parent
FIGURES = "reports/metrics.json"


def tree_files(root: Path = ROOT) -> list[str]:
    """Return every file of the working tree that git does not ignore, committed or not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in filter(None, listing.split("\0")) if (root / name).is_file()]  # not those deleted here


def copy_tree(folder: Path, root: Path = ROOT) -> None:
    """Copy every file of the working tree that git does not ignore.

    The lock file belongs to the settings that it was made with; without it nothing is taken for done.
    """
    for name in tree_files(root):
        if name == LOCK:
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target)
    (folder / LOCK).unlink(missing_ok=True)


def make_repository(folder: Path, message: str = "small repro") -> None:
    """Make the folder a git repository with one commit, by an author made up for it."""
    who = ["-c", "user.name=check", "-c", "user.email=check@localhost", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", message]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def ended(folder: Path) -> bool:
    """Whether the pipeline has come to its end in a clone: its lock names the figures that lie there. Those of the
    working tree, which are copied with it, are not its own."""
    report = read_lock(folder).get("report")
    file = folder / FIGURES
    return report is not None and file.is_file() and report["outs"].get(FIGURES) == file_hash(file, "md5")


def environment_of(folder: Path) -> Mapping[str, str]:
    """Return an environment in which commands take the clone's own sources before the installed ones."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {"PYTHONPATH": str(folder / "src"), "PATH": path, "DVC_SITE_CACHE_DIR": str(folder / ".cache/dvc-site")}
    return {**os.environ, **settings}
