"""Training that goes on from an adapter in place of fresh LoRA weights (`warm_start` in params.yaml)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from parammem.config import TrainParams
from parammem.core.adapter import CARD
from parammem.engines.adapters import check_adapter
from parammem.engines.digests import ADAPTER_WEIGHTS, adapter_digest
from parammem.engines.loading import first_line
from parammem.errors import AdapterError, AdapterMissingError

SAME = ("rank", "alpha", "target_modules")
"""Params that both recipes must agree on: they give the weights their shape and their scale."""


class Start(NamedTuple):
    """An adapter to go on from."""

    digest: str
    rows: tuple[str, ...]
    """Hashes of all rows that it has learned, those of the adapters before it among them."""


def read_start(folder: Path, digest: str) -> Start:
    """Return the adapter in a folder, if it is the one that params name.

    Raises:
        AdapterMissingError: no adapter is there.
        AdapterError: another one does.
    """
    if not (folder / CARD).is_file():
        raise AdapterMissingError(
            f"warm_start.adapters names {digest[:16]}, and no adapter is in {folder}; `parammem registry fetch "
            f"{digest[:16]} --to {folder}` gets it"
        )
    found = adapter_digest(folder)
    if not digest or found != digest:
        raise AdapterError(f"the adapter in {folder} is {found[:16]}, and warm_start.adapters names {digest[:16]}")
    return Start(found, tuple((folder / "rows.txt").read_text(encoding="utf-8").split()))


def go_on_from(model: Any, folder: Path, params: TrainParams, base_digest: str) -> Start:
    """Put the adapter's weights in the place of the fresh ones.

    Raises:
        AdapterError: it was trained on another base model, or by a recipe of another shape.
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    trained = check_adapter(folder, None, "")
    card = trained.card
    now = params.model_dump(mode="json")
    differ = [
        f"{name} {card.recipe.get(name)} became {now[name]}" for name in SAME if card.recipe.get(name) != now[name]
    ]
    if card.base_digest != base_digest:
        differ.append(f"the base model {card.base_digest[:16]} became {base_digest[:16]}")
    if differ:
        raise AdapterError(f"training cannot go on from {card.digest[:16]}: {', '.join(differ)}; retrain from the base")
    try:
        done = set_peft_model_state_dict(model, load_file(folder / ADAPTER_WEIGHTS))
    except Exception as error:  # sizes that differ, or a file that is broken in the middle
        raise AdapterError(f"training cannot go on from {card.digest[:16]}: {first_line(error)}") from error
    if done.unexpected_keys:
        raise AdapterError(
            f"{card.digest[:16]} holds weights that this model has no place for: {done.unexpected_keys[0]}"
        )
    return read_start(folder, card.digest)
