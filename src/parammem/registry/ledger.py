"""The one ledger: an append-only file of events, each chained to the one before, flushed to disk before it counts.

Tags, aliases and every "who is champion" are read out of it (state.py) or made from it (projections).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from pydantic import ValidationError

from parammem.core.decision import Decision
from parammem.core.event import START, Event, Fact, make_event
from parammem.core.jsonl import write_text
from parammem.errors import LedgerError

PLACE = Path("ledger") / "events.jsonl"
DECISIONS = Path("ledger") / "decisions"


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
        last line that a crash cut short counts as never written and is taken away.

        Raises:
            LedgerError: the chain is broken; nothing was added.
            OSError: the disk is full or cannot be written; the ledger is as it was.
        """
        with self._locked():
            events = self.read()
            for event in events:
                if event.fact == fact and _once(fact):
                    return event
            last = events[-1] if events else None
            event = make_event(
                last.number + 1 if last else 1, self._clock(), actor, fact, last.digest if last else START
            )
            self._write(event)
        return event

    def read(self) -> list[Event]:
        """All events in order. Raises LedgerError, naming the line, when the chain does not hold."""
        events, faults = self._walk()
        if faults:
            first = faults[0]
            raise LedgerError(
                f"{self.path}:{first.line}: {first.what}; restore the file with `git checkout -- {PLACE}`, "
                "or see `git log -p` for who changed it"
            )
        return events

    def verify(self) -> list[Fault]:
        """Every line that does not parse, is out of number, or does not fit its digest or the line before."""
        return self._walk()[1]

    def save_decision(self, decision: Decision) -> Path:
        """Write ledger/decisions/<digest>.json, atomically; the same decision twice is the same file."""
        path = self.root / DECISIONS / f"{decision.digest}.json"
        write_text(path, decision.model_dump_json(indent=1) + "\n")
        return path

    def decision(self, digest: str) -> Decision:
        """The record of a decision. Raises LedgerError when it is missing or is not what its name says."""
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
        # Not beside the ledger: a lock file there would be untracked in everybody's `git status`.
        lock = self.root / ".cache" / "locks" / "ledger.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield

    def _walk(self) -> tuple[list[Event], list[Fault]]:
        if not self.path.is_file():
            return [], []
        events: list[Event] = []
        faults: list[Fault] = []
        previous = START
        for number, line in enumerate(_whole_lines(self.path.read_bytes()), 1):
            try:
                event = Event.model_validate_json(line)
            except ValidationError as error:
                faults.append(Fault(number, f"not an event: {error.errors(include_url=False)[0]['msg']}"))
                continue
            faults += [Fault(number, what) for what in _wrong(event, number, previous)]
            events.append(event)
            previous = event.digest
        return events, faults

    def _write(self, event: Event) -> None:
        """The file grows by one whole line or stays as it was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.path.touch()
            _flush_folder(self.path.parent)  # before the line: once that is written nothing may fail any more
        with self.path.open("a+b", buffering=0) as out:
            out.seek(0)
            whole = len(b"".join(_whole_lines(out.read())))
            out.truncate(whole)  # drops what a crash cut short
            line = event.line().encode() + b"\n"
            try:
                if out.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(out.fileno())
            except OSError:
                out.truncate(whole)
                raise


def _once(fact: Fact) -> bool:
    """Rollbacks may repeat in a life: back to v1, on to v2, back to v1. Whoever asks for one looks first."""
    return fact.kind != "rollback"


def _whole_lines(data: bytes) -> list[bytes]:
    """Lines with their newline; an unfinished last one is left out."""
    return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


def _wrong(event: Event, number: int, previous: str) -> Iterator[str]:
    if event.number != number:
        yield f"event number {event.number} stands in line {number}: a line was removed or added"
    if event.digest != event.expected_digest:
        yield f"event {event.number} does not fit its digest: it was changed"
    if event.previous != previous:
        yield f"event {event.number} does not follow the line before it: the order or an earlier event was changed"


def _flush_folder(folder: Path) -> None:
    """The entry of a new file is safe only when its folder is flushed too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
