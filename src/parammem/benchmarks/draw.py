"""The splits of a domain from its sources: evaluation first, then train and bank without anything of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from parammem.benchmarks.contamination import Contact, Contamination, contacts, judge
from parammem.benchmarks.item import Item
from parammem.benchmarks.sources import content_digest, hub_rows, local_rows
from parammem.benchmarks.subset import chosen
from parammem.benchmarks.table import get_benchmark, items_of
from parammem.config import SourceParams
from parammem.core.record import Record
from parammem.errors import DataError

Split = Literal["train", "bank", "eval"]


class Read(Record):
    """What was read from a source: written beside the tasks."""

    source: SourceParams
    """With the benchmark's usual place filled in where params name none."""
    commit: str
    """Commit of the hub's data set; "" for a local file."""
    digest: str
    """SHA-256 of the local file, or over the files of a local folder; "" for the hub."""
    rows: int
    taken: int
    wrong: tuple[str, ...]
    """Rows that make no task, with the reason."""


class Drawn(Record):
    """The splits, and what is known of them."""

    splits: dict[Split, tuple[Item, ...]]
    read: tuple[Read, ...]
    left_out: tuple[Contact, ...]
    """Train and bank tasks that were left out because they touch an evaluation task."""
    contamination: Contamination
    """The verdict on what is left: no contact, or this code is wrong."""


def draw(sources: Sequence[SourceParams], folder: Path, seed: int, ngram: int, near_duplicate: float) -> Drawn:
    """Read, sample and part the sources of one domain.

    Args:
        folder: where local paths are seen from.

    Raises:
        DataError: a source cannot be read, or has too few fitting rows, or a split ends up empty.
    """
    order: tuple[Split, ...] = ("eval", "train", "bank")
    splits: dict[Split, tuple[Item, ...]] = {}
    read: list[Read] = []
    left_out: list[Contact] = []
    taken: set[str] = set()
    known: dict[str, str] = {}
    for split in order:
        items: dict[str, Item] = {}
        for source in (s for s in sources if s.split == split):
            source, rows, commit, digest = _rows(source, folder)
            every, wrong = items_of(source.benchmark, rows)
            free = [item for item in every if item.task.content not in taken]
            if split != "eval":
                free, touching = _apart(free, splits["eval"], ngram, near_duplicate)
                left_out += touching
            some = chosen(free, source.where, source.take, source.balance, seed)
            _add(known, some, f"source {source.path or source.hub!r} of {source.benchmark}")
            items |= {item.task.task_id: item for item in some}
            counts = {"rows": len(rows), "taken": len(some)}
            read.append(Read(source=source, commit=commit, digest=digest, wrong=tuple(wrong), **counts))
        splits[split] = tuple(items.values())
        taken |= {item.task.content for item in splits[split]}
    if not splits["eval"] or not splits["train"]:
        raise DataError("benchmarks.sources gives no train or no eval tasks for this domain; name a source for each")
    verdict = judge(_named([*splits["train"], *splits["bank"]]), _named(splits["eval"]), ngram, near_duplicate)
    return Drawn(splits=splits, read=tuple(read), left_out=tuple(left_out), contamination=verdict)


def _add(known: dict[str, str], items: Sequence[Item], source: str) -> None:
    """Note the content that each id stands for. Raises DataError: one would stand for two problems."""
    for item in items:
        name, content = item.task.task_id, item.task.content
        if known.setdefault(name, content) != content:
            raise DataError(
                f"task id {name!r} of {source} stands for another problem in a source before it; an id means one "
                "problem in all splits: give the rows other ids, or leave one of the sources out"
            )


def draw_source(source: SourceParams, folder: Path, seed: int) -> list[Item]:
    """Return the sampled items of one source by itself. Raises DataError as `draw` does."""
    source, rows, *_ = _rows(source, folder)
    items, _ = items_of(source.benchmark, rows)
    return chosen(items, source.where, source.take, source.balance, seed)


def _rows(source: SourceParams, folder: Path) -> tuple[SourceParams, list[dict], str, str]:
    """Return the source as it was read, its rows, the hub's commit and the digest of a local file."""
    if source.path:
        return source, local_rows(folder / source.path), "", content_digest(folder / source.path)
    usual = get_benchmark(source.benchmark)
    hub = source.hub or usual.hub
    if not hub:
        raise DataError(f"benchmark {source.benchmark!r} has no usual place on the hub; give `path` or `hub`")
    config = source.config if source.hub else source.config or usual.config
    read = source.model_copy(update={"hub": hub, "config": config, "hub_split": source.hub_split or usual.split})
    return read, *hub_rows(hub, config, read.hub_split, source.revision, source.files), ""


def _apart(
    items: Sequence[Item], evaluation: Sequence[Item], ngram: int, near: float
) -> tuple[list[Item], list[Contact]]:
    """Return the items that touch no evaluation task, and the contacts of the others."""
    touching = contacts(_named(items), _named(evaluation), ngram, near)
    names = {contact.train_id for contact in touching}
    return [item for item in items if item.task.task_id not in names], touching


def _named(items: Sequence[Item]) -> list[tuple[str, str]]:
    return [(item.task.task_id, item.question) for item in items]
