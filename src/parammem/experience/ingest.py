"""From a source to immutable batch files, with an event in the ledger. A second time it is a no-op.

Files are written in a folder of their own and moved into place when all are whole; then the ledger says so. A batch
that the ledger does not name was never finished: ingesting its source again makes the same file and the event.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from parammem.checkout.places import BATCH_ORDER, BATCHES, FRESH, FRESH_KEYS, INGESTING, LOCKS, REFUSED_ROWS
from parammem.core import digest_of
from parammem.core.event import Event, Ingested
from parammem.core.jsonl import write_text
from parammem.errors import DataError
from parammem.experience.index import RowIndex, as_os_error
from parammem.experience.ingest_result import IngestResult
from parammem.experience.sorter import PRIVATE_LINES, Sorter
from parammem.experience.source_files import Source
from parammem.experience.store import ExperienceStore
from parammem.registry.ledger import Ledger


def ingest(source: Source, store: ExperienceStore, actor: str, form: str | None = None) -> IngestResult:
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
        old = already(facts, digest, store.domain, store.outcomes.digest)
        if old:
            _write_order(store.root, facts)
            return IngestResult(event=old, new=False, digest=digest, files=_files_of(store.root, old))
        known = RowIndex(store.root)
        try:
            known.follow(store.root / place for fact in facts for place in rows_of(fact))
            sorter = Sorter(store, known, work, form)
            sorter.run(source, digest)
            if not sorter.counts["rows"]:
                raise DataError(f"{source.name!r} has no rows; nothing was ingested")
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        finally:
            known.close()
        name = _name_of(facts, digest, store)
        event, files = _finish(name, source, sorter, store, actor)
        return IngestResult(event=event, new=True, digest=digest, files=files, examples=tuple(sorter.examples))


def already(facts: Iterable[Ingested], digest: str, domain: str, outcomes: str = "") -> Ingested | None:
    """Return the event of a source that was ingested before, if nothing would come of doing it again.

    Rows that were refused because nobody said their domain, or how they ended, may come in once somebody does: that is
    another event, whose `source` is `with_domain` or `with_outcomes`.

    Args:
        outcomes: digest of the table of outcomes; empty: there is none.
    """
    known = {fact.source: fact for fact in facts}
    old = known.get(with_outcomes(digest, outcomes) if outcomes else digest)
    if old and domain and "unknown-domain" in old.reasons:
        return known.get(with_domain(old.source, domain))
    return old


def _name_of(facts: Iterable[Ingested], digest: str, store: ExperienceStore) -> str:
    """Return what stands for a source in the event: its digest, or that with what was said beside it."""
    known = {fact.source for fact in facts}
    name = with_outcomes(digest, store.outcomes.digest) if store.outcomes else digest
    return with_domain(name, store.domain) if name in known else name


def with_outcomes(digest: str, outcomes: str) -> str:
    """Return what stands for a source that is ingested with a table of outcomes."""
    return digest_of([digest, "outcomes", outcomes])


def with_domain(digest: str, domain: str) -> str:
    """Return what stands for a source that is ingested again with a domain named."""
    return digest_of([digest, "domain", domain])


def ingested(events: list[Event]) -> list[Ingested]:
    """Return the ingest facts of a ledger, oldest first."""
    return [event.fact for event in events if isinstance(event.fact, Ingested)]


def rows_of(fact: Ingested) -> list[Path]:
    """Return where the rows of a source are, those to learn from and those kept for judging."""
    places = [(BATCHES, fact.batch), (FRESH, fact.fresh)]
    return [folder / f"{name}.jsonl" for folder, name in places if name]


def _files_of(root: Path, fact: Ingested) -> tuple[str, ...]:
    """Return files of a source that are here."""
    places = [*rows_of(fact), REFUSED_ROWS / f"{fact.source}.jsonl", FRESH_KEYS / f"{fact.fresh}.jsonl"]
    return tuple(place.as_posix() for place in places if (root / place).is_file())


@contextmanager
def _alone(root: Path) -> Iterator[Path]:
    """Allow one ingestion at a time; yield an empty folder to work in, on the same disk as the batches."""
    lock = root / LOCKS / "ingest.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        work = root / INGESTING
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700, parents=True)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _finish(
    digest: str, source: Source, sorter: Sorter, store: ExperienceStore, actor: str
) -> tuple[Ingested, tuple[str, ...]]:
    """Move the files into place and write the event; on any failure take away what was put there."""
    ledger = Ledger(store.root)
    names = {side: _named(sorter.work / side) for side in ("batch", "fresh")}
    places = {
        "batch": BATCHES / f"{names['batch']}.jsonl",
        "fresh": FRESH / f"{names['fresh']}.jsonl",
        "keys": FRESH_KEYS / f"{names['fresh']}.jsonl",
        "refused": REFUSED_ROWS / f"{digest}.jsonl",
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
    moves = [(sorter.work / PRIVATE_LINES, store.private_folder / digest / PRIVATE_LINES)]
    moves += [(sorter.work / name, store.root / place) for name, place in places.items()]
    with _placed([(file, place) for file, place in moves if file.stat().st_size]):
        ledger.append(event, actor)
    _write_order(store.root, ingested(ledger.read()))
    return event, _files_of(store.root, event)


def _write_order(root: Path, facts: list[Ingested]) -> None:
    """Write the order of the batches for `collect`, made from the ledger, so that a crash before this costs nothing."""
    names = list(dict.fromkeys(fact.batch for fact in facts if fact.batch))
    place = root / BATCH_ORDER
    for left in place.parent.glob(f".{place.name}.*"):  # of one that was killed over it: the folder is a dep of a stage
        left.unlink(missing_ok=True)
    text = "".join(f"{name}\n" for name in names)
    if names and not (place.is_file() and place.read_text(encoding="utf-8") == text):
        with suppress(OSError):  # the batch is in; a full disk here is mended by the next ingest
            write_text(place, text)


def _named(file: Path) -> str:
    """Return a file's digest, or nothing for an empty one."""
    if not file.stat().st_size:
        return ""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


@contextmanager
def _placed(moves: list[tuple[Path, Path]]) -> Iterator[None]:
    """Put the files in their places; they are taken away again when what follows fails."""
    new: list[Path] = []
    try:
        for file, place in moves:
            place.parent.mkdir(mode=0o700 if place.name == PRIVATE_LINES else 0o777, parents=True, exist_ok=True)
            new += [] if place.exists() else [place]
            shutil.move(file, place)
            if place.name != PRIVATE_LINES:
                place.chmod(0o644)
        yield
    except BaseException:
        for place in new:
            place.unlink(missing_ok=True)
        raise
