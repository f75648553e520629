"""The working tree against its records: dvc.lock, the pointers of experience, and what git has of all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from parammem.checkout.dvc_lock import LOCK
from parammem.checkout.files import read_mapping
from parammem.checkout.git import ask, file_at
from parammem.checkout.hashes import files_below
from parammem.checkout.places import (
    BATCHES,
    DATA,
    DECISIONS,
    FRESH,
    FRESH_KEYS,
    LEDGER_FOLDER,
    LIVE,
    MODELS,
    RECORDED,
    REFUSED_ROWS,
    REPORTS,
    SET_ASIDE,
)
from parammem.checkout.snapshot import Snapshot
from parammem.core.plain_yaml import plain_yaml
from parammem.core.words import count
from parammem.errors import DataError, LineageError
from parammem.lineage.checks.findings import Finding
from parammem.lineage.past.events import LEDGER
from parammem.lineage.past.history import REFLECTORS, History
from parammem.lineage.past.recorded_code import DIGESTS, SOURCES, changed_here
from parammem.lineage.past.uncommitted import Uncommitted, as_committed, uncommitted

ARTEFACTS = {str(DATA): "data", str(MODELS): "model", str(REPORTS): "report", str(LEDGER_FOLDER): "ledger"}
"""First folder → kind. Anything else is code, which may change: then a stage is stale and no link is broken."""
COMPARED = ("dvc.lock", *map(str, RECORDED), "pocket/dvc.lock")
"""What only the pipeline and its automation write: there a file that differs from git's was changed."""
STEPS = {"lock": "every stage", "decision": "decide", "ledger": "ledger", "experience": "ingest"}
CONTENT_NAMED = tuple(
    place.as_posix() for place in (BATCHES, FRESH, LIVE, SET_ASIDE / BATCHES.name, SET_ASIDE / FRESH.name)
)
"""Folders whose files are named after their SHA-256."""
EXPERIENCE = (*CONTENT_NAMED, *(place.as_posix() for place in (FRESH_KEYS, SET_ASIDE, REFUSED_ROWS)))
"""Folders of what ingestion brought in. Keys and refused rows are named after something else: pointers hold them."""


LINK = "120000"
"""Git's mode of a symbolic link, whose blob is the place that it leads to."""
NOT_HERE = "not here; `dvc pull`"


def kind_of(path: str) -> str:
    if path.startswith(EXPERIENCE):
        return "experience"
    if path.startswith(REFLECTORS):
        return "adapter"
    if path == DIGESTS or path.startswith(f"{DIGESTS}/"):
        return "code"
    return ARTEFACTS.get(path.partition("/")[0], "code")


def tree_checks(history: History, own: Uncommitted | None = None) -> Iterator[Finding]:
    """Check every link of the working tree.

    Args:
        own: what a `dvc repro` left that is not committed; None: it is looked up.
    """
    own = own or uncommitted(history)
    yield from _committed(history, own)
    yield from _batches(history)
    try:
        here = history.here()
    except LineageError as error:
        yield Finding(kind="lock", stage="every stage", path=LOCK, holds=False, detail=str(error))
        return
    yield from lock_checks(here, own=own)
    yield from _files(here)


def _committed(history: History, own: Uncommitted) -> Iterator[Finding]:
    """Check whether files of the record differ from HEAD. The ledger may have grown.

    Blobs are hashed here: `git diff` believes times to the second, which a forger can set.
    """
    repo = history.repo
    listing = ask(repo, "ls-tree", "-r", "-z", "HEAD", "--", *COMPARED) or ""
    for entry in filter(None, listing.split("\0")):
        about, _, path = entry.partition("\t")
        kind = "lock" if path == LOCK else "decision" if path.startswith(f"{DECISIONS.as_posix()}/") else kind_of(path)
        stage = STEPS.get(kind, "git")
        there, detail = repo / path, "as committed"
        link = about.startswith(LINK)
        holds: bool | None = not link and there.is_file() and history.hashes.file(there, "git") == about.split()[2]
        if link:
            holds, detail = _link(history, path)
        elif not holds:
            holds, detail = _difference(history, path, own)
        yield Finding(kind=kind, stage=stage, path=path, holds=holds, detail=detail)


def _link(history: History, path: str) -> tuple[bool, str]:
    """Return whether a symbolic link has the target that git has, and a sentence on it."""
    there = history.repo / path
    if there.is_symlink() and os.fsencode(there.readlink()) == file_at(history.repo, "HEAD", path):
        return True, "as committed"
    said = "it leads elsewhere than the commit's" if there.is_symlink() else "it is no link any more"
    return False, f"{said}; `git checkout -- {path}` restores it"


def _difference(history: History, path: str, own: Uncommitted) -> tuple[bool | None, str]:
    """Return whether a file may differ from HEAD's, and how it does: a ledger may have grown, a dvc.lock may have seen
    the sources of now, and what a `dvc repro` made is not committed yet."""
    repo = history.repo
    committed, there = file_at(repo, "HEAD", path) or b"", repo / path
    if not there.is_file():
        return False, f"it is missing; `git checkout -- {path}` restores it"
    data = there.read_bytes()
    if path == LEDGER and data.startswith(committed):
        return True, "it has grown since the commit"
    if path == LOCK:
        if _only_sources(committed, data, history.hashes.any(repo / SOURCES)):
            return True, "only the sources have changed since the commit, in nothing that runs"
        if own.unexplained:
            said = f"it differs from the commit and from the files that lie here: {own.unexplained}"
            return False, f"{said}; `dvc repro` writes it anew, `git checkout -- {path}` restores it"
        if own.anew:
            return None, f"not committed yet: {', '.join(own.anew)} ran since the last commit; `git commit` records it"
    if own.maker(path):
        return None, f"not committed yet: {own.maker(path)} made it anew; `git commit` records it"
    same = next((n for n, pair in enumerate(zip(committed, data, strict=False)) if pair[0] != pair[1]), None)
    where = f"at byte {same}" if same is not None else f"in length ({len(data)} for {count(len(committed), 'byte')})"
    line = data[: same or 0].count(b"\n") + 1
    return (
        False,
        f"it differs from the commit {where}, line {line}; no stage wrote this: restore it with git",
    )


def _only_sources(committed: bytes, data: bytes, now: str | None) -> bool:
    """Return whether a dvc.lock differs only in the hash that it has of the sources, and that is their hash now: the
    stage `code` ran after an edit that changed no stage's digests."""
    try:
        old, new = plain_yaml(committed), plain_yaml(data)
        seen = [(lock["stages"]["code"].pop("deps"), lock)[0] for lock in (old, new)]
    except (ValueError, AttributeError, KeyError, TypeError):
        return False
    paths = [[(dep.get("path"), dep.get("md5")) for dep in deps] for deps in seen]
    return old == new and paths[0] != paths[1] == [(SOURCES, now)]


def lock_checks(state: Snapshot, where: str = LOCK, own: Uncommitted | None = None) -> Iterator[Finding]:
    """Check that stages of one dvc.lock read what the others wrote.

    Args:
        own: what a `dvc repro` left that is not committed: stages after it may be behind.
    """
    for name, stage in state.lock.items():
        for path, md5 in stage["deps"].items():
            made = state.hash(path)
            if made is None:
                continue
            holds: bool | None = made == md5
            detail = f"{name} read {path} as {md5[:12]}, {state.maker(path)} wrote {made[:12]}"
            if not holds and own and name in own.behind:
                holds, detail = None, f"{state.maker(path)} made {path} anew; `dvc repro` will run {name} on it"
            yield Finding(kind="lock", stage=name, path=where, holds=holds, detail=detail)


def _files(here: Snapshot) -> Iterator[Finding]:
    """Check each dep and out of dvc.lock, hashed again."""
    recorded: dict[str, tuple[str, str]] = {}
    for name, stage in here.lock.items():
        for path, md5 in stage["outs"].items():
            recorded[path] = (md5, name)
    for name, stage in here.lock.items():
        for path, md5 in stage["deps"].items():
            if here.maker(path) is None:
                recorded.setdefault(path, (md5, "ingest" if kind_of(path) == "experience" else name))
    for path, (md5, stage) in sorted(recorded.items()):
        yield _file(here, path, md5, stage)


def _file(here: Snapshot, path: str, md5: str, stage: str) -> Finding:
    kind, there = kind_of(path), here.store.repo / path
    found = here.store.hashes.any(there)
    if found == md5:
        return Finding(kind=kind, stage=stage, path=path, holds=True, detail="as dvc.lock says")
    if found is None:
        return Finding(kind=kind, stage=stage, path=path, holds=None, detail="not here; `dvc pull` fetches it")
    if path == SOURCES:
        return _sources(here, stage)
    if _waiting(here, path):
        return Finding(kind=kind, stage=stage, path=path, holds=None, detail="not all of it is here; `dvc pull`")
    if here.maker(path) is None and (kind == "code" or as_committed(here.store.hashes, here.store.repo, path)):
        return Finding(kind=kind, stage=stage, path=path, holds=None, detail="changed since: a repro would run again")
    named = _changed_files(here, there, md5) if there.is_dir() else []
    if kind == "experience":  # each batch is held to its own name and pointer
        return Finding(kind=kind, stage=stage, path=path, holds=None, detail="batches came or went since")
    where = f"{path}/{named[0]}" if named else path
    more = f" and {len(named) - 1} more" if len(named) > 1 else ""
    detail = f"its hash is {found[:12]}, dvc.lock says {md5[:12]}{f' for {path}{more}' if named else ''}"
    return Finding(kind=kind, stage=stage, path=where, holds=False, detail=f"{detail}; `dvc checkout` restores it")


def _sources(here: Snapshot, stage: str) -> Finding:
    """Check sources that are not byte for byte those of dvc.lock: whether there is one whose digest changed."""
    try:
        changed = changed_here(here.store.repo)
        text = f"changed since: a repro would run again; {', '.join(changed)}"
        holds, detail = (None, text) if changed else (True, "changed since in nothing that runs")
    except DataError as error:
        holds, detail = None, f"changed since: {error}"
    return Finding(kind="code", stage=stage, path=SOURCES, holds=holds, detail=detail)


def _waiting(here: Snapshot, path: str) -> bool:
    """Return whether a path is the folder of several outs, of which one is not here yet."""
    inside = [out for out in here.outs if out.startswith(f"{path}/")]
    return any(not (here.store.repo / out).exists() for out in inside)


def _changed_files(here: Snapshot, folder: Path, md5: str) -> list[str]:
    """Return files of a folder that differ from the recorded listing, if DVC's cache has that."""
    listing = here.store.listing(md5)
    if listing is None:
        return []
    now = {name: here.store.hashes.file(file) for name, file in files_below(folder)}
    return sorted(name for name in {*listing, *now} if listing.get(name) != now.get(name))


def _batches(history: History) -> Iterator[Finding]:
    """Check that batches are named after their SHA-256, and that the .dvc pointer of each raw input has its MD5."""
    for folder in CONTENT_NAMED:
        for file in sorted((history.repo / folder).glob("*.jsonl")):
            path = file.relative_to(history.repo).as_posix()
            digest = history.hashes.file(file, "sha256")
            detail = f"its SHA-256 is {digest[:16]}, its name says {file.stem[:16]}"
            yield Finding(kind="experience", stage="ingest", path=path, holds=digest == file.stem, detail=detail)
    for pointer in sorted((history.repo / DATA).rglob("*.dvc")):
        if pointer.is_file():
            yield from _pointer(history, pointer)


def _pointer(history: History, pointer: Path) -> Iterator[Finding]:
    path = pointer.relative_to(history.repo).as_posix()
    try:
        outs = (read_mapping(pointer) or {})["outs"]
        named = [(pointer.parent / out["path"], str(out["md5"])) for out in outs]
    except (LineageError, KeyError, TypeError) as error:
        detail = f"it cannot be read ({error}); restore it with git"
        yield Finding(kind="experience", stage="ingest", path=path, holds=False, detail=detail)
        return
    for file, md5 in named:
        where = file.relative_to(history.repo).as_posix()
        if not file.is_file():
            yield Finding(kind="experience", stage="ingest", path=where, holds=None, detail=NOT_HERE)
            continue
        found = history.hashes.file(file)
        detail = f"its hash is {found[:12]}, {path} says {md5[:12]}"
        yield Finding(kind="experience", stage="ingest", path=where, holds=found == md5, detail=detail)
