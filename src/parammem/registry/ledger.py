"""The one ledger: an append-only file of events, each chained to the one before, flushed to disk before it counts.

What a line is says `core/ledger_format.py`. That no commit took one away is checked in growth.py. Tags, aliases and
every "who is champion" are read out of it (state.py) or made from it (projections).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from pydantic import ValidationError

from parammem.checkout.places import CACHE, DECISIONS, LOCKS
from parammem.checkout.places import LEDGER as PLACE
from parammem.core.decision import Decision
from parammem.core.event import START, Event, Fact, make_event
from parammem.core.jsonl import write_text
from parammem.core.ledger_format import finished, fits_digest, identity, read_event, split_lines
from parammem.errors import LedgerError

CUT_SHORT = CACHE / "ledger"
"""Where an append keeps what a crash left after the last whole line. It never counted; it is not thrown away either."""


class Fault(NamedTuple):
    """A line of the ledger that cannot be believed."""

    line: int
    """From 1."""
    what: str


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Ledger:
    """The ledger of the repository (or worktree) at `root`. A missing file is an empty ledger."""

    def __init__(self, root: Path | str = ".", clock: Callable[[], str] = now) -> None:
        self.root = Path(root)
        self.path = self.root / PLACE
        self._clock = clock

    def append(self, fact: Fact, actor: str) -> Event:
        """Add one event and return it once it is on the disk.

        A fact that is there already is not added again: a step that is repeated after a crash gets the old event. A
        part of a line that a crash cut short counts as never written, and is kept aside in `CUT_SHORT`; a last line
        that lacks nothing but its newline gets that back.

        Raises:
            LedgerError: the chain is broken, or the fact is none that could be read back; nothing was added.
            OSError: the disk is full or cannot be written; the ledger is as it was.
        """
        with self._locked():
            events = self.read()
            wanted = identity(fact)
            for event in events:
                if event.fact.kind == fact.kind and _once(fact) and identity(event.fact) == wanted:
                    return event
            last = events[-1] if events else None
            event, line = self._next(fact, actor, last)
            self._write(line, last)
        return event

    def read(self) -> list[Event]:
        """Return all events in order. Raises LedgerError, naming the line, when the chain does not hold."""
        events, faults = self._walk()
        if faults:
            first = faults[0]
            raise LedgerError(
                f"{self.path}:{first.line}: {first.what}; restore the file with `git checkout -- {PLACE}`, "
                "or see `git log -p` for who changed it"
            )
        return events

    def verify(self) -> list[Fault]:
        """Return every line that is not as the ledger writes it, is out of number, or does not fit its digest or the
        line before."""
        return self._walk()[1]

    def unfinished(self) -> str:
        """Return what stands after the last newline, in words; empty if nothing does."""
        data = self.path.read_bytes() if self.path.is_file() else b""
        return walk(data)[2]

    def save_decision(self, decision: Decision) -> Path:
        """Write ledger/decisions/<digest>.json, atomically; the same decision twice is the same file."""
        path = self.root / DECISIONS / f"{decision.digest}.json"
        write_text(path, decision.model_dump_json(indent=1) + "\n")
        return path

    def decision(self, digest: str) -> Decision:
        """Return the record of a decision. Raises LedgerError when it is missing or is not what its name says."""
        path = self.root / DECISIONS / f"{digest}.json"
        try:
            found = Decision.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LedgerError(f"no decision {digest[:16]!r} in {path.parent}; restore it with git") from None
        except (ValidationError, UnicodeDecodeError) as error:
            raise LedgerError(f"{path} is no decision ({type(error).__name__}); restore it with git") from error
        if found.digest != digest:
            raise LedgerError(f"{path} was changed: its digest is {found.digest[:16]}; restore it with git")
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Not beside the ledger: a lock file there would be untracked in each clone's `git status`.
        lock = self.root / LOCKS / "ledger.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield

    def _walk(self) -> tuple[list[Event], list[Fault]]:
        return walk(self.path.read_bytes())[:2] if self.path.is_file() else ([], [])

    def _next(self, fact: Fact, actor: str, last: Event | None) -> tuple[Event, bytes]:
        """Return the event that follows, and its line, which is known to read back as the same."""
        try:
            event = make_event(
                last.number + 1 if last else 1, self._clock(), actor, fact, last.digest if last else START
            )
            line = event.line().encode()
            if read_event(line) != event:
                raise ValueError("it reads back as another one")
        except ValueError as error:
            raise LedgerError(f"the event {fact.kind!r} cannot be written: {error}; nothing was added") from None
        return event, line

    def _write(self, line: bytes, last: Event | None) -> None:
        """Append a line to the file, which grows by one whole line or stays as it was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.path.touch()
            _flush_folder(self.path.parent)  # before the line: once that is written nothing may fail any more
        with self.path.open("a+b", buffering=0) as out:
            out.seek(0)
            data = out.read()
            lines, rest = split_lines(data)
            size = len(data)
            if rest and last is not None and last.number == len(lines) + 1:
                line = b"\n" + line  # the last event counts and lacks only this
            elif rest:
                self._keep(rest)
                size -= len(rest)
                out.truncate(size)
            try:
                if out.write(line + b"\n") != len(line) + 1:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(out.fileno())
            except OSError:
                out.truncate(size)
                raise

    def _keep(self, rest: bytes) -> None:
        place = self.root / CUT_SHORT / f"{hashlib.sha256(rest).hexdigest()[:16]}.part"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as out:
            out.write(rest)
            out.flush()
            os.fsync(out.fileno())
        _flush_folder(place.parent)


def walk(data: bytes) -> tuple[list[Event], list[Fault], str]:
    """Return the events of a ledger's bytes, every line that cannot be believed, and in words what stands after the
    last newline."""
    events: list[Event] = []
    faults: list[Fault] = []
    previous = START
    lines, rest = split_lines(data)
    for number, line in enumerate(lines, 1):
        try:
            event = read_event(line)
        except ValueError as error:
            faults.append(Fault(number, str(error)))
            continue
        faults += [Fault(number, what) for what in _wrong(event, number, previous)]
        events.append(event)
        previous = event.digest
    if not rest:
        return events, faults, ""
    whole = finished(rest, events[-1] if events else None, START) if len(events) == len(lines) else None
    if whole is None:
        said = f"line {len(lines) + 1} was cut short by a crash and counts as never written"
        return events, faults, f"{said}; the next append keeps it aside in {CUT_SHORT}"
    said = f"line {len(lines) + 1} lacks its newline; the event counts, and the next append gives it back"
    return [*events, whole], faults, said


def _once(fact: Fact) -> bool:
    """Return whether a fact stands in the ledger once. Rollbacks may repeat: back to v1, on to v2, back to v1. Callers
    check for a repeat themselves."""
    return fact.kind != "rollback"


def _wrong(event: Event, number: int, previous: str) -> Iterator[str]:
    if event.number != number:
        yield f"event number {event.number} stands in line {number}: a line was removed or added"
    if not fits_digest(event):
        yield f"event {event.number} does not fit its digest: it was changed"
    if event.previous != previous:
        yield f"event {event.number} does not follow the line before it: the order or an earlier event was changed"


def _flush_folder(folder: Path) -> None:
    """Flush a folder to the disk. The entry of a new file is safe only when its folder is flushed too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
