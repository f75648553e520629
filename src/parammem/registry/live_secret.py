"""The secret by which runs of agents in use are assigned to arms, and by which their evidence is known for our own."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from parammem.errors import DataError

PLACE = Path(".parammem") / "live-secret"
"""In the repository's main checkout; git ignores it. Whoever can read it can choose arms and write evidence."""
SIZE = 32
HALF = 32
"""Hex digits of a hash in the name of a file of evidence."""


def live_secret(root: Path) -> bytes:
    """Return the secret of a repository; the first call makes it.

    A lost secret is made anew. Runs that were assigned with the old one and are not in the ledger yet are then refused.

    Raises:
        DataError: the file is there and is not such a secret.
    """
    path = root / PLACE
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first; its secret counts
            os.link(part, path)
        part.unlink()
    found = path.read_bytes()
    if len(found) != SIZE:
        raise DataError(f"{path} is not a secret of {SIZE} bytes; delete it, and a new one is made")
    return found


def evidence_name(data: bytes, secret: bytes) -> str:
    """Return the name of a file of runs: the beginnings of its SHA-256, and of that digest's keyed hash. Under another
    name a file is not believed."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{digest[:HALF]}-{hmac.new(secret, digest.encode(), hashlib.sha256).hexdigest()[:HALF]}.jsonl"
