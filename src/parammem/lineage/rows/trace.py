"""Where a row went: the batch it came in with, the datasets that hold it, the adapters that were trained on it, and the
evaluations and promotions of those adapters. Over all of git's history, the ledger, and the working tree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from parammem.checkout.files import read_row_hashes
from parammem.checkout.places import DATA, METRICS, MODELS, places_of
from parammem.checkout.snapshot import Snapshot
from parammem.core.adapter import CARD, read_card
from parammem.core.event import Decided, Evaluated
from parammem.errors import LineageMissingError
from parammem.lineage.past.events import Life, read_life
from parammem.lineage.past.history import Generation, History
from parammem.lineage.rows.datasets import (
    QUARANTINED,
    datasets_of,
    flat,
    holds_text,
    matching,
    row_hash,
    row_hashes,
)
from parammem.lineage.rows.touched import (
    AdapterSeen,
    BatchSeen,
    DatasetSeen,
    EvaluationSeen,
    PromotionSeen,
    RowTrace,
)


def trace_rows(repo: Path, hash_or_text: str) -> list[RowTrace]:
    """Return every row that a hash (or its first 8 or more digits) or a text means, with what it touched.

    Text is looked for in the id, question and advice of rows, case and spacing aside.

    Raises:
        LineageMissingError: no dataset or adapter, past or present, has such a row.
    """
    query = hash_or_text.strip()
    with History.open(repo) as history:
        life = read_life(history.repo)
        states = list(history.snapshots())
        found = _find(history, states, query)
        if not found:
            raise LineageMissingError(
                f"no row is or holds {query!r} in any dataset or adapter of this repository's history; "
                "`dvc pull` if data is not here, or give a row hash"
            )
        generations = list(history.generations())
        return [_trace(history.repo, row, records, states, generations, life) for row, records in sorted(found.items())]


HASH = re.compile(r"[0-9a-f]{8,64}")
Records = dict[str, dict[str, Any]]
"""Origin → the row's record as it came from there."""


def _find(history: History, states: list, query: str) -> dict[str, Records]:
    """Return row hash → its records. An adapter lists its rows by hash alone, also those whose datasets are gone."""
    by_hash = bool(HASH.fullmatch(query))
    text = flat(query)
    found: dict[str, Records] = {}
    for path, _, snapshot in _versions(states):
        if by_hash and path.startswith(f"{DATA}/"):
            known = _hashes(snapshot, path)
            if known is not None and not any(row.startswith(query) for row in known):
                continue
        wanted = (lambda row: row_hash(row).startswith(query)) if by_hash else (lambda row: holds_text(row, text))
        for row in matching(snapshot, path, wanted if text else lambda _: False):
            found.setdefault(row_hash(row), {})[row.get("origin", "collect")] = row
    if by_hash:
        manifests = [generation.rows() or [] for generation in history.generations()]
        manifests += [read_row_hashes(card.parent) or [] for card in _cards(history.repo)]
        for rows in manifests:
            for row in rows:
                if row.startswith(query):
                    found.setdefault(row, {})
    return found


def _hashes(snapshot: Snapshot, path: str) -> list[str] | None:
    md5 = datasets_of(snapshot).get(path)
    return row_hashes(snapshot, path, md5) if md5 else None


def _versions(states: Iterable[tuple[Any, Snapshot]]) -> list[tuple[str, str | None, Snapshot]]:
    """Return each version of each dataset and quarantine file once: (path, first commit, a state that has it)."""
    seen, found = set(), []
    for commit, snapshot in states:
        files = datasets_of(snapshot)
        files |= {path: md5 for path, (md5, _) in snapshot.outs.items() if path.startswith(QUARANTINED)}
        for path, md5 in sorted(files.items()):
            if (path, md5) not in seen:
                seen.add((path, md5))
                found.append((path, commit.sha if commit else None, snapshot))
    return found


def _trace(repo: Path, row: str, records: Records, states: list, generations: list[Generation], life: Life) -> RowTrace:
    record = next(iter(records.values()), {})
    datasets, quarantined = [], []
    for path, commit, snapshot in _versions(states):
        if path.startswith(QUARANTINED):
            if matching(snapshot, path, lambda found: row_hash(found) == row):
                quarantined.append(path)
        elif row in (_hashes(snapshot, path) or ()):
            datasets.append(DatasetSeen(path=path, md5=datasets_of(snapshot)[path], commit=commit))
    adapters = adapters_with(repo, row, generations, life)
    named = list(dict.fromkeys(one.digest for one in adapters))
    recall = life.recalled().get(row)
    return RowTrace(
        row_hash=row,
        domain=record.get("domain"),
        task_id=record.get("task_id"),
        task_text=_showable(record.get("task_text")),
        reflection=_showable(record.get("reflection")),
        batches=tuple(_batch(origin, life) for origin in sorted(records)),
        datasets=tuple(datasets),
        quarantined=tuple(dict.fromkeys(quarantined)),
        recalled=recall.number if recall else None,
        adapters=tuple(adapters),
        evaluations=tuple(_evaluations(named, adapters, generations, life)),
        promotions=tuple(promotions_of(named, life)),
    )


def _showable(text: Any) -> str | None:
    """Return a text of a row; where it seems to hold what ingestion keeps out, what kind of thing that is instead."""
    from parammem.validation.private import find_private

    if not isinstance(text, str):
        return None
    kinds = find_private(text)
    return f"(not shown: it holds {', '.join(kinds)})" if kinds else text


def _batch(origin: str, life: Life) -> BatchSeen:
    event = life.batch(origin)
    source = getattr(event.fact, "name", None) if event else None
    return BatchSeen(batch=origin, source=source, time=event.time if event else None)


def adapters_with(repo: Path, row: str, generations: Iterable[Generation], life: Life) -> list[AdapterSeen]:
    """Return the adapters of history, then the other ones below `models/`, whose rows.txt has a row."""
    found, known = [], set()
    for one in generations:
        lines = _lines(one.rows(), row)
        known.add((one.place, one.digest))
        if lines and one.adapter:
            found.append(
                AdapterSeen(
                    folder=one.place,
                    domain=one.domain,
                    digest=one.adapter.digest,
                    generation=one.number,
                    version=life.version_of(one.adapter.digest),
                    lines=lines,
                    commit=one.commit.sha if one.commit else None,
                )
            )
    for card in _cards(repo):
        folder, adapter = card.parent.relative_to(repo).as_posix(), read_card(card.parent)
        lines = _lines(read_row_hashes(card.parent), row)
        if lines and (folder, adapter.digest) not in known:
            found.append(
                AdapterSeen(
                    folder=folder,
                    domain=adapter.domain,
                    digest=adapter.digest,
                    generation=None,
                    version=life.version_of(adapter.digest),
                    lines=lines,
                    commit=None,
                )
            )
    return found


def _cards(repo: Path) -> list[Path]:
    return sorted((repo / MODELS).rglob(CARD))


def _lines(rows: list[str] | None, row: str) -> tuple[int, ...]:
    return tuple(number for number, one in enumerate(rows or (), 1) if one == row)


def _evaluations(
    named: list[str], adapters: list[AdapterSeen], generations: list[Generation], life: Life
) -> Iterable[EvaluationSeen]:
    by_place = {(one.place, one.digest): one for one in generations}
    for seen in adapters:
        one = by_place.get((seen.folder, seen.digest))
        if one is None:
            continue
        path = places_of(one.domain).evaluation.as_posix()
        stage = one.snapshot.lock.get(f"evaluate@{one.domain}", {})
        if stage.get("deps", {}).get(one.place) == one.out and path in one.snapshot.outs:
            rates = pass_rates(one)
            yield EvaluationSeen(adapter=seen.digest, what=f"{path} {one.snapshot.outs[path][0]}{rates}")
    for event in life.events:
        fact = event.fact
        if isinstance(fact, Evaluated):
            for digest in named:
                arms = [arm for arm, adapter in fact.arms.items() if adapter == digest]
                if arms:
                    yield EvaluationSeen(
                        adapter=digest, what=f"event {event.number}: {', '.join(arms)} of {_shares(fact.solved)}"
                    )


def _shares(solved: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in sorted(solved.items()))


def pass_rates(one: Generation) -> str:
    """Return what reports/metrics.json of that state says of ParamAgent, in words; empty if nothing."""
    try:
        metrics = json.loads(one.snapshot.read(METRICS.as_posix()) or b"{}").get(one.domain, {})
        return f": ParamAgent solved {metrics['paramagent']['pass_rate']:.3f}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def promotions_of(named: Iterable[str], life: Life) -> Iterable[PromotionSeen]:
    """Yield decisions about these adapters, and the times they became champion."""
    wanted = set(named)
    for event in life.events:
        fact = event.fact
        if isinstance(fact, Decided):
            for side in ("challenger", "champion"):
                adapter = getattr(fact, side)
                if adapter in wanted:
                    what = f"decided {fact.answer} with it as {side}, by {event.actor} (decision {fact.decision[:16]})"
                    yield PromotionSeen(adapter=adapter, event=event.number, what=what)
    for championship in life.championships():
        if championship.adapter in wanted:
            what = (
                f"became champion as v{championship.version} by {championship.by}, signed off by {championship.actor}"
            )
            yield PromotionSeen(adapter=championship.adapter, event=championship.event, what=what)
