"""Where a killed training run goes on from: one file per run, written atomically, named by what is being trained.

The name is the digest of everything that decides the result, so a checkpoint of other rows, params or weights is
never taken for this run's. A checkpoint is removed when its adapter is published.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Progress:
    """How far a run has come, beside its weights."""

    step: int = 0
    """Optimiser steps done."""
    losses: list[float] = field(default_factory=list)
    """Training losses since the last line of `curve`."""
    curve: list[dict[str, float | int | None]] = field(default_factory=list)
    """Lines of losses.csv."""


def save_checkpoint(path: Path, progress: Progress, weights: dict[str, Any], optimizer: Any) -> None:
    """Write the checkpoint: after a crash there is the old one or the new one, whole."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    state = {"progress": vars(progress), "weights": weights, "optimizer": optimizer.state_dict()}
    with temporary.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, weights: dict[str, Any], optimizer: Any) -> Progress:
    """Fill weights and optimizer from the checkpoint, if there is one, and say how far it was.

    A file that cannot be read is set aside as `*.corrupt` with a warning, and training starts from the beginning.
    """
    import torch

    if not path.is_file():
        return Progress()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**state["progress"])
        saved = state["weights"]
        if saved.keys() != weights.keys():
            raise ValueError("it holds other weights")
    except Exception as error:  # torch.load raises whatever the broken bytes lead it to
        aside = path.with_suffix(".corrupt")
        path.replace(aside)
        warnings.warn(f"checkpoint {path} cannot be read ({error}); moved to {aside}, starting over", stacklevel=2)
        return Progress()
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(saved[name])
    optimizer.load_state_dict(state["optimizer"])
    return progress
