"""What is in an adapter's folder against itself, and against the data and rules that it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from parammem.checkout.files import WEIGHTS
from parammem.checkout.places import places_of
from parammem.core import digest_of
from parammem.core.adapter import CARD
from parammem.core.words import count
from parammem.engines.adapters import SETTINGS, settings_digest, settings_fit
from parammem.lineage.checks.findings import Finding
from parammem.lineage.past.history import REFLECTORS, Generation
from parammem.lineage.past.uncommitted import Uncommitted
from parammem.lineage.rows.datasets import row_hashes

BOUND = "validation.json"
"""In the adapter's folder: the suite, its results in short, and the SHA-256 of its whole report."""


def bound_report(bound: bytes | None, report: bytes | None) -> bool | None:
    """Return whether the adapter's folder names this report and its suite. None: one of them is not here."""
    if bound is None or report is None:
        return None
    try:
        named, found = json.loads(bound), json.loads(report)
        same = [named[key] == found[key] for key in ("suite_digest", "kept_digest", "passed")]
    except (ValueError, KeyError, TypeError):
        return False
    return all(same) and named.get("report") == hashlib.sha256(report).hexdigest()


def manifest_checks(one: Generation, own: Uncommitted | None = None) -> Iterator[Finding]:
    """Check what adapter.json says of the weights, rows.txt, the data and the params.

    Args:
        own: what a `dvc repro` left that is not committed: an adapter that was trained before it is behind the data.
    """
    stage = one.snapshot.maker(one.place) or "train"
    if one.adapter is None:  # checks/cards.py names it
        return
    validated = places_of(one.domain).validated.as_posix()
    keys = (one.out, one.snapshot.hash(validated), one.snapshot.hash(places_of(one.domain).validation.as_posix()))
    hashes = one.snapshot.store.hashes
    if one.commit is not None and all(keys):
        problems = hashes.fact(
            "manifest, bound, settings", ":".join(map(str, keys)), lambda: _problems(one, validated, known_only=True)
        )
    else:
        problems = None
    behind = own is not None and one.commit is None and stage in own.behind
    data = (validated, places_of(one.domain).validation.as_posix(), f"{one.place}/{BOUND}")
    for path, holds, detail in problems if problems is not None else _problems(one, validated) or []:
        if holds is False and behind and path in data:
            holds, detail = None, f"the data was made anew after the training; `dvc repro` will run {stage} on it"
        yield Finding(kind="adapter", stage=stage, path=path, holds=holds, detail=detail)
    params = one.snapshot.lock.get(stage, {}).get("params", {})
    recorded = {**(params.get("train") or {}), **{k.removeprefix("train."): v for k, v in params.items()}}
    shared = sorted(recorded.keys() & one.adapter.recipe.keys())
    differ = [key for key in shared if recorded[key] != one.adapter.recipe[key]]
    if shared:
        compared = count(len(shared), "param")
        detail = f"its recipe has {compared} that dvc.lock has too, and differs in: {', '.join(differ) or '-'}"
        yield Finding(kind="adapter", stage=stage, path=f"{one.place}/{CARD}", holds=not differ, detail=detail)


def _problems(one: Generation, validated: str, known_only: bool = False) -> list[tuple[str, bool | None, str]] | None:
    """Yield (path, holds, detail) of each link inside a generation. None with `known_only` if a part is not here."""
    adapter, rows, weights = one.adapter, one.rows(), one.read(WEIGHTS)
    assert adapter is not None
    md5 = one.snapshot.hash(validated)
    kept = row_hashes(one.snapshot, validated, md5) if md5 else None
    report = _report(one)
    there = SETTINGS in (one.snapshot.files(one.place) or ())
    if known_only and (rows is None or weights is None or kept is None or report is None):
        return None
    if known_only and there and one.read(SETTINGS) is None:
        return None
    found: list[tuple[str, bool | None, str]] = []
    if weights is not None:
        digest = hashlib.sha256(weights).hexdigest()
        detail = f"its SHA-256 is {digest[:16]}, adapter.json says {adapter.digest[:16]}"
        found.append((f"{one.place}/{WEIGHTS}", digest == adapter.digest, detail))
    found += _settings(one)
    if rows is not None:
        same = len(rows) == adapter.rows and digest_of(rows) == adapter.data_digest
        seen = f"{count(len(rows), 'row')} with digest {digest_of(rows)[:16]}"
        detail = f"{seen}, adapter.json says {adapter.data_digest[:16]}"
        found.append((f"{one.place}/rows.txt", same, detail))
    if rows is not None and kept is not None and one.place == f"{REFLECTORS}{one.domain}":  # a control has its own
        strange = set(rows) - set(kept)
        first = f", first {min(strange)[:16]}" if strange else ""
        found.append((validated, not strange, f"{len(strange)} of {len(rows)} trained rows are not in it{first}"))
    tied = bound_report(one.read(BOUND), one.snapshot.read(places_of(one.domain).validation.as_posix()))
    if tied is not None:
        said = "names" if tied else "does not name"
        found.append((f"{one.place}/{BOUND}", tied, f"it {said} the suite and the report of reports/validation"))
    if report is not None and kept is not None:
        path = places_of(one.domain).validation.as_posix()
        found.append(
            (path, bool(report.get("passed")), "the suite did not pass" if not report.get("passed") else "passed")
        )
        recorded = str(report.get("kept_digest", ""))
        detail = f"it vouches for rows {recorded[:16]}, {validated} holds {digest_of(kept)[:16]}"
        found.append((path, recorded == digest_of(kept), detail))
    return found


def _settings(one: Generation) -> list[tuple[str, bool | None, str]]:
    """Return what decides what the weights do. Cards of the first form say nothing of it but the recipe."""
    data, card = one.read(SETTINGS), one.adapter
    assert card is not None
    if data is None:
        return []
    try:
        settings = json.loads(data)
        fit, digest = settings_fit(card, settings), settings_digest(settings)
    except (ValueError, AttributeError, RecursionError):
        return [(f"{one.place}/{SETTINGS}", False, "it is no JSON object")]
    if card.form >= 2:
        detail = f"the digest of its settings is {digest[:16]}, adapter.json says {card.settings_digest[:16]}"
        return [(f"{one.place}/{SETTINGS}", fit, detail)]
    said = {True: "it agrees with the recipe", False: "it is not what the recipe says", None: "the recipe has none"}
    detail = f"settings not covered: adapter.json is of the first form; {said[fit]}"
    return [(f"{one.place}/{SETTINGS}", False if fit is False else None, detail)]


def _report(one: Generation) -> dict[str, Any] | None:
    try:
        return json.loads(one.snapshot.read(places_of(one.domain).validation.as_posix()) or b"null")
    except ValueError:
        return None
