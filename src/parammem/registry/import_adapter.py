"""Take in an adapter that was trained elsewhere: a copy under DVC, a card that says what is not known, a version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from parammem.checkout import dvc
from parammem.checkout.places import places_of
from parammem.core import digest_of
from parammem.core.adapter import CARD, UNKNOWN, Adapter, read_card
from parammem.core.event import Imported
from parammem.core.jsonl import write_text
from parammem.core.plain_yaml import plain_mapping
from parammem.engines.adapters import SETTINGS, settings_digest
from parammem.engines.digests import ADAPTER_WEIGHTS, extra_digest, file_digest, model_digest
from parammem.engines.folders import find_model
from parammem.engines.foreign_adapters import ForeignAdapter, check_fits, look_at_foreign
from parammem.errors import DataError
from parammem.registry.ledger import Ledger
from parammem.registry.state import Version, add_version

LONGEST_NAME = 200
FORM = 2


class TakenIn(NamedTuple):
    """What became of an import."""

    version: Version
    card: Adapter
    place: Path
    """Its folder, seen from the root."""


def import_adapter(
    root: Path, domain: str, folder: Path, base: str, actor: str, *, kind: str = "", real: bool = False
) -> TakenIn:
    """Copy a PEFT LoRA folder to models/imported, make its card, and register it as candidate. Once more is no change.

    It is copied and not used where it is: DVC must have its bytes, or no version could be fetched or audited later.

    Args:
        base: folder or hub name of its base model; empty: a folder that adapter_config.json names, if it is here.
        kind, real: how the domain words its prompts: its kind where that is not its name, and whether by the
            benchmarks' prompts.

    Raises:
        AdapterError: the folder is none that may be taken in (`look_at_foreign`), or does not fit its base.
        ModelMissingError: `base` is given and not found.
        DataError: DVC refused.
        LedgerError: the ledger is broken.
    """
    foreign = look_at_foreign(folder)
    found = _base(root, base, foreign)
    if found:
        check_fits(foreign.shapes, found)
    prompts = ({"domain_kind": kind} if kind else {}) | ({"prompts": "benchmarks"} if real else {})
    card = _card(root, domain, folder, foreign, found, base, prompts)
    place = places_of(domain).imported(card.digest)
    card = _put(root / place, foreign, card)
    dvc.track(root, [place.as_posix()])
    ledger = Ledger(root)
    ledger.append(
        Imported(
            domain=domain, adapter=card.digest, source=card.imported, settings=card.settings_digest,
            base_model=card.base_model, base_digest=card.base_digest,
        ),
        actor,
    )  # fmt: skip
    return TakenIn(add_version(ledger, domain, card.digest, dvc_hash_of(root / place), actor), card, place)


def dvc_hash_of(place: Path) -> str:
    """Return DVC's hash of what is in a place, from the .dvc file beside it; empty: there is none."""
    try:
        outs = (plain_mapping(place.with_name(f"{place.name}.dvc")) or {}).get("outs", [])
        return str(outs[0]["md5"])
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"{place}.dvc cannot be read ({error}); run `dvc add {place}`") from error


def in_words(taken: TakenIn) -> str:
    """Return what came in and what cannot be known of it, as lines of text."""
    version, card = taken.version, taken.card
    base = f"digest {card.base_digest[:16]}" if card.base_digest else (
        "not here, so whether it fits cannot be said; --base-model names it"
    )  # fmt: skip
    return "\n".join(
        [
            f"{version.domain} {version.name}: adapter {card.digest[:16]}, copied to {taken.place}",
            f"  base: {card.base_model} ({base})",
            f"  {UNKNOWN}: the rows and the recipe that it was trained with, by which rules the rows were validated, "
            "and whether evaluation tasks were among them",
            f"  next: git add ledger {taken.place.parent}; git commit; parammem gate champion {taken.place} "
            f"--domain {version.domain}; parammem reflect TASK.txt --adapter {taken.place}",
        ]
    )


def _base(root: Path, given: str, foreign: ForeignAdapter) -> Path | None:
    """Return the base model's folder. A name in adapter_config.json is not fetched: it may have gigabytes."""
    if given:
        return find_model(given if not (root / given).is_dir() else root / given)
    named = foreign.settings.get("base_model_name_or_path")
    inside = root / named if isinstance(named, str) and named and "\0" not in named else root
    below = inside.resolve().is_relative_to(root.resolve())  # whoever wrote the settings names no folder elsewhere
    return inside if below and (inside / "config.json").is_file() else None


def _card(
    root: Path,
    domain: str,
    folder: Path,
    foreign: ForeignAdapter,
    found: Path | None,
    given: str,
    prompts: dict[str, str],
) -> Adapter:
    named = given or str(foreign.settings.get("base_model_name_or_path") or "unknown")
    return Adapter(
        domain=domain,
        digest=file_digest(foreign.files[ADAPTER_WEIGHTS]),
        base_model=_written(root, named),
        base_digest=model_digest(found) if found else "",
        recipe=prompts,
        data_digest=digest_of([]),
        rows=0,
        steps=0,
        held_out_loss=None,
        form=FORM,
        settings_digest=settings_digest(foreign.settings),
        base_extra_digest=extra_digest(found) if found else "",
        imported=folder.resolve().name[:LONGEST_NAME],
    )


def _written(root: Path, name: str) -> str:
    """Return the name of a base for files: below the root its path there, never an absolute path."""
    path = Path(name)
    inside = path.resolve()
    if path.is_dir() and inside.is_relative_to(root.resolve()):
        return inside.relative_to(root.resolve()).as_posix()
    return (path.name if path.is_absolute() else name)[:LONGEST_NAME]


def _put(place: Path, foreign: ForeignAdapter, card: Adapter) -> Adapter:
    """Copy files and card to their place, whole or not at all. Returns the card that is there.

    The same weights with other settings are another adapter, for which one digest has no second place.
    """
    if (place / CARD).is_file():
        there = read_card(place)
        if there.settings_digest != card.settings_digest:
            raise DataError(
                f"{place} has the same weights with another {SETTINGS}: which one is meant? Remove it and its "
                ".dvc file (`dvc remove`), then import again"
            )
        return there
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, file in foreign.files.items():
            shutil.copyfile(file, partial / name)
        write_text(partial / CARD, json.dumps(card.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(f"{place} cannot be written ({error.strerror}); make room, then import again") from error
    return card
