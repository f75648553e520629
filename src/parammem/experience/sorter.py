"""Rows of a source, each read and judged by itself, and dealt out to the files of a batch.

Every row is a unit: whatever is raised while one is read or judged is a refusal of that row, by a rule's name.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from parammem.core import AnswerKey
from parammem.core.experience import Experience
from parammem.core.jsonl import Line
from parammem.errors import DataError
from parammem.experience.admission import PRIVATE, BrokenRule
from parammem.experience.index import RowIndex
from parammem.experience.ingest_result import Refused
from parammem.experience.source_files import Source
from parammem.experience.split import is_fresh
from parammem.experience.store import ExperienceStore
from parammem.experience.units import Judged, failed, read_source
from parammem.validation.private import find_private

CHUNK, CHUNK_BYTES = 256, 8 << 20
"""Rows that are judged together, and their size."""
SHOWN = 5
"""Refusals that are shown to people."""
PRIVATE_LINES = "lines"
"""Name of the file, in a folder of its source, that holds the lines which are not shown."""


def judged(source: Source, store: ExperienceStore, form: str | None = None) -> Iterator[Judged]:
    """Yield every row of a source in order, with the rules that it breaks. Raises DataError as `Source.lines`."""
    chunk: list[Judged] = []
    size = 0
    for one in read_source(source, store, form):
        chunk.append(one)
        size += len(one.line.data)
        if len(chunk) == CHUNK or size > CHUNK_BYTES:
            yield from _held_against(store, chunk)
            chunk, size = [], 0
    yield from _held_against(store, chunk)


def _held_against(store: ExperienceStore, chunk: Sequence[Judged]) -> Iterator[Judged]:
    readable = [one for one in chunk if one.row is not None]
    try:
        verdicts = store.admission.judge([(one.row, one.key) for one in readable if one.row is not None])
    except Exception:  # one of them: each by itself tells which
        verdicts = [_alone(store, one) for one in readable]
    found = iter(verdicts)
    for one in chunk:
        yield one if one.row is None else Judged(one.line, one.row, one.key, one.form, tuple(next(found)))


def _alone(store: ExperienceStore, one: Judged) -> list[BrokenRule]:
    assert one.row is not None
    try:
        return store.admission.judge([(one.row, one.key)])[0]
    except Exception as error:
        return [failed(error, "judged")]


@dataclass
class Sorter:
    """Reads a source once and deals its rows out to files in the work folder."""

    store: ExperienceStore
    known: RowIndex
    work: Path
    form: str | None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    formats: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)

    def run(self, source: Source, digest: str) -> None:
        """Sort every row of a source into kept and refused ones. Raises DataError when the source changed meanwhile,
        OSError when the disk is full."""
        self.source = source
        names = ("batch", "fresh", "keys", "refused", PRIVATE_LINES)
        with _opened({name: self.work / name for name in names}) as self.out:
            for one in judged(source, self.store, self.form):
                self.counts["rows"] += 1
                self.formats |= {one.form} if one.form else set()
                if one.row is None or one.broken:
                    self._refuse(one.line, one.broken)
                else:
                    self._keep(one.row, one.key)
        if source.digest() != digest:
            raise DataError(f"{source.name!r} was changed while it was being read; ingest it again")

    def _keep(self, row: Experience, key: AnswerKey | None) -> None:
        if self.known.seen(row):
            self.counts["duplicates"] += 1
            return
        row = with_free_ids(row, self.known)
        side = side_of(row, self.store)
        self.counts[side] += 1
        self.domains[row.task.domain] += 1
        self.out[side].write(row.line().encode() + b"\n")
        if key and side == "fresh":  # the key of a task that is learned from is of no use, and a danger
            named = key.model_copy(update={"task_id": row.task.task_id})
            self.out["keys"].write(named.line().encode() + b"\n")

    def _refuse(self, line: Line, broken: Sequence[BrokenRule]) -> None:
        self.counts["quarantined"] += 1
        rules = tuple(dict.fromkeys(rule.rule for rule in broken))
        self.reasons.update(rules)
        details = tuple(masked(rule.detail) for rule in broken)
        if len(self.examples) < SHOWN:
            self.examples.append(f"line {line.number}: {broken[0].rule}: {details[0]}")
        raw, private, offset = _text(line, rules), "", 0
        if raw is None:
            private, offset = PRIVATE_LINES, self.out[PRIVATE_LINES].tell()
            digest = self.source.copy_line(line, self.out[PRIVATE_LINES])
            self.out[PRIVATE_LINES].write(b"\n")
        else:
            digest = hashlib.sha256(line.data).hexdigest()
        refused = Refused(
            number=line.number,
            reasons=rules,
            details=details,
            raw=raw or "",
            private=private,
            offset=offset,
            size=line.size if private else 0,
            raw_digest=digest,
        )
        self.out["refused"].write(refused.line().encode() + b"\n")


def side_of(row: Experience, store: ExperienceStore) -> str:
    """Return `fresh` for tasks that are kept for judging, `batch` for those that are learned from."""
    return "fresh" if is_fresh(row.task, store.fresh_share) else "batch"


def masked(detail: str) -> str:
    """Return the reason as it may be shown. No rule puts a row's text into it; this is for the one that does by
    mistake."""
    kinds = find_private(detail)
    return f"held back: {', '.join(kinds)}" if kinds else detail


def _text(line: Line, rules: Sequence[str]) -> str | None:
    """Return the line as text that may be shown around; None if it must be kept apart, byte for byte."""
    if line.too_long or PRIVATE in rules:
        return None
    try:
        text = line.data.decode("utf-8")
        return None if find_private(text) else text  # a line that could not be read was not searched yet
    except Exception:  # no UTF-8; or the search for secrets failed
        return None


def with_free_ids(row: Experience, known: RowIndex) -> Experience:
    """Return a row with ids that are free. Ids from elsewhere may repeat in one batch, and then would be mixed up: a
    task id that meant another task gets its task's digest behind it, and a trajectory with another one's id gets the
    next free seed."""
    task, trajectory = row.task, row.trajectory
    names = (task.task_id, *(f"{task.task_id}~{task.content[:length]}" for length in (8, 16, 64)))
    free = (name for name in names if known.free(f"task {task.domain} {name}", task.content))
    named = {"task_id": next(free, names[-1])}
    if named["task_id"] != task.task_id:
        task, trajectory = task.model_copy(update=named), trajectory.model_copy(update=named)
    first = trajectory.model_copy(update={"seed": 0}).trajectory_id
    seed = known.free_seed(first, trajectory.seed)
    if seed != trajectory.seed:
        trajectory = trajectory.model_copy(update={"seed": seed})
    return row.model_copy(update={"task": task, "trajectory": trajectory})


@contextmanager
def _opened(paths: dict[str, Path]) -> Iterator[Mapping[str, IO[bytes]]]:
    """Open files to write, flushed to the disk at the end. Others than their owner cannot read them yet."""
    files: dict[str, IO[bytes]] = {
        name: os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") for name, path in paths.items()
    }
    try:
        yield files
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files.values():
            file.close()
