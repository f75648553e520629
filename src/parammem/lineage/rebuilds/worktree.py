"""A clean git worktree of a past commit in which the pipeline runs again: with an empty cache, or with the shared one.

The person's working tree is not touched, and the recorded commit's own code runs.
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from parammem.checkout.lock import hold, is_held
from parammem.checkout.processes import run_guarded
from parammem.core.plain_yaml import plain_yaml
from parammem.errors import LineageError, LineageMissingError
from parammem.lineage.past.git import git
from parammem.lineage.past.hashes import Hashes
from parammem.lineage.past.store import Store, cache_folders
from parammem.registry.git import prune_worktrees

TREES = Path(".cache") / "audit" / "trees"
NAMED, HELD = "audit-", ".held"
TAIL = 30


@contextmanager
def worktree(repo: Path, commit: str, shared_cache: bool, skip: Iterable[str] = ()) -> Iterator[Path]:
    """A folder with the files of `commit`, and the raw inputs that its .dvc files name.

    Args:
        shared_cache: use this repository's DVC cache, run-cache included; False: an empty one.
        skip: files that are left out, with their .dvc pointers.

    Raises:
        LineageMissingError: git cannot make it, or a raw input is nowhere here.
    """
    repo = repo.resolve()
    remove_dead(repo)
    name = uuid.uuid4().hex[:8]
    tree, mark = repo / TREES / name / f"{NAMED}{name}", repo / TREES / f"{name}{HELD}"
    with hold(mark):  # first this, then the folder: a folder without it is nobody's
        try:
            tree.parent.mkdir()
            yield from _tree(repo, tree, commit, shared_cache, skip)
        finally:
            mark.unlink(missing_ok=True)


def remove_dead(repo: Path) -> int:
    """Take away the worktrees of runs that were killed. Returns how many there were."""
    folder = repo / TREES
    folder.mkdir(parents=True, exist_ok=True)
    dead = [one for one in sorted(folder.iterdir()) if one.is_dir() and not is_held(folder / f"{one.name}{HELD}")]
    for one in dead:
        shutil.rmtree(one, ignore_errors=True)
        (folder / f"{one.name}{HELD}").unlink(missing_ok=True)
    if dead:
        prune_worktrees(repo, [f"{NAMED}{one.name}" for one in dead])
    return len(dead)


def _tree(repo: Path, tree: Path, commit: str, shared_cache: bool, skip: Iterable[str]) -> Iterator[Path]:
    try:
        if (
            git(repo, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet", str(tree), commit)
            is None
        ):
            raise LineageMissingError(
                f"git cannot check out {commit[:12]} beside the working tree; see `git worktree list`"
            )
        for path in skip:
            for name in (path, f"{path}.dvc"):
                (tree / name).unlink(missing_ok=True)
        cache = cache_folders(repo)[0] if shared_cache else tree / ".dvc" / "cache"
        local = repo / ".dvc" / "config.local"
        kept = local.read_text(encoding="utf-8") if local.is_file() else ""
        if shared_cache and "[cache]" not in kept:
            kept += f"\n[cache]\n    dir = {cache}\n"
        if shared_cache:
            (tree / ".dvc" / "config.local").write_text(kept, encoding="utf-8")
        bring_inputs(repo, tree)
        yield tree
    finally:
        git(repo, "worktree", "remove", "--force", str(tree))
        shutil.rmtree(tree.parent, ignore_errors=True)
        prune_worktrees(repo, [tree.name])


def bring_inputs(repo: Path, tree: Path) -> None:
    """Copy what the tree's .dvc files name from this repository's cache or working tree. Raises LineageError."""
    with Hashes(repo) as hashes:
        store = Store(repo, hashes)
        for pointer in sorted(path for path in tree.rglob("*.dvc") if path.is_file() and ".dvc" not in path.parts[:-1]):
            for path, md5 in _pointed(pointer):
                _bring(store, tree, path, md5)


def _pointed(pointer: Path) -> list[tuple[Path, str]]:
    """What a .dvc file names, each with its hash. Raises LineageError: it cannot be read."""
    try:
        outs = (plain_yaml(pointer.read_bytes()) or {}).get("outs", [])
        return [(pointer.parent / str(out["path"]), str(out["md5"])) for out in outs]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise LineageError(f"{pointer} cannot be read: {error}; restore it with git") from error


def _bring(store: Store, tree: Path, target: Path, md5: str) -> None:
    path = target.relative_to(tree).as_posix()
    if md5.endswith(".dir"):
        listing = store.listing(md5)
        if listing is None:
            raise LineageMissingError(f"{path} ({md5}) is not in DVC's cache; `dvc fetch` it first")
        for name, inner in listing.items():
            _bring(store, tree, target / name, inner)
        return
    data, here = store.bytes_of(md5), store.repo / path
    if data is None and here.is_file() and store.hashes.file(here) == md5:
        data = here.read_bytes()
    if data is None:
        raise LineageMissingError(
            f"{path} ({md5}) is neither in DVC's cache nor unchanged in the working tree; `dvc fetch` it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def repro(
    tree: Path, targets: Sequence[str], fresh: bool, say: Callable[[str], None], python: Path | None = None
) -> list[str]:
    """`dvc repro` in a worktree; it ends when this process does. Returns its last lines.

    Args:
        fresh: run every stage, whatever was done before, and without the run-cache.
        python: of the virtual environment to run in; None: this one.

    Raises:
        LineageMissingError: it failed; the text has its last lines.
    """
    how = ["--force", "--no-run-cache"] if fresh else []
    python = python or Path(sys.executable)
    command = [str(python), "-m", "dvc", "repro", *how, *targets]
    code, lines = run_guarded(command, tree, say, environment(tree, python))
    if code:
        tail = "\n".join(f"    {line}" for line in lines[-TAIL:] if line)
        raise LineageMissingError(
            f"`dvc repro {' '.join(targets)}` failed in a clean worktree. Its last lines:\n{tail}"
        )
    return lines


def environment(tree: Path, python: Path) -> dict[str, str]:
    """This process's environment with the tree's own sources first, and nothing that points git elsewhere."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    sources = os.pathsep.join(filter(None, [str(tree / "src"), os.environ.get("PYTHONPATH")]))
    quiet = {"DVC_NO_ANALYTICS": "1", "GX_ANALYTICS_ENABLED": "false", "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1",
             "DVC_SITE_CACHE_DIR": str(tree / ".cache" / "dvc-site")}  # fmt: skip
    return found | quiet | {"PATH": path, "PYTHONPATH": sources}


def set_params(tree: Path, changes: dict[str, Any]) -> None:
    """Lay `section.key` → value over the tree's params.yaml. Raises LineageError for a key that is not there."""
    path = tree / "params.yaml"
    try:
        params = plain_yaml(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LineageMissingError(f"params.yaml of that commit cannot be read: {error}; take another commit") from error
    for name, value in changes.items():
        *sections, key = name.split(".")
        place = params
        for section in sections:
            place = place.get(section) if isinstance(place, dict) else None
        if not isinstance(place, dict) or key not in place:
            raise LineageMissingError(f"params.yaml of that commit has no {name!r}; name a key as section.key")
        place[key] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
