"""From a source to immutable batch files, with an event in the ledger. A second time it is a no-op.

Files are written in a folder of their own and moved into place when all are whole; then the ledger says so. A batch
that the ledger does not name was never finished: ingesting its source again makes the same file and the event.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from filelock import FileLock

from parammem.core import AnswerKey
from parammem.core.event import Event, Ingested
from parammem.core.experience import Experience
from parammem.core.jsonl import write_text
from parammem.errors import DataError
from parammem.experience.convert import Format, Unreadable, read_line
from parammem.experience.door import PRIVATE, Broken
from parammem.experience.known import Known, row_digest
from parammem.experience.private import find_private
from parammem.experience.records import Outcome, Refused
from parammem.experience.sources import LONGEST_LINE, Line, Source, copy_line
from parammem.experience.split import is_fresh
from parammem.experience.store import BATCHES, FRESH, KEYS, QUARANTINE, WORK, Store
from parammem.registry.ledger import Ledger

CHUNK = 256
"""Rows that are judged together."""
SHOWN = 5
"""Refusals that are shown to people."""


def ingest(source: Source, store: Store, actor: str, form: Format | None = None) -> Outcome:
    """Take one source in.

    Raises:
        DataError: the source is empty, or changed while it was read.
        OSError: the disk is full, or cannot be written; everything is as it was.
        LedgerError: the ledger is broken.
    """
    digest = source.digest()
    ledger = Ledger(store.root)
    with _alone(store.root) as work:
        facts = ingested(ledger.read())
        old = next((fact for fact in facts if fact.source == digest), None)
        if old:
            _write_order(store.root, facts)
            return Outcome(event=old, new=False, files=_files_of(store.root, old))
        known = Known(store.root)
        try:
            known.follow(store.root / place for fact in facts for place in _rows_of(fact))
            sorter = _Sorter(store, known, work, form)
            sorter.run(source, digest)
            if not sorter.counts["rows"]:
                raise DataError(f"{source.name!r} has no rows; nothing was ingested")
        finally:
            known.close()
        return _finish(source, digest, sorter, store, ledger, actor)


def ingested(events: list[Event]) -> list[Ingested]:
    """The ingest facts of a ledger, oldest first."""
    return [event.fact for event in events if isinstance(event.fact, Ingested)]


def _rows_of(fact: Ingested) -> list[Path]:
    places = [(BATCHES, fact.batch), (FRESH, fact.fresh)]
    return [folder / f"{name}.jsonl" for folder, name in places if name]


def _files_of(root: Path, fact: Ingested) -> tuple[str, ...]:
    """Files of a source that are here."""
    places = [*_rows_of(fact), QUARANTINE / f"{fact.source}.jsonl", KEYS / f"{fact.fresh}.jsonl"]
    return tuple(place.as_posix() for place in places if (root / place).is_file())


@contextmanager
def _alone(root: Path) -> Iterator[Path]:
    """One ingestion at a time, with an empty folder to work in that lies on the same disk as the batches."""
    lock = root / ".cache" / "locks" / "ingest.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        work = root / WORK
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


@dataclass
class _Sorter:
    """Reads a source once and deals its rows out to files in the work folder."""

    store: Store
    known: Known
    work: Path
    form: Format | None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    formats: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)

    def run(self, source: Source, digest: str) -> None:
        names = ("batch", "fresh", "keys", "refused")
        with _opened([self.work / name for name in names]) as (batch, fresh, keys, refused):
            self.out = {"batch": batch, "fresh": fresh, "keys": keys, "refused": refused}
            chunk: list[tuple[Line, Experience, AnswerKey | None]] = []
            for line in source.lines():
                self.counts["rows"] += 1
                row = self._read(line)
                chunk += [(line, *row)] if row else []
                if len(chunk) == CHUNK:
                    self._deal(chunk)
                    chunk = []
            self._deal(chunk)
        if source.digest() != digest:
            raise DataError(f"{source.name!r} was changed while it was being read; ingest it again")

    def _read(self, line: Line) -> tuple[Experience, AnswerKey | None] | None:
        if line.too_long:
            self._refuse(line, [Broken("too-long", f"{line.size} bytes; a row may have {LONGEST_LINE}")])
            return None
        try:
            row, key, form = read_line(line.data, self.store.domain, self.form)
        except Unreadable as error:
            self._refuse(line, [Broken(error.rule, error.detail)])
            return None
        self.formats.add(form)
        return row, key

    def _deal(self, chunk: list[tuple[Line, Experience, AnswerKey | None]]) -> None:
        verdicts = self.store.door.judge([(row, key) for _, row, key in chunk])
        for (line, row, key), broken in zip(chunk, verdicts, strict=True):
            if broken:
                self._refuse(line, broken)
            else:
                self._keep(row, key)

    def _keep(self, row: Experience, key: AnswerKey | None) -> None:
        if self.known.seen(row):
            self.counts["duplicates"] += 1
            return
        row = _with_free_ids(row, self.known)
        side = "fresh" if is_fresh(row.task, self.store.fresh_share) else "batch"
        self.counts[side] += 1
        self.domains[row.task.domain] += 1
        self.out[side].write(row.line().encode() + b"\n")
        if key and side == "fresh":  # the key of a task that is learned from is of no use, and a danger
            named = key.model_copy(update={"task_id": row.task.task_id})
            self.out["keys"].write(named.line().encode() + b"\n")

    def _refuse(self, line: Line, broken: list[Broken]) -> None:
        self.counts["quarantined"] += 1
        rules = tuple(dict.fromkeys(rule.rule for rule in broken))
        self.reasons.update(rules)
        details = tuple(_masked(rule.detail) for rule in broken)
        if len(self.examples) < SHOWN:
            self.examples.append(f"line {line.number}: {broken[0].rule}: {details[0]}")
        raw, private = _text(line, rules), ""
        if raw is None:
            private = f"{line.number}.line"
            digest = copy_line(line, self.work / private)
        else:
            digest = hashlib.sha256(line.data).hexdigest()
        refused = Refused(
            number=line.number,
            reasons=rules,
            details=details,
            raw=raw or "",
            private=private,
            raw_digest=digest,
        )
        self.out["refused"].write(refused.line().encode() + b"\n")


def _masked(detail: str) -> str:
    """The reason as it may be shown. No rule puts a row's text into it; this is for the one that does by mistake."""
    kinds = find_private(detail)
    return f"held back: {', '.join(kinds)}" if kinds else detail


def _text(line: Line, rules: tuple[str, ...]) -> str | None:
    """The line as text that may be shown around; None if it must lie apart, byte for byte."""
    if line.too_long or PRIVATE in rules:
        return None
    try:
        text = line.data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if find_private(text) else text  # a line that could not be read was not searched yet


def _with_free_ids(row: Experience, known: Known) -> Experience:
    """Ids of strangers may repeat in one batch, and then would be mixed up: a task id that meant another task gets its
    task's digest behind it, and a trajectory with another one's id gets the next free seed."""
    task, trajectory = row.task, row.trajectory
    if not known.free(f"task {task.domain} {task.task_id}", task.content):
        named = {"task_id": f"{task.task_id}~{task.content[:8]}"}
        task, trajectory = task.model_copy(update=named), trajectory.model_copy(update=named)
    while not known.free(f"trajectory {trajectory.trajectory_id}", row_digest(row).hex()):
        trajectory = trajectory.model_copy(update={"seed": trajectory.seed + 1})
    return row.model_copy(update={"task": task, "trajectory": trajectory})


@contextmanager
def _opened(paths: list[Path]) -> Iterator[Sequence[IO[bytes]]]:
    """Files to write, flushed to the disk at the end."""
    files = [path.open("wb") for path in paths]
    try:
        yield files
        for file in files:
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files:
            file.close()


def _finish(source: Source, digest: str, sorter: _Sorter, store: Store, ledger: Ledger, actor: str) -> Outcome:
    """Move the files into place and write the event; on any failure take away what was put there."""
    names = {side: _named(sorter.work / side) for side in ("batch", "fresh")}
    places = {
        "batch": BATCHES / f"{names['batch']}.jsonl",
        "fresh": FRESH / f"{names['fresh']}.jsonl",
        "keys": KEYS / f"{names['fresh']}.jsonl",
        "refused": QUARANTINE / f"{digest}.jsonl",
    }
    event = Ingested(
        source=digest,
        name=source.name,
        format=" and ".join(sorted(sorter.formats)) or "unknown",
        batch=names["batch"],
        fresh=names["fresh"],
        rows=sorter.counts["rows"],
        kept=sorter.counts["batch"],
        held=sorter.counts["fresh"],
        duplicates=sorter.counts["duplicates"],
        quarantined=sorter.counts["quarantined"],
        reasons=dict(sorted(sorter.reasons.items())),
        domains=dict(sorted(sorter.domains.items())),
    )
    moves = [(file, store.private_folder / digest / file.name) for file in sorter.work.glob("*.line")]
    moves += [(sorter.work / name, store.root / place) for name, place in places.items()]
    with _placed([(file, place) for file, place in moves if file.stat().st_size]):
        ledger.append(event, actor)
    _write_order(store.root, ingested(ledger.read()))
    return Outcome(event=event, new=True, files=_files_of(store.root, event), examples=tuple(sorter.examples))


def _write_order(root: Path, facts: list[Ingested]) -> None:
    """The order of the batches for `collect`, made from the ledger, so that a crash before this costs nothing."""
    names = list(dict.fromkeys(fact.batch for fact in facts if fact.batch))
    place = root / BATCHES / "order.txt"
    text = "".join(f"{name}\n" for name in names)
    if names and not (place.is_file() and place.read_text(encoding="utf-8") == text):
        with suppress(OSError):  # the batch is in; a full disk here is mended by the next ingest
            write_text(place, text)


def _named(file: Path) -> str:
    """A file's digest, or nothing for an empty one."""
    if not file.stat().st_size:
        return ""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


@contextmanager
def _placed(moves: list[tuple[Path, Path]]) -> Iterator[None]:
    """The files in their places; taken away again when what follows fails."""
    new: list[Path] = []
    try:
        for file, place in moves:
            place.parent.mkdir(parents=True, exist_ok=True)
            new += [] if place.exists() else [place]
            shutil.move(file, place)
            place.chmod(0o600 if place.suffix == ".line" else 0o644)
        yield
    except BaseException:
        for place in new:
            place.unlink(missing_ok=True)
        raise
