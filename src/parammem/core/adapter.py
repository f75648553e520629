"""The identity card of a trained ParamMem."""

from __future__ import annotations

from typing import Any

from parammem.core.record import Record


class Adapter(Record):
    """A trained ParamMem, named by the digest of its weights. Lies in its folder as `adapter.json`."""

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
    """SHA-256 over adapter_config.json, but for where the adapter lies. Other settings make another adapter of the same
    weights."""
    base_extra_digest: str = ""
    """SHA-256 over files of the base that are read too and that `base_digest` does not cover; "" for most models."""
    max_advice_tokens: int | None = None
    """Where advice ended in the run that trained it. None: not known."""
