"""Which adapter is meant: a version, a digest, `champion`, `HEAD`, or a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from parammem.checkout.git import tip
from parammem.checkout.places import MODELS
from parammem.checkout.snapshot import Snapshot
from parammem.core import Adapter
from parammem.core.adapter import CARD, read_card
from parammem.errors import AdapterMissingError
from parammem.lineage.past.events import Life
from parammem.lineage.past.history import REFLECTORS, Generation, History

VERSION = re.compile(r"v?(\d+)")
DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Subject:
    """The adapter that a question is about, and the state in which it is."""

    place: str
    """Its folder."""
    adapter: Adapter
    snapshot: Snapshot
    generation: Generation | None
    """None: a control, or an adapter that no dvc.lock names."""
    version: int | None
    here: bool
    """Its folder is in the working tree with these weights."""

    @property
    def domain(self) -> str:
        return self.adapter.domain

    @property
    def out(self) -> str | None:
        return self.generation.out if self.generation else None

    @property
    def title(self) -> str:
        known = self.generation.name if self.generation else f"{self.place} of {self.domain}"
        named = f"v{self.version} of {self.domain}" if self.version else known
        return f"{named} ({self.adapter.digest[:16]})"

    @property
    def evaluated(self) -> bool:
        """The evaluation that its state's dvc.lock records read these bytes, not those of an adapter that lay in the
        folder before. DVC tracks all controls of a domain as one folder."""
        read = self.snapshot.lock.get(f"evaluate@{self.domain}", {}).get("deps", {})
        if self.place in read:
            return self.out == read[self.place]
        above = self.place.rpartition("/")[0]
        return above in read and self.snapshot.hash(above) == read[above]

    def rows(self) -> list[str] | None:
        data = self.snapshot.read(f"{self.place}/rows.txt")
        return None if data is None else data.decode("utf-8", "replace").split()


def find_subject(history: History, life: Life, name: str | None, domain: str) -> Subject:
    """Return the adapter that is meant. None: the one in the working tree.

    Raises:
        AdapterMissingError: there is none of that name, or its bytes are not here.
    """
    if name is None or name in (f"{REFLECTORS}{domain}", "."):
        return _folder(history, life, history.repo / REFLECTORS / domain)
    if name == "HEAD":
        return _head(history, life, domain)
    digest = _digest(life, name, domain)
    if digest is None and not DIGEST.fullmatch(name):
        inside = (history.repo / name).resolve()
        if inside.is_dir() or Path(name).is_dir():
            return _folder(history, life, inside if inside.is_dir() else Path(name).resolve())
        raise AdapterMissingError(f"no adapter {name!r} of {domain}: {_known(life, domain)}")
    wanted = digest or name
    for one in history.generations():
        if one.adapter and one.adapter.digest.startswith(wanted):
            return _of(history, life, one)
    for card in sorted((history.repo / MODELS).rglob(CARD)):
        if read_card(card.parent).digest.startswith(wanted):
            return _folder(history, life, card.parent)
    called = f"adapter {wanted[:16]}" if name == wanted else f"{name} (adapter {wanted[:16]})"
    raise AdapterMissingError(
        f"{called} of {domain} is neither here nor in DVC's cache; `dvc fetch --all-commits` gets it from the remote"
    )


def _digest(life: Life, name: str, domain: str) -> str | None:
    if name == "champion":
        championship = life.champion(domain)
        if championship is None:
            raise AdapterMissingError(f"{domain} has no champion: {_known(life, domain)}")
        return championship.adapter
    version = VERSION.fullmatch(name)
    if version and len(name) < 8:
        known = life.versions(domain)
        if int(version[1]) not in known:
            raise AdapterMissingError(f"no version {name!r} of {domain}: {_known(life, domain)}")
        return known[int(version[1])]
    return None


def _known(life: Life, domain: str) -> str:
    listed = ", ".join(f"v{number}" for number in sorted(life.versions(domain))) or "none"
    return f"registered versions: {listed}; give a version, a digest (8 digits or more), champion, HEAD or a folder"


def _head(history: History, life: Life, domain: str) -> Subject:
    commit = tip(history.repo, "HEAD")
    place = f"{REFLECTORS}{domain}"
    state = history.at(commit) if commit else history.here()
    out = state.outs.get(place, ("", ""))[0]
    for one in history.generations(domain):
        if one.out == out and one.adapter:
            return _of(history, life, one)
    raise AdapterMissingError(f"dvc.lock of HEAD names no adapter in {place} whose bytes are here; `dvc pull`")


def _of(history: History, life: Life, one: Generation) -> Subject:
    assert one.adapter is not None
    here = history.repo / one.place
    lies = (here / CARD).is_file() and read_card(here).digest == one.adapter.digest
    return Subject(one.place, one.adapter, one.snapshot, one, life.version_of(one.adapter.digest), lies)


def _folder(history: History, life: Life, folder: Path) -> Subject:
    adapter = read_card(folder)
    place = folder.relative_to(history.repo).as_posix() if folder.is_relative_to(history.repo) else str(folder)
    state = history.here()
    out = state.outs.get(place, ("", ""))[0]
    made = next((one for one in history.generations(adapter.domain) if (one.place, one.out) == (place, out)), None)
    same = made if made and made.digest == adapter.digest else None
    return Subject(place, adapter, state, same, life.version_of(adapter.digest), True)
