"""Adapter folders, looked at before PEFT reads them: the card, the weights and the settings must belong together.

The digest of an adapter is that of its weights alone, and adapter_config.json decides what the weights do: the scale,
the modules. So the card has a digest of these settings too. Cards of the first form lack it; they name the recipe, from
which the settings of an adapter that this project trained follow.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.core.adapter import Adapter, read_card, short_reason
from parammem.core.record import digest_of
from parammem.engines.digests import ADAPTER_WEIGHTS, adapter_digest, read_settings
from parammem.engines.lora import ADDRESS, Lora, lora_of
from parammem.engines.vetting import Vetted, is_pointer
from parammem.errors import AdapterError, AdapterMismatchError, AdapterMissingError

SETTINGS = "adapter_config.json"
LARGEST_HEADER = 8 << 20
"""Bytes of the header of an adapter's weights; a tensor takes some 150."""
RANKED = ("lora_A.weight", "lora_embedding_A")
"""Ends of the names of tensors whose first side is the rank."""
MOST_UNUSED = 512
"""A rank that no weight has may be as large as this: it is given to modules that are not there."""


@dataclass(frozen=True)
class AdapterFolder:
    """An adapter folder that may be loaded."""

    card: Adapter
    settings: str
    """Digest of adapter_config.json (`settings_digest`)."""
    lora: Lora
    tensors: frozenset[str]
    """Names of the weights."""

    @property
    def digest(self) -> str:
        return self.card.digest


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return SHA-256 over adapter_config.json without what says where the adapter is and which library wrote it."""
    plain = {key: value for key, value in settings.items() if key not in ADDRESS}
    if isinstance(plain.get("target_modules"), list):
        plain["target_modules"] = sorted(plain["target_modules"], key=str)
    return digest_of(plain)


def check_adapter(
    folder: Path, base_digest: str | None, base_name: str, vetted: Vetted | None = None, served: bool = False
) -> AdapterFolder:
    """See that an adapter folder's card fits its weights, its settings and this base (None: it is not known here).

    Args:
        vetted: the base's folder, if it is here.
        served: a server loads it, and looks into the weights itself.

    Raises:
        AdapterMissingError: no weights or no adapter.json.
        AdapterMismatchError: another base, or other weights or settings than adapter.json says.
        AdapterError: a file is broken, or it is an adapter that this project cannot load.
    """
    weights = folder / ADAPTER_WEIGHTS
    if weights.is_file() and is_pointer(weights):
        raise AdapterMissingError(
            f"{weights} is a git-lfs pointer, not the weights; run `git lfs pull` where it is from"
        )
    digest = adapter_digest(folder)
    card = read_card(folder)
    unknown = card.imported and not card.base_digest  # its shapes are looked at when it is loaded
    if base_digest is not None and card.base_digest != base_digest and not unknown:
        raise AdapterMismatchError(
            f"the adapter in {str(folder)!r} was trained on {card.base_model!r} ({card.base_digest[:12]}), "
            f"but the base is {base_name!r} ({base_digest[:12]}); point engine.model at its base, or train it again"
        )
    if card.digest != digest:
        raise AdapterMismatchError(
            f"the weights in {str(folder)!r} are {digest[:12]}, its adapter.json says {card.digest[:12]}: "
            "the folder was changed after training; restore it (`dvc checkout`) or train it again"
        )
    settings = read_lora_settings(folder)
    lora = lora_of(settings, folder, served)
    _check_settings(folder, card, settings)
    if vetted is not None and not unknown and card.form >= 2 and card.base_extra_digest != vetted.extra:
        raise AdapterMismatchError(
            f"files beside the weights of {base_name!r} (added tokens, templates, the list of weights) are not those "
            f"that the adapter in {str(folder)!r} was trained with; fetch the base model again"
        )
    tensors = frozenset() if served else _tensors(folder, lora)
    return AdapterFolder(card, settings_digest(settings), lora, tensors)


def read_lora_settings(folder: Path) -> dict[str, Any]:
    """Return adapter_config.json. Raises AdapterMissingError, or AdapterError if it is no JSON object."""
    path = folder / SETTINGS
    if not path.is_file():
        raise AdapterMissingError(f"no {SETTINGS} in {str(folder)!r}: it says where the weights belong; fetch it again")
    try:
        return read_settings(path)
    except ValueError as error:
        raise AdapterError(f"{path} cannot be read ({short_reason(error)}); restore it (`dvc checkout`)") from error


def settings_fit(card: Adapter, settings: Mapping[str, Any]) -> bool | None:
    """Return whether adapter_config.json is as the card says. None: the card says nothing of it."""
    if card.form >= 2:
        return settings_digest(settings) == card.settings_digest
    said = {"r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout", "target_modules": "target_modules"}
    if not all(key in card.recipe for key in said.values()):
        return None
    if any(_plain(settings.get(key)) != _plain(card.recipe[name]) for key, name in said.items()):
        return False
    return Lora.changes(settings) <= said.keys()


def _check_settings(folder: Path, card: Adapter, settings: Mapping[str, Any]) -> None:
    if settings_fit(card, settings) is False:
        raise AdapterMismatchError(
            f"{folder / SETTINGS} is not what the adapter was trained with: with other settings the same weights are "
            "another adapter; restore it (`dvc checkout`) or train it again"
        )


def _plain(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, list) else value


def _tensors(folder: Path, lora: Lora) -> frozenset[str]:
    """Return names of the weights, which have the ranks that the settings say: PEFT allocates no more than is there."""
    try:
        header = safetensors_header(folder / ADAPTER_WEIGHTS)
    except ValueError as error:
        raise AdapterError(
            f"{folder / ADAPTER_WEIGHTS} is no whole safetensors file ({error}); fetch this adapter again"
        ) from error
    ranks = {shape[0] for name, shape in header.items() if name.endswith(RANKED) and shape}
    if not ranks or not ranks <= lora.ranks or max(lora.ranks) > max(*ranks, MOST_UNUSED):
        raise AdapterMismatchError(
            f"the weights in {str(folder)!r} have rank {sorted(ranks) or 'none'}, its {SETTINGS} says "
            f"{sorted(lora.ranks)}; restore the folder (`dvc checkout`) or fetch this adapter again"
        )
    return frozenset(header)


def safetensors_header(path: Path) -> dict[str, list[int]]:
    """Return name → shape of each tensor. Raises ValueError: the file is cut, or its header is broken."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= min(size - 8, LARGEST_HEADER):
            raise ValueError("its header is longer than the file")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            ends = [int(one["data_offsets"][1]) for one in header.values()]
            shapes = {str(name): [int(side) for side in one["shape"]] for name, one in header.items()}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise ValueError(f"its header is broken: {type(error).__name__}") from error
    if max(ends, default=0) != size - 8 - length:
        raise ValueError(f"it has {size} bytes, and its header tells of {8 + length + max(ends, default=0)}")
    return shapes
