"""Replaying the ledger to a Weights & Biases server: what offline runs cannot record.

Aliases, links and the inputs of a run need a server. Every event asks for some of them; what was done is remembered,
in a file that may be lost: each operation gives the same result when it is done again. A version that the server has
no artifact of (tracking was off, a turn was killed before it logged, offline runs were lost) is logged now, out of its
tag; where that cannot be done its operations wait, and all others are done.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from parammem.checkout.git import file_at
from parammem.checkout.places import METRICS, VALIDATION, Places
from parammem.core import Record, digest_of, read_jsonl
from parammem.core.event import Event, Published, RolledBack, Trained
from parammem.core.jsonl import write_text
from parammem.core.words import count
from parammem.errors import AdapterError, DataError, LedgerError, LineageError
from parammem.registry.state import Version, versions
from parammem.registry.storage import fetch
from parammem.registry.tags import artifact as artifact_name
from parammem.tracking.wandb_server import ArtifactAbsent

DONE = "synced.jsonl"
STATE = ("params.yaml", "dvc.lock", METRICS.as_posix(), f"{VALIDATION.as_posix()}/{{domain}}.json")
"""What a run is logged with, beside the adapter's folder."""


class TrackingServer(Protocol):
    """A W&B server that answers. `parammem.tracking` makes one."""

    name: str
    """Host and project: what was done on one server was not done on another."""

    def set_aliases(self, artifact: str, digest: str, aliases: tuple[str, ...], gone: tuple[str, ...]) -> None:
        """Give the artifact version with the alias `digest` these aliases, and take others away from all versions.

        Raises:
            ArtifactAbsent: the server has no such version. So does `link`.
        """
        ...

    def use(self, run: str, artifact: str, metadata: dict[str, Any]) -> None:
        """Record that a run was made from this data."""
        ...

    def link(self, artifact: str, digest: str, collection: str) -> None:
        """Show an artifact version in a registry collection."""
        ...

    def log(self, state: Path) -> None:
        """Log the adapter of a repository's state, whatever was logged before. Raises DataError if that fails."""
        ...


class Operation(Record):
    """One thing that a server must be told."""

    kind: str
    """aliases, use or link."""
    event: str
    """Digest of the event that asks for it."""
    arguments: dict[str, Any]

    @property
    def key(self) -> str:
        return digest_of([self.kind, self.event])


class Done(Record):
    """A line of synced.jsonl."""

    server: str
    key: str


def operations(events: Sequence[Event]) -> list[Operation]:
    """Return what all events together ask for, in their order."""
    return [operation for event in events for operation in _of(event)]


def _of(event: Event) -> list[Operation]:
    fact = event.fact
    if isinstance(fact, Trained):
        about = {"dvc": fact.dvc, "data_digest": fact.data_digest, "rows": fact.rows, "batches": list(fact.batches)}
        use = {"run": f"train-{fact.domain}-{fact.adapter[:16]}", "artifact": f"rows-{fact.domain}", "metadata": about}
        return [Operation(kind="use", event=event.digest, arguments=use)]
    if isinstance(fact, Published):
        new = ("candidate", f"v{fact.version}") if fact.stage == "candidate" else ("champion",)
        return _named(event, fact.domain, fact.adapter, new, link=fact.stage == "champion")
    if isinstance(fact, RolledBack) and fact.version:
        return _named(event, fact.domain, fact.adapter, ("champion",), link=False)
    if isinstance(fact, RolledBack):
        none = {"artifact": f"reflector-{fact.domain}", "digest": "", "aliases": [], "gone": ["champion"]}
        return [Operation(kind="aliases", event=event.digest, arguments=none)]
    return []


def _named(event: Event, domain: str, adapter: str, aliases: tuple[str, ...], link: bool) -> list[Operation]:
    version = {"artifact": f"reflector-{domain}", "digest": f"digest-{adapter[:16]}"}
    found = [Operation(kind="aliases", event=event.digest, arguments={**version, "aliases": list(aliases), "gone": []})]
    if link:
        collection = {"collection": f"{domain}-reflector"}
        found.append(Operation(kind="link", event=event.digest, arguments={**version, **collection}))
    return found


def aliases_of(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    """Return adapter digest → the aliases it has now, for artifacts that are logged offline."""
    found: dict[str, set[str]] = {}
    for event in events:
        fact = event.fact
        if not isinstance(fact, Published | RolledBack):
            continue
        new = {"candidate", f"v{fact.version}"} if isinstance(fact, Published) and fact.stage == "candidate" else set()
        if not new:  # champion is one at a time, and by domain
            for other in _adapters(events, fact.domain):
                found.get(other, set()).discard("champion")
            new = {"champion"} if fact.version else set()
        if fact.adapter:
            found.setdefault(fact.adapter, set()).update(new)
    return {adapter: tuple(sorted(names)) for adapter, names in found.items()}


def _adapters(events: Sequence[Event], domain: str) -> set[str]:
    return {e.fact.adapter for e in events if isinstance(e.fact, Published) and e.fact.domain == domain}


def replay(events: Sequence[Event], server: TrackingServer, folder: Path, root: Path = Path()) -> list[Operation]:
    """Tell the server what it was not told yet, in order. Any other failure than an artifact that the server lacks
    stops here; the rest is done next time.

    Args:
        folder: where it is remembered what was told.
        root: the repository whose tags hold the versions.

    Returns:
        What was done now.

    Raises:
        DataError: some operations wait for artifacts that could not be logged, and are named; all others are done.
    """
    path, all_ = folder / DONE, operations(events)
    done = {line.key for line in (read_jsonl(path, Done) if path.is_file() else []) if line.server == server.name}
    new: list[Operation] = []
    late: list[Operation] = []
    lost: dict[str, str] = {}
    for place, operation in enumerate(all_):
        if operation.key in done:
            continue
        told_later = [other for other in all_[place + 1 :] if other.key in done]
        if not _tell_or_log(server, _without_what_moved_on(operation, told_later), events, root, lost):
            late.append(operation)
            continue
        _remember(path, Done(server=server.name, key=operation.key))
        new.append(operation)
    if lost:
        said = "\n".join(f"  {version}: {why}" for version, why in lost.items())
        raise DataError(
            f"W&B has no artifact of {count(len(lost), 'version')}, and they could not be logged:\n{said}\n"
            f"{count(len(late), 'operation')} still to do for them; all others are done ({len(new)} now). Bring the "
            "adapters back (`dvc fetch --all-tags`), then run `parammem sync` again"
        )
    return new


def _tell_or_log(
    server: TrackingServer, operation: Operation, events: Sequence[Event], root: Path, lost: dict[str, str]
) -> bool:
    """Tell the server; if it lacks the version log it, once, and tell again. False: it cannot be had, see `lost`."""
    version, digest = _version_of(operation, events), operation.arguments.get("digest", "")
    name = f"{version.domain} {version.name} ({digest})" if version else f"{operation.arguments['artifact']} ({digest})"
    if name in lost:
        return False
    try:
        _tell(server, operation)
    except ArtifactAbsent as absent:
        if version is None:
            lost[name] = f"{absent}, and the ledger no version of it"
            return False
        try:
            _log(server, version, root)
            _tell(server, operation)
        except (AdapterError, DataError, LedgerError, LineageError) as error:
            lost[name] = str(error).strip().splitlines()[-1]
            return False
    return True


def _version_of(operation: Operation, events: Sequence[Event]) -> Version | None:
    """Return the version that an operation is about; None for one that needs no artifact."""
    digest = operation.arguments.get("digest", "").removeprefix("digest-")
    domain = operation.arguments["artifact"].removeprefix("reflector-")
    return next((v for v in versions(events, domain) if digest and v.adapter.startswith(digest)), None)


def _without_what_moved_on(operation: Operation, later: Sequence[Operation]) -> Operation:
    """Return an operation that comes late, without the aliases that others have taken since: champion is one at a
    time."""
    if operation.kind != "aliases":
        return operation
    a = operation.arguments
    others = [o.arguments for o in later if o.kind == "aliases" and o.arguments["artifact"] == a["artifact"]]
    taken = {alias for one in others for alias in (*one["aliases"], *one["gone"])}
    left = {name: [alias for alias in a[name] if alias not in taken] for name in ("aliases", "gone")}
    return operation.model_copy(update={"arguments": {**a, **left}})


def _log(server: TrackingServer, version: Version, root: Path) -> None:
    """Log a version as `parammem track` would have done when its tag was made: out of that commit and DVC.

    Raises:
        LedgerError: it has no tag, or its data is nowhere.
        AdapterError, DataError, LineageError: what is there cannot be believed, or the server went away.
    """
    tag = f"{artifact_name(version.domain)}@{version.name}.0.0"
    with tempfile.TemporaryDirectory(prefix="parammem-sync-") as place:
        state = Path(place)
        fetch(root, version.domain, version, Places(state, version.domain).reflector)
        for name in STATE:
            path = name.format(domain=version.domain)
            data = file_at(root, tag, path)
            if data is not None:  # a commit need not hold it
                write_text(state / path, data.decode(errors="replace"))
        server.log(state)


def _tell(server: TrackingServer, operation: Operation) -> None:
    a = operation.arguments
    if operation.kind == "aliases":
        server.set_aliases(a["artifact"], a["digest"], tuple(a["aliases"]), tuple(a["gone"]))
    elif operation.kind == "link":
        server.link(a["artifact"], a["digest"], a["collection"])
    else:
        server.use(a["run"], a["artifact"], a["metadata"])


def _remember(path: Path, line: Done) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as out:
        out.write(line.line() + "\n")
        out.flush()
        os.fsync(out.fileno())
