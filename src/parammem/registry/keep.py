"""What must survive: collecting garbage without losing a version, and fetching a version back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from parammem.errors import LedgerError
from parammem.registry.git import git
from parammem.registry.ledger import Ledger
from parammem.registry.state import Version, champion, versions
from parammem.registry.tags import artifact, existing_tags, sync_tags


def collect_garbage(root: Path, dry: bool = False) -> str:
    """`dvc gc` that keeps the data of every tag (so of every version and what it was made from), of every branch, and
    of every worktree's files. `dvc gc -w` alone deletes old champions.

    Returns:
        What DVC said.

    Raises:
        LedgerError: a version has no tag yet, so its data could be lost; nothing was deleted.
    """
    waiting = sync_tags(root).waiting
    if waiting:
        raise LedgerError(f"{len(waiting)} tags wait for a commit ({waiting[0]}); commit ledger/ first, then collect")
    others = [path for path in worktrees(root) if path != root.resolve() and (path / ".dvc").is_dir()]
    command = ["gc", "--force", "--workspace", "--all-tags", "--all-branches", *(["--dry"] if dry else [])]
    projects = ["--projects", *map(str, others)] if others else []
    said = _dvc(root, *command, *projects)
    lost = [] if dry else missing_champions(root)
    if lost:
        raise LedgerError(f"the cache lacks {', '.join(lost)}; `dvc fetch --all-tags` gets them from the remote")
    return said


def missing_champions(root: Path) -> list[str]:
    """Reigning champions whose adapter folder is not in the local DVC cache."""
    events = Ledger(root).read()
    domains = sorted({e.fact.domain for e in events if e.fact.kind == "publish"})
    reigning = [v for domain in domains if (v := champion(events, domain))]
    cache = cache_folder(root)
    return [
        f"{v.domain} {v.name}"
        for v in reigning
        if v.dvc and not (cache / "files" / "md5" / v.dvc[:2] / v.dvc[2:]).is_file()
    ]


def cache_folder(root: Path) -> Path:
    return Path(_dvc(root, "cache", "dir").strip().splitlines()[-1])


def worktrees(root: Path) -> list[Path]:
    lines = git(root, "worktree", "list", "--porcelain").splitlines()
    return [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]


def fetch(root: Path, domain: str, version: Version, to: Path) -> Path:
    """A version's adapter folder, out of the DVC cache (or remote), as it was committed. `to` must not exist.

    Raises:
        LedgerError: its tag is missing, or its data is neither in the cache nor in the remote.
    """
    known = versions(Ledger(root).read(), domain)
    if version not in known:
        raise LedgerError(f"{version.name} of {domain} is not in the ledger")
    tag = f"{artifact(domain)}@{version.name}.0.0"
    if tag not in existing_tags(root):
        raise LedgerError(f"{domain} {version.name} has no tag yet; commit ledger/, run `parammem sync`, then fetch it")
    to.parent.mkdir(parents=True, exist_ok=True)
    _dvc(root, "get", "--rev", tag, ".", f"models/reflectors/{domain}", "--out", str(to.resolve()))
    return to


def _dvc(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LedgerError(f"`dvc {' '.join(words[:2])}` failed in {root}: {done.stderr.strip()}")
    return done.stdout + done.stderr if words[0] == "gc" else done.stdout
