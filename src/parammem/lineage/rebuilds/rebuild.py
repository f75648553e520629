"""Build an adapter once more from its recorded commit, data and params, with nothing cached, and compare the bytes."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from parammem.checkout.dvc_lock import LOCK, Lock, read_lock
from parammem.checkout.hashes import Hashes, files_below
from parammem.checkout.places import Places
from parammem.checkout.snapshot import Snapshot
from parammem.checkout.worktree import repro, set_params, worktree
from parammem.core import Adapter
from parammem.core.record import Record
from parammem.core.words import count
from parammem.errors import LineageMissingError
from parammem.lineage.past.events import read_life, trained
from parammem.lineage.past.history import History
from parammem.lineage.past.subject import find_subject
from parammem.lineage.rebuilds import environment as environments
from parammem.lineage.rebuilds.compare import Difference, compare_files
from parammem.lineage.rebuilds.rebuild_result import keep_rebuild


class Rebuilt(Record):
    """What came of a rebuild."""

    adapter: str
    commit: str
    stages: tuple[str, ...]
    """The stages that ran, in order."""
    identical: bool
    """Every out of every stage has the recorded bytes."""
    differences: tuple[Difference, ...]
    """Per out that differs its first difference, in the order of the stages."""
    changed_params: dict[str, Any]
    """What was laid over the recorded params on purpose."""
    environment: dict[str, tuple[str, str]]
    """What differs from the recorded environment: package, or python, torch, system, cpu, device, threads →
    (recorded, here)."""
    recreated: str
    """The virtual environment made from the recorded constraints, in which it ran; empty: it ran in this one."""
    machine: str

    @property
    def verdict(self) -> str:
        if self.identical:
            said = f"bit-identical: every out of {count(len(self.stages), 'stage')}"
        else:
            first = self.differences[0]
            said = f"not identical; first in stage {first.stage}, file {first.path}: {first.detail}"
        return said + self._about_environment()

    def _about_environment(self) -> str:
        if not self.environment:
            return ""
        names = ", ".join(sorted(self.environment)[:5]) + (", …" if len(self.environment) > 5 else "")
        if self.identical:
            return f", although the environment differs in {names}"
        hint = "" if self.recreated else "; --recreate-environment rebuilds with the recorded packages"
        return f" (the environment differs in {names}, which may be why{hint})"


def rebuild(
    repo: Path,
    adapter: str | None = None,
    domain: str = "code",
    changes: Mapping[str, Any] | None = None,
    recreate: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Rebuilt:
    """Run every stage up to the adapter in a clean worktree of its commit, run-cache off, from an empty cache.

    Args:
        changes: `section.key` → value, laid over the recorded params: to see what one dial does.
        recreate: where the environment differs from the recorded one, make that anew and run in it. Needs an index
            or wheels that pip is set up for.
        say: gets each line that `dvc repro` prints.

    Raises:
        AdapterMissingError: there is no such adapter.
        LineageMissingError: it was never committed, a raw input is not here, a stage failed, or the recorded
            environment cannot be had.
    """
    with History.open(repo) as history:
        life = read_life(history.repo)
        subject = find_subject(history, life, adapter, domain)
        made = subject.generation
        if made is None or made.commit is None:
            raise LineageMissingError(f"{subject.title} is in no commit's dvc.lock; commit dvc.lock, then rebuild")
        commit, state = made.commit.sha, made.snapshot
        target = state.maker(made.place)
        assert target is not None
        order = stages_before(state.lock, target)
        event = trained(life, subject.adapter.digest)
        differing = environments.differences(history.repo, commit, subject.adapter, event)
        python = None
        with worktree(history.repo, commit, shared_cache=False) as tree:
            if changes:
                set_params(tree, dict(changes))
            if recreate and differing:
                python = environments.recreate(history.repo, tree, event, say)
                differing = environments.still_different(differing, python, environments.pins_of(tree, "HEAD"))
            bring_start(history, tree, subject.adapter)
            (tree / LOCK).unlink(missing_ok=True)  # nothing is taken for done
            repro(tree, [target], fresh=True, say=say, python=python)
            new = read_lock(tree)
            found = tuple(differences(state, new, tree, order))
        done = Rebuilt(
            adapter=subject.adapter.digest,
            commit=commit,
            stages=tuple(order),
            identical=not found,
            differences=found,
            changed_params=dict(changes or {}),
            environment=differing,
            recreated=str(python.parent.parent.relative_to(history.repo)) if python else "",
            machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        )
        if not changes:
            _remember(history.repo, done)
        return done


def _remember(repo: Path, done: Rebuilt) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = {"identical": done.identical, "verdict": done.verdict, "machine": done.machine, "time": now,
              "environment": done.environment, "recreated": done.recreated}  # fmt: skip
    keep_rebuild(repo, done.adapter, record)


def bring_start(history: History, tree: Path, adapter: Adapter) -> None:
    """Lay the adapter that training went on from where `train` looks for it. Raises LineageMissingError without it."""
    start = str(adapter.recipe.get("start") or "")
    if not start:
        return
    made = next((one for one in history.generations(adapter.domain) if one.digest == start), None)
    files = made.snapshot.files(made.place) if made else None
    if made is None or files is None:
        raise LineageMissingError(f"it was trained on from {start[:16]}, which is not here; `dvc fetch --all-commits`")
    for name in files:
        data, path = made.read(name), Places(tree, adapter.domain).start(start) / name
        if data is None:
            raise LineageMissingError(f"{name} of {start[:16]}, which training went on from, is not in DVC's cache")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def stages_before(lock: Lock, target: str) -> list[str]:
    """Return a stage and all that it rests on, each after what it needs."""
    makers = {path: name for name, stage in lock.items() for path in stage["outs"]}

    def needs(name: str) -> set[str]:
        return {maker for dep in lock[name]["deps"] for path, maker in makers.items() if _overlap(dep, path)} - {name}

    wanted, graph = [target], {}
    while wanted:
        name = wanted.pop()
        if name not in graph:
            graph[name] = needs(name)
            wanted += graph[name]
    return list(TopologicalSorter(graph).static_order())


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def differences(state: Snapshot, new: Lock, tree: Path, order: list[str]) -> list[Difference]:
    """Return the first difference of each out that differs."""
    found = []
    for name in order:
        for path, md5 in state.lock[name]["outs"].items():
            rebuilt = new.get(name, {}).get("outs", {}).get(path)
            if rebuilt != md5:
                found.append(_first(state, name, path, tree))
    return found


def _first(state: Snapshot, stage: str, path: str, tree: Path) -> Difference:
    there = tree / path
    if not there.is_dir():
        return compare_files(stage, path, state.read(path), there.read_bytes() if there.is_file() else None)
    recorded = state.files(path)
    if recorded is None:
        return compare_files(stage, path, None, b"")
    with Hashes() as hashes:
        now = {name: hashes.file(file) for name, file in files_below(there)}
    differ = [name for name in sorted({*recorded, *now}) if recorded.get(name) != now.get(name)]
    differ.sort(key=lambda name: not name.endswith(".safetensors"))  # what matters most first
    name = differ[0]
    new = (there / name).read_bytes() if name in now else None
    return compare_files(stage, f"{path}/{name}", state.read(f"{path}/{name}"), new)


def render_rebuilt(done: Rebuilt) -> str:
    """Return a rebuild in words."""
    lines = [f"adapter {done.adapter[:16]} of commit {done.commit[:12]}, rebuilt from an empty cache without run-cache"]
    lines.append(f"stages: {', '.join(done.stages)} on {done.machine}")
    if done.recreated:
        lines.append(f"in the recorded environment, made anew in {done.recreated}")
    for name, (recorded, here) in sorted(done.environment.items()):
        lines.append(f"environment differs: {name} was {recorded}, is {here}")
    for name, value in done.changed_params.items():
        lines.append(f"changed on purpose: {name} = {value}")
    lines.append(done.verdict)
    lines += [f"  then {one.path} [{one.stage}]: {one.detail}" for one in done.differences[1:]]
    return "\n".join(lines)
