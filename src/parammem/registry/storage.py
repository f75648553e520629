"""Collect garbage without losing the data of a version, and fetch the adapter of a version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from parammem.checkout import dvc
from parammem.checkout.git import file_at, worktrees
from parammem.checkout.places import places_of
from parammem.core.adapter import read_card
from parammem.core.event import Event
from parammem.core.words import count
from parammem.errors import AdapterError, LedgerError
from parammem.registry.ledger import Ledger
from parammem.registry.state import Version, champion
from parammem.registry.tags import artifact, existing_tags, sync_tags, wanted_tags


def collect_garbage(root: Path, dry: bool = False, events: Sequence[Event] = ()) -> str:
    """Run `dvc gc`, but keep the data of every tag (so of every version and what it was made from), of every branch,
    and of every worktree's files. `dvc gc -w` alone deletes old champions.

    Call it with automation's lock held: what a turn has not committed yet looks like garbage.

    Args:
        events: the ledger to its end, where a branch goes on from the checked-out one.

    Returns:
        What DVC said.

    Raises:
        LedgerError: a version has no tag yet, so its data could be lost; nothing was deleted.
    """
    waiting = sync_tags(root).waiting
    if waiting:
        raise LedgerError(
            f"{count(len(waiting), 'tag')} cannot be made before a commit ({waiting[0]}); "
            "commit ledger/ first, then collect"
        )
    there = existing_tags(root)
    lacking = [want.name for want in wanted_tags(events) if there.get(want.name, ("", ""))[0] != want.event.digest]
    if lacking:
        raise LedgerError(
            f"{count(len(lacking), 'tag')} of automation's ledger missing or different ({lacking[0]}); "
            "run `parammem improve`, which makes them, or merge its branch and run `parammem sync`, then collect"
        )
    others = [one.path for one in worktrees(root) if one.path != root.resolve() and (one.path / ".dvc").is_dir()]
    command = ["gc", "--force", "--workspace", "--all-tags", "--all-branches", *(["--dry"] if dry else [])]
    projects = ["--projects", *map(str, others)] if others else []
    said = "\n".join(line for line in _dvc(root, *command, *projects).splitlines() if not line.startswith("WARNING:"))
    lost = [] if dry else missing_champions(root, events)
    if lost:
        raise LedgerError(f"the cache lacks {', '.join(lost)}; `dvc fetch --all-tags` gets them from the remote")
    return said


def missing_champions(root: Path, events: Sequence[Event] = ()) -> list[str]:
    """Return the champions by the checked-out ledger, or by `events`, and of whose folder a file is not in the local
    DVC cache."""
    incumbent: dict[str, Version] = {}
    for ledger in (Ledger(root).read(), events):
        for domain in sorted({e.fact.domain for e in ledger if e.fact.kind == "publish"}):
            if found := champion(ledger, domain):
                incumbent[f"{domain} {found.name} {found.dvc}"] = found
    cache = dvc.cache_folder(root)
    return [f"{v.domain} {v.name}" for v in incumbent.values() if v.dvc and not _is_whole(cache, v.dvc)]


def _is_whole(cache: Path, md5: str) -> bool:
    """Return whether an object is there and, if it lists a folder, all that it lists."""
    place = dvc.cached(cache, md5)
    if not place.is_file() or not md5.endswith(".dir"):
        return place.is_file()
    try:
        return all(_is_whole(cache, one["md5"]) for one in json.loads(place.read_bytes()))
    except (ValueError, KeyError, TypeError):
        return False


def fetch(root: Path, domain: str, version: Version, to: Path) -> Path:
    """Write a version's adapter folder, out of the DVC cache (or remote), as it was committed. `to` must not exist.

    Raises:
        LedgerError: its tag is missing or another version's, its data is neither in the cache nor in the remote, or
            the tagged commit holds another adapter.
    """
    tag = f"{artifact(domain)}@{version.name}.0.0"
    there = existing_tags(root)
    if tag not in there:
        raise LedgerError(f"{domain} {version.name} has no tag yet; commit ledger/, run `parammem sync`, then fetch it")
    if there[tag][0] != version.event:
        raise LedgerError(f"the tag {tag} says something else than the ledger; `parammem sync` mends it")
    to.parent.mkdir(parents=True, exist_ok=True)
    place = places_of(domain).imported(version.adapter)
    if file_at(root, tag, f"{place.as_posix()}.dvc") is None:  # it was trained here
        place = places_of(domain).reflector
    _dvc(root, "get", "--rev", tag, ".", place.as_posix(), "--out", str(to.resolve()))
    # A merge that signs a version anew may hold the other side's dvc.lock.
    try:
        found = read_card(to).digest
    except AdapterError:
        found = "unknown"
    if found != version.adapter:
        shutil.rmtree(to)
        raise LedgerError(
            f"the commit of {tag} holds the adapter {found[:16]}, not {version.adapter[:16]}; check out the commit "
            "that trained it (`git log -- dvc.lock`), and run `dvc checkout` there"
        )
    return to


def _dvc(root: Path, *words: str) -> str:
    code, tail = dvc.run(root, *words)
    said = "\n".join(tail)
    if code:
        raise LedgerError(f"`dvc {' '.join(words[:2])}` failed in {root}: {said}")
    return said
