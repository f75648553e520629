"""Raw inputs: the files that .dvc pointers name, in a past state or the present one. No stage makes them.

Automation takes batches in on a branch of its own, so most of them are never in the working tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from parammem.checkout.git import HISTORY, Blobs, ask, branches
from parammem.checkout.places import BATCHES, DATA, EVALUATION, FRESH
from parammem.checkout.snapshot import ObjectStore, Snapshot
from parammem.core.plain_yaml import plain_yaml
from parammem.lineage.past.history import History

TRAJECTORIES = "trajectories.jsonl"
EXPERIENCE = (BATCHES.name, FRESH.name, "trajectories")
"""Folders, wherever below `data/`, with trajectories, those that were set aside among them."""


def raw_inputs(store: ObjectStore, commit: str | None) -> dict[str, str]:
    """Return path → DVC's hash of each raw input below `data/`; of the working tree if commit is None."""
    pointers = _of_commit(store.repo, commit) if commit else _here(store.repo)
    found = {}
    for place, text in pointers:
        found |= {f"{place}/{name}": md5 for name, md5 in _outs(text)}
    return dict(sorted(found.items()))


def every_raw_input(history: History) -> Iterator[tuple[str, str]]:
    """Yield path and DVC's hash of each raw input that any commit of a branch or tag ever named, and of the working
    tree's.

    One walk through git, since a thousand generations share nearly all of them.
    """
    lines = ask(history.repo, "log", *HISTORY, "--format=", "--raw", "--no-abbrev", "--no-renames", "-z",
                "--", f":(glob){DATA}/**/*.dvc")  # fmt: skip
    words = iter((lines or "").split("\0"))
    blobs = dict.fromkeys((path, about.split()[3]) for about, path in zip(words, words, strict=False))
    named = dict.fromkeys(raw_inputs(history.store, None).items())
    for path, blob_id in blobs:
        inside = history.hashes.fact("pointer", blob_id, lambda blob_id=blob_id: _outs(history.blobs.read(blob_id)))
        named |= dict.fromkeys((f"{path.rpartition('/')[0]}/{name}", md5) for name, md5 in inside or ())
    yield from sorted(named)


def missing_inputs(state: Snapshot, path: str, md5: str) -> list[str]:
    """Return what of a dep that no stage made can be found nowhere on this machine: in cache, git or the working
    tree."""
    store = state.store
    if store.object(md5) is not None:
        return []
    named = {name: m for name, m in raw_inputs(store, state.commit).items() if f"{name}/".startswith(f"{path}/")}
    if named:
        return [name for name, inner in named.items() if store.object(inner) is None and not _lies(store, name, inner)]
    if state.commit and ask(store.repo, "cat-file", "-e", f"{state.commit}:{path}") is not None:
        return []
    return [] if (store.repo / path).exists() else [path]


def trajectory_files(history: History) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every file with trajectories (of experience, collection, evaluation): those that are
    stored here, then those that are on branches only."""
    repo, seen = history.repo, set()
    here = [file for file in (repo / DATA).rglob("*.jsonl") if _has_trajectories(file.relative_to(repo).as_posix())]
    for file in [*sorted(here), *sorted((repo / EVALUATION).glob(f"*/{TRAJECTORIES}"))]:
        seen.add(history.hashes.file(file))
        yield str(file), file.read_bytes()
    for branch in ["HEAD", *branches(repo)]:
        given = [(path, md5) for path, md5 in raw_inputs(history.store, branch).items() if _has_trajectories(path)]
        for path, md5 in [*given, *_evaluated(history.at(branch))]:
            if md5 in seen:
                continue
            data = history.store.bytes_of(md5)
            if data is not None:
                seen.add(md5)
                yield path, data


def _evaluated(state: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield path and hash of the trajectories of each evaluation that a state names, where DVC's cache has its
    listing."""
    for out, (md5, _) in state.outs.items():
        if Path(out).parent == EVALUATION:
            found = (state.store.listing(md5) or {}).get(TRAJECTORIES)
            if found:
                yield f"{out}/{TRAJECTORIES}", found


def _has_trajectories(path: str) -> bool:
    parts = path.split("/")[:-1]  # keys/fresh is about the same tasks and has none
    return path.endswith(".jsonl") and parts[-1] in EXPERIENCE and "keys" not in parts


def _lies(store: ObjectStore, path: str, md5: str) -> bool:
    return store.hashes.any(store.repo / path) == md5


def _outs(pointer: bytes | None) -> list[tuple[str, str]]:
    """Return name and hash of what a pointer names; none of a broken one, which `audit verify` names."""
    try:
        return [(str(out["path"]), str(out["md5"])) for out in (plain_yaml(pointer or b"") or {}).get("outs", [])]
    except (ValueError, AttributeError, KeyError, TypeError):
        return []


def _here(repo: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted((repo / DATA).rglob("*.dvc")):
        if file.is_file():
            yield file.parent.relative_to(repo).as_posix(), file.read_bytes()


def _of_commit(repo: Path, commit: str) -> Iterator[tuple[str, bytes]]:
    listing = ask(repo, "ls-tree", "-r", "-z", commit, "--", str(DATA)) or ""
    with Blobs.open(repo) as blobs:
        for entry in filter(None, listing.split("\0")):
            about, _, path = entry.partition("\t")
            if path.endswith(".dvc"):
                yield path.rpartition("/")[0], blobs.read(about.split()[2]) or b""
