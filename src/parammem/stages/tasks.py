"""tasks: the tasks of a domain, pocket ones of one world or real ones, and apart from them their answer keys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TypeVar

from parammem.benchmarks.draw import Drawn, draw
from parammem.checkout.places import BENCHMARK_ROWS, Places
from parammem.config import Params
from parammem.core import AnswerKey, Task, write_jsonl
from parammem.core.jsonl import write_text
from parammem.errors import ConfigError
from parammem.pocket.world import World, draw_splits
from parammem.stages.open_tasks import write_open_tasks
from parammem.stages.trusted import note_written

T = TypeVar("T", Task, AnswerKey)

"""Where local benchmark files are; the paths of params are seen from here, and DVC watches it."""


def run(params: Params, domain: str, root: Path = Path(".")) -> None:
    """Write data/tasks/<domain>/<split>.jsonl and data/keys/<domain>/<split>.jsonl. Pocket bank tasks get no key: all
    of them have visible checks.

    Raises:
        ConfigError: params name sources, and none for this domain.
        DataError: a source cannot be read, or has too few tasks.
    """
    places = Places(root, domain)
    if params.kind(domain) == "open":
        _close(places, write_open_tasks(params, places))
        return
    drawn = read_sources(params, domain, root) if params.benchmarks.sources else None
    written = _write_pocket(params, places) if drawn is None else _write_real(drawn, places)
    _close(places, written)


def _close(places: Places, written: set[Path]) -> None:
    """Take away what is not written by this stage, as DVC does, and note the digests of what is."""
    for folder in (places.tasks("eval").parent, places.keys("eval").parent):
        for other in set(folder.iterdir()) - written:  # as DVC does: what somebody else put there is not vouched for
            shutil.rmtree(other) if other.is_dir() and not other.is_symlink() else other.unlink()
    note_written(places)


def _write_pocket(params: Params, places: Places) -> set[Path]:
    """Write the splits of the pocket world. Returns the files."""
    p = params.tasks
    sizes = {"train": p.train, "bank": p.bank, "eval": p.eval, "unseen": p.unseen}
    splits = draw_splits(params.kind(places.domain), World(p.world, p.rho), sizes)
    for split, drawn in splits.items():
        write_jsonl(places.tasks(split), [_named(d.task, places.domain) for d in drawn])
        if split != "bank":
            write_jsonl(places.keys(split), [_named(d.key, places.domain) for d in drawn])
    return {*map(places.tasks, splits), *(places.keys(split) for split in splits if split != "bank")}


def _named(one: T, domain: str) -> T:
    """Return the same task or key under the name of its domain. Task ids begin with the domain's name."""
    task_id = f"{domain}{one.task_id.removeprefix(one.domain)}"
    return one.model_copy(update={"domain": domain, "task_id": task_id})


def read_sources(params: Params, domain: str, root: Path) -> Drawn:
    """Return the real tasks of a domain. Raises as `run` does."""
    p = params.benchmarks
    sources = [source for source in p.sources if source.domain == domain]
    if not sources:
        raise ConfigError(f"benchmarks.sources: none is for domain {domain!r}; add one, or take it out of `domains`")
    return draw(sources, root / BENCHMARK_ROWS, p.seed, p.ngram, p.near_duplicate)


def _write_real(drawn: Drawn, places: Places) -> set[Path]:
    """Write the splits, and beside the tasks where they came from and what was left out. Returns the files.

    There is no unseen kind.

    Keys of the bank split are for `evaluate` alone, which asks for verdicts on bank tasks without visible checks.
    """
    for split, items in drawn.splits.items():
        named = {"domain": places.domain}
        write_jsonl(places.tasks(split), [item.task.model_copy(update=named) for item in items])
        write_jsonl(places.keys(split), [item.key.model_copy(update=named) for item in items])
    write_jsonl(places.tasks("unseen"), [])
    write_jsonl(places.keys("unseen"), [])
    facts = drawn.model_dump(mode="json", exclude={"splits"})
    sources = places.tasks("sources").with_suffix(".json")
    write_text(sources, json.dumps(facts, indent=1, sort_keys=True) + "\n")
    splits = [*drawn.splits, "unseen"]
    return {*map(places.tasks, splits), *map(places.keys, splits), sources}
