"""Worktrees in which the pipeline runs beside the person's tree, which is not touched: automation's, with the newest
state and the shared cache, and clean ones of past commits, in which the recorded commit's own code runs."""

from __future__ import annotations

import configparser
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from parammem.checkout import dvc
from parammem.checkout.dvc import cache_folder, settings
from parammem.checkout.git import UNATTENDED, ask, git, prune_worktrees
from parammem.checkout.hashes import Hashes
from parammem.checkout.held_files import hold, is_held
from parammem.checkout.places import AUDIT, AUTOMATION, CACHE, COMPLETIONS
from parammem.checkout.processes import environment
from parammem.checkout.snapshot import ObjectStore
from parammem.core.jsonl import write_text
from parammem.core.plain_yaml import plain_yaml
from parammem.errors import LineageError, LineageMissingError

TREES = AUTOMATION / "trees"
"""Worktrees of automation. Only the holder of its lock works in one."""
PAST_TREES = AUDIT / "trees"
"""Of past commits; each is held by the run that made it."""
NAMED, HELD = "audit-", ".held"
TAIL = 30
KEPT = ("checkpoints", "experience", "dvc-site")
"""Folders of .cache that outlive a worktree: each only saves work."""


@contextmanager
def worktree(repo: Path, commit: str, shared_cache: bool, skip: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a folder with the files of `commit`, and the raw inputs that its .dvc files name.

    Args:
        shared_cache: use this repository's DVC cache, run-cache included; False: an empty one.
        skip: files that are left out, with their .dvc pointers.

    Raises:
        DataError: git cannot make it.
        LineageMissingError: a raw input is nowhere here.
    """
    repo = repo.resolve()
    remove_dead(repo)
    name = uuid.uuid4().hex[:8]
    tree, mark = repo / PAST_TREES / name / f"{NAMED}{name}", repo / PAST_TREES / f"{name}{HELD}"
    with hold(mark):  # first this, then the folder: a folder without it has no owner
        try:
            tree.parent.mkdir()
            yield from _tree(repo, tree, commit, shared_cache, skip)
        finally:
            mark.unlink(missing_ok=True)


def remove_dead(repo: Path) -> int:
    """Take away the worktrees of runs that were killed. Returns how many there were."""
    folder = repo / PAST_TREES
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
        add_tree(repo, tree, commit)
        for path in skip:
            for name in (path, f"{path}.dvc"):
                (tree / name).unlink(missing_ok=True)
        if shared_cache:
            write_text(tree / ".dvc" / "config.local", local_config(repo))
        bring_inputs(repo, tree)
        yield tree
    finally:
        ask(repo, "worktree", "remove", "--force", str(tree))
        shutil.rmtree(tree.parent, ignore_errors=True)
        prune_worktrees(repo, [tree.name])


def add_tree(root: Path, tree: Path, commit: str) -> None:
    """Check a commit out in a folder of its own. Raises DataError."""
    git(root, *UNATTENDED, "worktree", "add", "--detach", "--force", "--quiet", str(tree), commit)


def remove_trees(root: Path) -> int:
    """Take away every worktree of automation, whole or half made. Returns how many there were.

    Call it with the lock held: then no run is at work in any of them.
    """
    folder = root / TREES
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    for tree in found:
        shutil.rmtree(tree, ignore_errors=True)
    prune_worktrees(root, [tree.name for tree in found])
    return len(found)


def equip(root: Path, tree: Path) -> None:
    """Give a worktree the shared DVC cache, the person's local settings, and caches that outlive it."""
    if (root / ".dvc").is_dir():
        write_text(tree / ".dvc" / "config.local", local_config(root))
    (tree / CACHE).mkdir(exist_ok=True)
    for name in KEPT:
        (root / AUTOMATION / "kept" / name).mkdir(parents=True, exist_ok=True)
        _link(tree / CACHE / name, root / AUTOMATION / "kept" / name)
    (root / COMPLETIONS).mkdir(parents=True, exist_ok=True)
    _link(tree / COMPLETIONS, root / COMPLETIONS)


def _link(place: Path, target: Path) -> None:
    if not place.is_symlink() and not place.exists():
        os.symlink(target.resolve(), place)


def local_config(root: Path) -> str:
    """Return DVC's settings as they hold for the person's tree, with whole paths: the worktree's .dvc/config.local.

    A relative path in the committed config would mean another place there.
    """
    config = configparser.ConfigParser(interpolation=None)
    mine = root / ".dvc" / "config.local"
    if mine.is_file():
        config.read_string(mine.read_text(encoding="utf-8"))
    for name, remote in settings(root)["remote"].items():
        section = f'remote "{name}"'
        if f"'{section}'" not in config:
            config[f"'{section}'"] = {}
        config[f"'{section}'"]["url"] = str(remote["url"])
    if "cache" not in config:
        config["cache"] = {}
    config["cache"]["dir"] = str(cache_folder(root))
    lines = []
    for section in config.sections():
        lines += [f"[{section}]", *(f"    {key} = {value}" for key, value in config[section].items())]
    return "\n".join(lines) + "\n"


def bring_inputs(repo: Path, tree: Path) -> None:
    """Copy what the tree's .dvc files name from this repository's cache or working tree. Raises LineageError."""
    with Hashes(repo) as hashes:
        store = ObjectStore(repo, hashes)
        for pointer in sorted(path for path in tree.rglob("*.dvc") if path.is_file() and ".dvc" not in path.parts[:-1]):
            for path, md5 in _pointed(pointer):
                _bring(store, tree, path, md5)


def _pointed(pointer: Path) -> list[tuple[Path, str]]:
    """Return what a .dvc file names, each with its hash. Raises LineageError: it cannot be read."""
    try:
        outs = (plain_yaml(pointer.read_bytes()) or {}).get("outs", [])
        return [(pointer.parent / str(out["path"]), str(out["md5"])) for out in outs]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise LineageError(f"{pointer} cannot be read: {error}; restore it with git") from error


def _bring(store: ObjectStore, tree: Path, target: Path, md5: str) -> None:
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
    """Run `dvc repro` in a worktree, return its last lines; it ends when this process does.

    Args:
        fresh: run every stage, whatever was done before, and without the run-cache.
        python: of the virtual environment to run in; None: this one.

    Raises:
        LineageMissingError: it failed; the text has its last lines.
    """
    how = ["--force", "--no-run-cache"] if fresh else []
    env = environment(tree, python) | {"DVC_SITE_CACHE_DIR": str(tree / CACHE / "dvc-site")}
    code, lines = dvc.run(tree, "repro", *how, *targets, say=say, python=python, env=env)
    if code:
        tail = dvc.last_lines(lines, TAIL)
        raise LineageMissingError(
            f"`dvc repro {' '.join(targets)}` failed in a clean worktree. Its last lines:\n{tail}"
        )
    return lines


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
