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
    """The line as it came. Empty when it lies in `private`."""
    private: str = ""
    """File in data/quarantine/private/ that holds the line instead: it holds secrets, is no UTF-8, or is too long."""
    raw_digest: str
    """SHA-256 of the line's bytes."""


class Outcome(Record):
    """What became of one source."""

    event: Ingested
    new: bool
    """False: it had been ingested before, and nothing was done."""
    files: tuple[str, ...]
    """Files that belong to it, relative to the root; DVC tracks them."""
    examples: tuple[str, ...] = ()
    """The first few refusals, in words and masked."""
