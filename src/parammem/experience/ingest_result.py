"""What ingestion leaves behind beside the batches: refused rows, and what it says of a file."""

from __future__ import annotations

from parammem.core.event import Ingested
from parammem.core.record import Record


class Refused(Record):
    """A line of data/quarantine/experience/<source>.jsonl: one row that was not let in, whole, and why."""

    number: int
    """Its line in the source, from 1."""
    reasons: tuple[str, ...]
    """Names of the rules it broke; docs/continual.md lists them."""
    details: tuple[str, ...]
    """In words, one for each reason. Never a value that a secret could stand in."""
    raw: str
    """The line as it came. Empty when it is in `private`."""
    private: str = ""
    """File in data/quarantine/private/<source>/ that holds the line instead: it holds secrets, is no UTF-8, or is too
    long. `lines` holds all of them, one after the other; in older batches each had a file of its own."""
    offset: int = 0
    """Where it begins in that file."""
    size: int = 0
    """Its bytes there; 0 in older batches: the whole file."""
    raw_digest: str
    """SHA-256 of the line's bytes."""


class IngestResult(Record):
    """What became of one source."""

    event: Ingested
    new: bool
    """False: it had been ingested before, and nothing was done."""
    digest: str
    """SHA-256 of the files' bytes as they were read."""
    files: tuple[str, ...]
    """Files that belong to it, relative to the root; DVC tracks them."""
    examples: tuple[str, ...] = ()
    """The first few refusals, in words and masked."""
