"""Where the bytes of a past state are: the working tree, DVC's cache, or git. Found by hash, never fetched."""

from __future__ import annotations

import json
from pathlib import Path

from parammem.checkout.dvc import cache_folder, cached
from parammem.checkout.dvc_lock import Lock
from parammem.checkout.git import Blobs
from parammem.checkout.hashes import Hashes, files_below


class ObjectStore:
    """Bytes by DVC's hash."""

    def __init__(self, repo: Path, hashes: Hashes) -> None:
        self.repo, self.hashes = repo, hashes
        self._folders = list(dict.fromkeys([cache_folder(repo), repo / ".dvc" / "cache"]))

    def object(self, md5: str) -> Path | None:
        """Return the cache file that is named after this hash, whatever it holds."""
        for folder in self._folders:
            path = cached(folder, md5)
            if path.is_file():
                return path
        return None

    def bytes_of(self, md5: str) -> bytes | None:
        """Return the contents with this hash, from the cache, if they are there and have it."""
        path = self.object(md5)
        if path is None or self.hashes.file(path) != md5.removesuffix(".dir"):
            return None
        return path.read_bytes()

    def listing(self, md5: str) -> dict[str, str] | None:
        """Return path inside → hash of the file, for a folder's hash."""
        data = self.bytes_of(md5)
        try:
            return None if data is None else {entry["relpath"]: entry["md5"] for entry in json.loads(data)}
        except (ValueError, KeyError, TypeError):
            return None


class Snapshot:
    """A state of the repository, past or present, from which files are read by their path.

    commit None: the working tree. Otherwise files come from DVC's cache by the hashes of that commit's dvc.lock, from
    the working tree where it holds the same bytes, or from git.
    """

    def __init__(self, store: ObjectStore, lock: Lock, commit: str | None = None, blobs: Blobs | None = None) -> None:
        self.store, self.lock, self.commit, self._blobs = store, lock, commit, blobs
        self.outs = {path: (md5, name) for name, stage in lock.items() for path, md5 in stage["outs"].items()}

    def maker(self, path: str) -> str | None:
        """Return the stage with an out that is this path or holds it."""
        owner = self._owner(path)
        return self.outs[owner][1] if owner else None

    def hash(self, path: str) -> str | None:
        """Return the recorded hash of an out, or of a file in one."""
        owner = self._owner(path)
        if owner is None:
            return None
        md5 = self.outs[owner][0]
        if path == owner:
            return md5
        return (self.files(owner) or {}).get(path[len(owner) + 1 :])

    def files(self, folder: str) -> dict[str, str] | None:
        """Return path inside → hash, for an out that is a folder."""
        md5 = self.outs[folder][0] if folder in self.outs else ""
        found = self.store.listing(md5)
        if found is not None:
            return found
        here = self.store.repo / folder
        hashes = self.store.hashes
        if here.is_dir() and (self.commit is None or hashes.folder(here) == md5):
            return {name: hashes.file(file) for name, file in files_below(here)}
        return None

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None if they are nowhere here."""
        here = self.store.repo / path
        if self.commit is None:
            return here.read_bytes() if here.is_file() else None
        md5 = self.hash(path)
        data = self.store.bytes_of(md5) if md5 else None
        if data is None and md5 and here.is_file() and self.store.hashes.file(here) == md5:
            data = here.read_bytes()
        if data is None and self._blobs:
            data = self._blobs.read(f"{self.commit}:{path}")
        return data

    def _owner(self, path: str) -> str | None:
        while path:
            if path in self.outs:
                return path
            path = path.rpartition("/")[0]
        return None
