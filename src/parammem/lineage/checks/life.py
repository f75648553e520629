"""The past against its records: every generation's bytes, manifest and data, the ledger's chain, decisions and tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from parammem.checkout.dvc_lock import LOCK
from parammem.checkout.git import GitTag, ask, file_at, has_commits, tags
from parammem.checkout.places import QUARANTINE, REFLECTIONS, REPORTS, VALIDATED
from parammem.checkout.snapshot import Snapshot
from parammem.core import Adapter
from parammem.core.event import Decided, Published, Trained
from parammem.core.words import count
from parammem.engines.digests import model_digest
from parammem.errors import ModelMissingError
from parammem.lineage.checks.findings import Finding
from parammem.lineage.checks.manifest import manifest_checks
from parammem.lineage.checks.tree import NOT_HERE, kind_of, lock_checks
from parammem.lineage.past.events import DECISIONS, LEDGER, Life, branch_ledgers, read_decision, walk
from parammem.lineage.past.history import REFLECTORS, Generation, History
from parammem.lineage.past.raw import every_raw_input, raw_inputs
from parammem.lineage.past.uncommitted import Uncommitted
from parammem.registry.growth import check_growth
from parammem.registry.tags import artifact, commits_of_events, wanted_tags

Folders = Callable[[str], set[str]]
"""Adapter → DVC's hashes of its folders, in any commit's dvc.lock."""
WAY = (*(f"{folder.as_posix()}/" for folder in (REFLECTIONS, VALIDATED, QUARANTINE, REPORTS)), REFLECTORS)
"""Outs on the way of an adapter that are looked at in every generation."""


def ledger_checks(history: History, life: Life) -> Iterator[Finding]:
    """Check the chain, each decision that it names, and that git's history never took an event away."""
    for event in life.events:
        fact = event.fact
        yield _of_ledger(True, f"event {event.number}")
        if isinstance(fact, Decided):
            yield _decision(history.repo, fact)
    for fault in life.faults:
        yield _of_ledger(False, f"line {fault.line}: {fault.what}")
    for fault in life.unfinished:
        yield _of_ledger(None, f"line {fault.line}: {fault.what}")
    for fork in life.forks:
        there, here = len(fork.only_there), len(fork.only_here)
        ours, theirs = f"here ({count(here, 'event')})", f"on the branch {fork.branch} ({there})"
        detail = f"after event {fork.shared} it goes on {ours} and {theirs}"
        yield _of_ledger(None, f"{detail}; both are read as `git merge {fork.branch}` will join them")
    if not life.events and not has_commits(history.repo):
        return
    growth = check_growth(history.repo)
    yield _of_ledger(True, count(growth.commits, "commit"))
    for loss in growth.losses:
        yield _of_ledger(False if loss.certain else None, loss.what)
    for what in growth.unchecked:
        yield _of_ledger(None, f"not checked: {what}")


def _of_ledger(holds: bool | None, detail: str) -> Finding:
    return Finding(kind="ledger", stage="ledger", path=LEDGER, holds=holds, detail=detail)


def _decision(repo: Path, fact: Decided) -> Finding:
    path = f"{DECISIONS}/{fact.decision}.json"
    found = read_decision(repo, fact.decision)
    said: dict[str, Any] = {"kind": "decision", "stage": "decide", "path": path}
    if found is None:
        there = (repo / path).is_file()
        detail = "its contents do not have the digest that the ledger names" if there else "it is missing"
        return Finding(**said, holds=False, detail=f"{detail}; restore it with git")
    same = (found.domain, found.champion, found.challenger, found.answer)
    holds = same == (fact.domain, fact.champion, fact.challenger, fact.answer)
    return Finding(**said, holds=holds, detail="it says what the ledger says" if holds else "it says another thing")


def tag_checks(repo: Path, life: Life) -> Iterator[Finding]:
    """Check every tag that the ledger asks for, and none besides. Ledgers of other branches may ask for their own."""
    if not has_commits(repo) or not life.events:
        return
    there = {tag.name: tag for tag in tags(repo)}
    ours = {artifact(event.fact.domain) for event in life.events if isinstance(event.fact, Published)}
    wanted: dict[str, list[tuple[str, str]]] = {}
    for branch, ledger in {"HEAD": file_at(repo, "HEAD", LEDGER) or b"", **branch_ledgers(repo)}.items():
        known = walk(ledger)
        commits = commits_of_events(repo, branch)
        for want in wanted_tags(known.events):
            commit = commits.get(want.version_event)
            if commit is not None and want.event.digest in commits:  # else the tag is still to come
                message = f"{want.message}\n\nEvent: {want.event.digest}\nActor: {want.event.actor}"
                wanted.setdefault(want.name, []).append((commit, message))
    for name, forms in wanted.items():
        yield _tag(there.get(name), name, forms)
    for name in sorted(there.keys() - wanted.keys()):
        if name.replace("@", "#").partition("#")[0] in ours:
            detail = "the ledger has no event for it; restore the ledger if it lost events, else delete the tag"
            yield Finding(kind="tag", stage="publish", path=f"tag {name}", holds=False, detail=detail)


def _tag(found: GitTag | None, name: str, forms: list[tuple[str, str]]) -> Finding:
    """Return a tag against the forms (commit, message) that ledgers ask for."""
    said: dict[str, Any] = {"kind": "tag", "stage": "publish", "path": f"tag {name}"}
    mend = "; `parammem sync` makes it anew from the ledger"
    if found is None:
        return Finding(**said, holds=False, detail=f"it is missing{mend}")
    fitting = [message for commit, message in forms if commit == found.commit]
    if not fitting:
        detail = f"it points at {found.commit[:12] or 'nothing'}, the ledger's event is in {forms[0][0][:12]}{mend}"
        return Finding(**said, holds=False, detail=detail)
    if not found.annotated or found.message.strip() not in fitting:
        return Finding(**said, holds=False, detail=f"its message is not what the ledger says{mend}")
    return Finding(**said, holds=True, detail=f"points at {found.commit[:12]}")


def generation_checks(
    one: Generation, life: Life, seen: set[str], folders: Folders, own: Uncommitted
) -> Iterator[Finding]:
    """Check bytes, manifest, data, rules and evaluation of one generation.

    Args:
        seen: cached copies that were checked before.
        folders: gives the hashes of all folders in which the history has an adapter.
        own: what a `dvc repro` left that is not committed.
    """
    where = f"{LOCK} of {one.commit.sha[:12]}" if one.commit else LOCK
    if one.commit is not None:  # the working tree's own is checked with the tree
        yield from lock_checks(one.snapshot, where)
    for path, (md5, stage) in sorted(one.snapshot.outs.items()):
        if path.startswith(WAY) and one.domain in (path.rpartition("/")[2].partition(".")[0], one.domain):
            yield from object_checks(one.snapshot, path, md5, stage, seen)
    yield from manifest_checks(one, own)
    yield from _recorded(one, life, folders)
    deps = one.snapshot.lock.get(f"evaluate@{one.domain}", {}).get("deps", {})
    if one.place in deps:
        detail = f"evaluate read {one.place} as {deps[one.place][:12]}, train wrote {one.out[:12]}"
        same: bool | None = deps[one.place] == one.out
        if not same and one.commit is None and f"evaluate@{one.domain}" in own.behind:
            same, detail = None, f"{one.place} was trained anew; `dvc repro` will run evaluate@{one.domain} on it"
        yield Finding(kind="report", stage=f"evaluate@{one.domain}", path=where, holds=same, detail=detail)


def object_checks(state: Snapshot, path: str, md5: str, stage: str, seen: set[str]) -> Iterator[Finding]:
    """Check that the bytes of an out in DVC's cache still have the hash that they are named after."""
    listing = state.store.listing(md5) if md5.endswith(".dir") else None
    names = {md5: path} | {inner: f"{path}/{name}" for name, inner in (listing or {}).items()}
    for inner, name in names.items():
        if not inner or f"{inner} {name}" in seen:
            continue
        seen.add(f"{inner} {name}")
        held = state.store.object(inner)
        if held is None:  # not cached: git or the working tree has it, and is checked there
            continue
        found = state.store.hashes.file(held)
        short = held.relative_to(state.store.repo) if held.is_relative_to(state.store.repo) else held.name
        detail = f"DVC's cached copy {short} has the hash {found[:12]}, it is named after {inner[:12]}"
        holds = found == inner.removesuffix(".dir")
        yield Finding(kind=kind_of(path), stage=stage, path=name, holds=holds, detail=detail)


def raw_checks(history: History, state: Snapshot | None, seen: set[str]) -> Iterator[Finding]:
    """Check DVC's cached copies of raw inputs: of one state, or (None) of all that any commit or the working tree
    names.

    What only a branch names is stored nowhere else.
    """
    store, repo = history.store, history.repo
    for path, md5 in raw_inputs(store, state.commit).items() if state else every_raw_input(history):
        if store.object(md5) is not None:
            yield from object_checks(Snapshot(store, {}), path, md5, "ingest", seen)
        elif store.hashes.any(repo / path) != md5:
            detail = NOT_HERE if (repo / f"{path}.dvc").is_file() else "not here; `dvc fetch --all-commits`"
            yield Finding(kind=kind_of(path), stage="ingest", path=path, holds=None, detail=detail)


def current_checks(history: History, own: Uncommitted) -> Iterator[Finding]:
    """Check the adapters of the working tree against the data and rules that are there now."""
    here = history.here()
    for place, (out, _) in sorted(here.outs.items()):
        if place.startswith(REFLECTORS):
            domain = place.removeprefix(REFLECTORS)
            adapter = history.card(here, place, out)
            yield from manifest_checks(Generation(domain, 0, place, out, None, here, adapter), own)
            yield from _base(history, adapter)


def _base(history: History, adapter: Adapter | None) -> Iterator[Finding]:
    """Check that the base model that is here is the one that the adapter was trained on."""
    folder = history.repo / adapter.base_model if adapter else None
    if adapter is None or folder is None or not folder.is_dir():
        return

    def digest() -> str | None:
        try:
            return model_digest(folder)
        except ModelMissingError:
            return None

    found = history.hashes.fact("model", history.hashes.folder(folder), digest)
    if found is not None:
        detail = (
            f"its digest is {found[:16]}, the adapter of {adapter.domain} was trained on {adapter.base_digest[:16]}"
        )
        same = found == adapter.base_digest
        yield Finding(kind="model", stage="train", path=adapter.base_model, holds=same, detail=detail)


def _recorded(one: Generation, life: Life, folders: Folders) -> Iterator[Finding]:
    """Check what the ledger says of this adapter. The folder that it published has to be in the history; the same
    weights may be in others too, with another record of their validation."""
    if one.adapter is None:
        return
    for event in life.of(one.adapter.digest):
        fact = event.fact
        said: dict[str, Any] = {"kind": "ledger", "path": LEDGER}
        if isinstance(fact, Trained):
            same = (fact.data_digest, fact.rows, fact.base_digest) == (
                one.adapter.data_digest, one.adapter.rows, one.adapter.base_digest)  # fmt: skip
            detail = f"event {event.number} and adapter.json of {one.name} tell of the same rows and base"
            yield Finding(**said, stage="train", holds=same, detail=detail if same else f"not so: {detail}")
        elif isinstance(fact, Published) and fact.dvc:
            same = fact.dvc == one.out or fact.domain != one.domain or fact.dvc in folders(one.adapter.digest)
            detail = (
                f"event {event.number} published folder {fact.dvc[:12]}, no dvc.lock has it: {one.out[:12]} is there"
            )
            detail = "as the ledger published it" if same else detail
            yield Finding(**said, stage="publish", holds=same, detail=detail)


def fsck(repo: Path) -> Finding:
    """Run git's own check of every object, return what it found."""
    text = ask(repo, "fsck", "--full", "--no-dangling", "--no-progress")
    detail = "git fsck finds nothing" if text is not None else "`git fsck --full` finds damaged or missing objects"
    return Finding(kind="git", stage="git", path=".git", holds=text is not None, detail=detail)
