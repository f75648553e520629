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

from parammem.core.notice import Notice
from parammem.training.distributed import ALONE, Team


@dataclass
class TrainingProgress:
    """How far a run has come, beside its weights."""

    step: int = 0
    """Optimiser steps done."""
    losses: list[float] = field(default_factory=list)
    """Training losses since the last line of `curve`."""
    curve: list[dict[str, float | int | None]] = field(default_factory=list)
    """Lines of losses.csv."""


def save_checkpoint(
    path: Path, progress: TrainingProgress, weights: dict[str, Any], optimizer: Any, team: Team = ALONE
) -> None:
    """Write the checkpoint: after a crash there is the old one or the new one, whole.

    All processes of a team must call it, and the leader writes: whole tensors, whatever share of them each has.
    """
    import torch

    state = {"progress": vars(progress), "weights": weights, "optimizer": optimizer.state_dict()}
    state = _gathered(state, team.leads)
    if not team.leads:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, weights: dict[str, Any], optimizer: Any, team: Team = ALONE) -> TrainingProgress:
    """Fill weights and optimizer from the checkpoint, if there is one, and say how far it was.

    The leader of a team reads it, and tells the others. A file that cannot be read is set aside as `*.corrupt` with a
    warning, and training starts from the beginning.
    """
    saved: Any = _read(path, weights) if team.leads else None
    progress = team.tell(saved and saved["progress"])
    if progress is None:
        return TrainingProgress()
    if team.size == 1:
        import torch

        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(saved["weights"][name])
        optimizer.load_state_dict(saved["optimizer"])
    else:
        _hand_out(saved, weights, optimizer, progress["step"], team)
    return TrainingProgress(**progress)


def _read(path: Path, weights: dict[str, Any]) -> dict[str, Any] | None:
    import torch

    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        TrainingProgress(**state["progress"])
        if state["weights"].keys() != weights.keys():
            raise ValueError("it holds other weights")
    except Exception as error:  # torch.load raises whatever the broken bytes lead it to
        aside = path.with_suffix(".corrupt")
        path.replace(aside)
        warnings.warn(
            f"checkpoint {path} cannot be read ({error}); moved to {aside}, starting over",
            Notice,
            stacklevel=3,
        )
        return None
    return state


def _hand_out(saved: Any, weights: dict[str, Any], optimizer: Any, step: int, team: Team) -> None:
    """Give each process its share of the leader's whole tensors, and AdamW the moments that it would have."""
    import torch

    for number, (name, weight) in enumerate(weights.items()):
        team.fill(weight, saved and saved["weights"][name])
        moments = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
        for moment, tensor in moments.items():
            team.fill(tensor, saved and saved["optimizer"]["state"][number][moment])
        optimizer.state[weight] = {"step": torch.tensor(float(step)), **moments}


def _gathered(state: Any, keep: bool) -> Any:
    """Return the same nested dict with whole tensors in the place of shares; without tensors where they are not
    kept."""
    if isinstance(state, dict):
        return {key: _gathered(value, keep) for key, value in state.items()}
    if not hasattr(state, "full_tensor"):
        return state
    whole = state.full_tensor()
    return whole.cpu() if keep else None
