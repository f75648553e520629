"""Replaying the ledger to a Weights & Biases server: what offline runs cannot record.

Aliases, links and the inputs of a run need a server. Every event asks for some of them; what was done is remembered,
in a file that may be lost: each operation gives the same result when it is done again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from parammem.core import Record, digest_of, read_jsonl
from parammem.core.event import Event, Published, RolledBack, Trained

DONE = "synced.jsonl"


class Server(Protocol):
    """A W&B server that answers. `parammem.tracking` makes one."""

    name: str
    """Host and project: what was done on one server was not done on another."""

    def set_aliases(self, artifact: str, digest: str, aliases: tuple[str, ...], gone: tuple[str, ...]) -> None:
        """Give the artifact version with the alias `digest` these aliases, and take others away from all versions."""
        ...

    def use(self, run: str, artifact: str, metadata: dict[str, Any]) -> None:
        """Record that a run was made from this data."""
        ...

    def link(self, artifact: str, digest: str, collection: str) -> None:
        """Show an artifact version in a registry collection."""
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
    """What all events together ask for, in their order."""
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
    """Adapter digest → the aliases it has now, for artifacts that are logged offline."""
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


def replay(events: Sequence[Event], server: Server, folder: Path) -> list[Operation]:
    """Tell the server what it was not told yet, in order. A failure stops here; the rest is done next time.

    Returns:
        What was done now.
    """
    path = folder / DONE
    done = {line.key for line in (read_jsonl(path, Done) if path.is_file() else []) if line.server == server.name}
    new = []
    for operation in operations(events):
        if operation.key in done:
            continue
        _tell(server, operation)
        _remember(path, Done(server=server.name, key=operation.key))
        new.append(operation)
    return new


def _tell(server: Server, operation: Operation) -> None:
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
