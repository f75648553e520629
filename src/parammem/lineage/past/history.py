"""Every adapter that a committed dvc.lock has named, oldest first: the generations of each domain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from parammem.checkout.dvc_lock import LOCK, Lock, parse_lock, read_lock
from parammem.checkout.git import Blobs, GitCommit, blob_ids, commits_of
from parammem.checkout.hashes import Hashes
from parammem.checkout.places import REFLECTORS as REFLECTORS_FOLDER
from parammem.checkout.snapshot import ObjectStore, Snapshot
from parammem.core import Adapter
from parammem.core.adapter import CARD, parse_card
from parammem.errors import AdapterMissingError, LineageError

REFLECTORS = f"{REFLECTORS_FOLDER.as_posix()}/"


@dataclass(frozen=True)
class Generation:
    """One adapter in the history of a domain."""

    domain: str
    number: int
    """1 for the first in the history of this domain."""
    place: str
    """Its folder."""
    out: str
    """DVC's hash of that folder."""
    commit: GitCommit | None
    """The first commit whose dvc.lock names it; None: not committed yet."""
    snapshot: Snapshot
    adapter: Adapter | None
    """Its card; None if its bytes are neither here nor in DVC's cache."""

    @property
    def name(self) -> str:
        return f"generation {self.number} of {self.domain}"

    @property
    def digest(self) -> str | None:
        return self.adapter.digest if self.adapter else None

    def read(self, name: str) -> bytes | None:
        """Return a file of its folder."""
        return self.snapshot.read(f"{self.place}/{name}")

    def rows(self) -> list[str] | None:
        """Return its row hashes, in training order."""
        data = self.read("rows.txt")
        return None if data is None else data.decode("utf-8", "replace").split()


class History:
    """The repository's past, read lazily: one dvc.lock at a time, so that memory stays flat over a thousand."""

    def __init__(self, repo: Path, hashes: Hashes, blobs: Blobs) -> None:
        self.repo, self.hashes, self.blobs = repo, hashes, blobs
        self.store = ObjectStore(repo, hashes)

    @classmethod
    @contextmanager
    def open(cls, repo: Path, fresh: bool = False) -> Iterator[History]:
        repo = repo.resolve()
        with Hashes(repo, fresh) as hashes, Blobs.open(repo) as blobs:
            yield cls(repo, hashes, blobs)

    def here(self) -> Snapshot:
        """Return the working tree."""
        return Snapshot(self.store, read_lock(self.repo), None, self.blobs)

    def at(self, commit: str) -> Snapshot:
        """Return the state of a commit. A commit without a readable dvc.lock has an empty one."""
        ids = blob_ids(self.repo, [commit], LOCK)
        lock = self._lock(ids[commit]) if commit in ids else {}
        return Snapshot(self.store, lock or {}, commit, self.blobs)

    def snapshots(self) -> Iterator[tuple[GitCommit | None, Snapshot]]:
        """Yield each state that a commit gave dvc.lock, oldest first, then the working tree."""
        commits = commits_of(self.repo, LOCK)
        ids = blob_ids(self.repo, [commit.sha for commit in commits], LOCK)
        for commit in commits:
            lock = self._lock(ids[commit.sha]) if commit.sha in ids else None
            if lock:
                yield commit, Snapshot(self.store, lock, commit.sha, self.blobs)
        yield None, self.here()

    def generations(self, domain: str | None = None) -> Iterator[Generation]:
        """Yield every adapter, in the order of the commits that first named it; the working tree's last if it is
        new."""
        seen: set[tuple[str, str]] = set()
        numbers: dict[str, int] = {}
        for commit, snapshot in self.snapshots():
            for place, (out, _) in sorted(snapshot.outs.items()):
                name = place.removeprefix(REFLECTORS)
                if not place.startswith(REFLECTORS) or (place, out) in seen or domain not in (None, name):
                    continue
                seen.add((place, out))
                numbers[name] = numbers.get(name, 0) + 1
                yield Generation(name, numbers[name], place, out, commit, snapshot, self.card(snapshot, place, out))

    def _lock(self, blob_id: str) -> Lock | None:
        def parse() -> Lock | None:
            data = self.blobs.read(blob_id)
            try:
                return None if data is None else parse_lock(data)
            except LineageError:  # a past state that was broken then names nothing
                return None

        return self.hashes.fact("lock", blob_id, parse)

    def card(self, snapshot: Snapshot, place: str, out: str) -> Adapter | None:
        """Return the adapter's card in a state; None if it is not here or broken."""

        def read() -> dict | None:
            data = snapshot.read(f"{place}/{CARD}")
            return None if data is None else json.loads(data)

        try:
            plain = read() if snapshot.commit is None else self.hashes.fact("adapter", out, read)
            return None if plain is None else Adapter.model_validate(plain)
        except (ValueError, ValidationError):
            return None


def card_in(state: Snapshot, place: str) -> Adapter:
    """Return the adapter's card in a state that must have it. Raises AdapterError where it is not here or broken."""
    where = f"{place}/{CARD} of {f'commit {state.commit[:12]}' if state.commit else 'the working tree'}"
    data = state.read(f"{place}/{CARD}")
    if data is None:
        raise AdapterMissingError(
            f"{where} is neither here nor in DVC's cache; `dvc fetch --all-commits` gets it from the remote, "
            "`dvc repro train` makes a new one"
        )
    return parse_card(data, where)
