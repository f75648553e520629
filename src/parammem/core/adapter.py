"""The identity card of a trained ParamMem, and the one way to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parammem.core.record import Extended
from parammem.errors import AdapterError, AdapterMissingError

CARD = "adapter.json"
"""Its name in an adapter's folder."""
UNKNOWN = "cannot be known: imported"
"""Said of whatever only those know who trained an imported adapter."""
LARGEST_CARD = 1 << 20


class Adapter(Extended):
    """A trained ParamMem, named by the digest of its weights. Lies in its folder as CARD."""

    LATER = ("imported",)

    domain: str
    digest: str
    """SHA-256 of `adapter_model.safetensors`."""
    base_model: str
    """Folder or hub name of the base model."""
    base_digest: str
    """SHA-256 over the base model's weights, or its hub revision."""
    recipe: dict[str, Any]
    """Every training param."""
    data_digest: str
    """Digest of the ordered row hashes it was trained on; the hashes themselves are in `rows.txt`."""
    rows: int
    """How many rows that is."""
    steps: int
    """Optimiser steps taken."""
    held_out_loss: float | None
    """Cross entropy per learned token at the end; None if no rows were held out."""
    form: int = 1
    """Of this card. 2: it has the fields below, which older ones lack."""
    settings_digest: str = ""
    """SHA-256 over adapter_config.json, but for where the adapter is. Other settings make another adapter of the same
    weights."""
    base_extra_digest: str = ""
    """SHA-256 over files of the base that are read too and that `base_digest` does not cover; "" for most models."""
    max_advice_tokens: int | None = None
    """Where advice ended in the run that trained it. None: not known."""
    imported: str = ""
    """Name of the folder that it was imported from; empty: this project trained it. Of an imported adapter rows, steps
    and recipe are not known (0 and how advice is asked for), and base_digest is empty where the base was not here."""


def read_card(folder: Path) -> Adapter:
    """Return the card of an adapter's folder. Whether it fits the weights is checked by
    `engines.adapters.check_adapter`.

    Raises:
        AdapterMissingError: there is none.
        AdapterError: it is no card.
    """
    path = folder / CARD
    if not path.is_file():
        raise AdapterMissingError(
            f"no adapter in {str(folder)!r}: no {CARD}, which says which base it belongs to; train one "
            "(`dvc repro train`), fetch one (`dvc pull`), or give the folder of another"
        )
    try:
        with path.open("rb") as file:
            return parse_card(file.read(LARGEST_CARD + 1), str(path))
    except OSError as error:
        raise AdapterError(f"{path} cannot be read ({error}); train or fetch this adapter again") from error


def parse_card(data: bytes, where: str) -> Adapter:
    """Return a card's bytes as a record. Raises AdapterError, naming where they are from, if they are no card."""
    try:
        if len(data) > LARGEST_CARD:
            raise ValueError("it is too large")
        return Adapter.model_validate_json(data)
    except (ValueError, RecursionError) as error:
        said = f"{where} is no adapter's card ({short_reason(error)}); train or fetch this adapter again"
        raise AdapterError(said) from error


def short_reason(error: Exception) -> str:
    """Return why a record cannot be read, in a few words."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    return str(error)[:200] or type(error).__name__
