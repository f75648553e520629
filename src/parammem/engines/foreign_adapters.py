"""A PEFT folder that this project did not make, looked at before any of it is taken: which files, which kind, which
base. Nothing of it is loaded, and nothing but the files named here is read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from parammem.core.adapter import CARD
from parammem.core.escape import shown
from parammem.engines.adapters import LARGEST_HEADER, SETTINGS, read_lora_settings, safetensors_header
from parammem.engines.digests import ADAPTER_WEIGHTS, weight_files
from parammem.engines.lora import lora_of
from parammem.engines.vetting import is_pointer
from parammem.errors import AdapterError, AdapterMismatchError, AdapterMissingError

PICKLES = ("adapter_model.bin", "adapter_model.pt", "pytorch_model.bin")
PREFIX = "base_model.model."
"""What PEFT writes before the name of each module."""
FIRST, SECOND = ".lora_A.weight", ".lora_B.weight"
SHOWN = 3


class ForeignAdapter(NamedTuple):
    """What may be taken of a PEFT folder."""

    files: dict[str, Path]
    """Name → where its bytes are."""
    settings: dict[str, Any]
    """adapter_config.json."""
    shapes: dict[str, list[int]]
    """Name → shape of each tensor."""


def look_at_foreign(folder: Path) -> ForeignAdapter:
    """Return the files of a PEFT LoRA folder that may be taken.

    Raises:
        AdapterMissingError: there is no such folder, or it lacks its settings or its weights.
        AdapterError: it is no LoRA that is loaded here, its weights are a pickle or broken, a file of it is a link that
            leads out of it, or it is an adapter of this project.
    """
    if not folder.is_dir():
        raise AdapterMissingError(f"no folder {str(folder)!r}; give the folder that holds {SETTINGS}")
    if (folder / CARD).exists():
        raise AdapterError(
            f"{str(folder)!r} has an {CARD} already: it is an adapter of ParamMem; `parammem registry register` takes "
            "it as it is"
        )
    files = {name: _inside(folder, name) for name in (SETTINGS, ADAPTER_WEIGHTS) if _there(folder / name)}
    if SETTINGS not in files:
        raise AdapterMissingError(
            f"no {SETTINGS} in {str(folder)!r}, so it is no PEFT adapter; give the folder that holds it"
        )
    settings = read_lora_settings(folder)
    lora_of(settings, folder)
    if ADAPTER_WEIGHTS not in files:
        _refuse_weights(folder)
    if is_pointer(files[ADAPTER_WEIGHTS]):
        raise AdapterMissingError(
            f"{folder / ADAPTER_WEIGHTS} is a git-lfs pointer, not the weights; run `git lfs pull` where it is from"
        )
    try:
        return ForeignAdapter(files, settings, safetensors_header(files[ADAPTER_WEIGHTS]))
    except ValueError as error:
        where = folder / ADAPTER_WEIGHTS
        raise AdapterError(f"{where} is no whole safetensors file ({error}); fetch it again") from error


def check_fits(shapes: Mapping[str, list[int]], base: Path) -> None:
    """See by names and shapes that the weights belong to the modules of this base.

    Raises:
        AdapterMismatchError: a module is not in the base, or has another size there.
    """
    modules, strange = _base_shapes(base), []
    for name in sorted(shapes):
        if name.endswith(FIRST):
            module = name.removeprefix(PREFIX).removesuffix(FIRST)
            second = shapes.get(name.removesuffix(FIRST) + SECOND, [0])
            strange += _against(module, sorted([shapes[name][-1], second[0]]), modules)
    if strange:
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        raise AdapterMismatchError(
            f"the adapter does not belong to the base {base.name!r}: {'; '.join(strange[:SHOWN])}{more}; give the base "
            "that it was trained on with --base-model"
        )


def _against(module: str, sides: list[int], modules: Mapping[str, list[int]]) -> list[str]:
    """Return what does not fit of one module; empty if it fits. Some libraries leave out a base's first name part."""
    found = modules.get(module) or modules.get(module.partition(".")[2])
    if found is None:
        return [f"{shown(module)} is not in it"]
    if sorted(found) != sides:
        return [f"{shown(module)} has the sides {sides}, there {sorted(found)}"]
    return []


def _base_shapes(base: Path) -> dict[str, list[int]]:
    """Return module → shape of its weight, of all weight files of a model folder."""
    found: dict[str, list[int]] = {}
    for file in weight_files(base):
        for name, shape in _header(base / file).items():
            if name.endswith(".weight") and len(shape) == 2:
                found[name.removesuffix(".weight")] = shape
    return found


def _header(path: Path) -> dict[str, list[int]]:
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > LARGEST_HEADER * 8:
                raise ValueError("its header is too large")
            header = json.loads(file.read(length))
        found = {name: one["shape"] for name, one in header.items() if name != "__metadata__"}
        if not all(isinstance(shape, list) and all(type(side) is int for side in shape) for shape in found.values()):
            raise ValueError("a tensor has no sides")
        return found
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise AdapterError(f"{path} is no whole safetensors file ({error}); fetch the base model again") from error


def _refuse_weights(folder: Path) -> None:
    """Say why there are no weights. Raises AdapterError or AdapterMissingError."""
    pickle = next((name for name in PICKLES if _there(folder / name)), None)
    if pickle:
        raise AdapterError(
            f"the weights in {str(folder)!r} are a pickle ({pickle}), which can run code when it is read; have them "
            "saved as safetensors by whom you trust, or take a revision that has them"
        )
    raise AdapterMissingError(f"no {ADAPTER_WEIGHTS} in {str(folder)!r}: its weights are missing; fetch it again")


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _inside(folder: Path, name: str) -> Path:
    """Return where the bytes of a file are: in the folder, or in the store of a hub's cache, whose snapshots are links.

    Raises:
        AdapterError: it is a link that leads elsewhere, or no file.
    """
    place, home = (folder / name).resolve(), folder.resolve()
    cached = home.parent.name == "snapshots" and home.parent.parent.name.startswith("models--")
    allowed = [home, home.parent.parent / "blobs"] if cached else [home]
    if not any(place.is_relative_to(one) for one in allowed):
        raise AdapterError(
            f"{folder / name} is a link that leads out of its folder; put the file itself there, if you trust it"
        )
    if not place.is_file():
        raise AdapterMissingError(f"{folder / name} leads to no file; fetch the adapter again")
    return place
