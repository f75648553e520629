"""The optimiser steps of a training, done by one process or by a team.

Everything random in a step follows from (seed, process, step), so a run that was killed goes on from its last
checkpoint to the very adapter that it would have made. A team's step is that of one process with the same batch: each
process sums the loss of its share, all divide by the learned tokens of the whole batch, and the gradients are added
up. Only the order in which floats are added differs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.config import TrainParams
from parammem.engines.progress import PROGRESS
from parammem.errors import AdapterError
from parammem.training.checkpoint import TrainingProgress, load_checkpoint, save_checkpoint
from parammem.training.distributed import ALONE, Team, adding_up, distribute, trainable, whole_tensor
from parammem.training.encoding import IGNORED, Encoded, collate
from parammem.training.fast_forward import fast_logits
from parammem.training.order import Plan

OnStep = Callable[[int, float, float], None]
"""Told after each step: steps done, loss, learning rate."""
CURVE_POINTS = 12
"""About how many lines losses.csv has, and how often the held-out loss is measured."""


@dataclass(frozen=True)
class TrainingJob:
    """A training as plain data: what the leader of a team tells the others."""

    train: list[Encoded]
    held: list[Encoded]
    params: TrainParams
    pad: int
    base_model: str
    base_digest: str
    dtype: str
    """Of the frozen weights."""
    threads: int
    fast: bool


@dataclass(frozen=True)
class TrainingRun:
    """What a training run works on."""

    model: Any
    """The PEFT model."""
    train: list[Encoded]
    held: list[Encoded]
    plan: Plan
    pad: int
    device: str
    fast: bool = False
    team: Team = ALONE
    forward: Any = None
    """What to call for a pass that is learned from, where that is not the model."""

    def weights(self) -> dict[str, Any]:
        return trainable(self.model)

    def order(self) -> str:
        """Return who learns from which rows at each step, as CSV; empty where one process learns from all."""
        return self.plan.order_csv() if self.team.size > 1 else ""

    def precision(self) -> AbstractContextManager[Any]:
        import torch

        if self.plan.params.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.split(":")[0], torch.bfloat16)


def open_run(model: Any, job: TrainingJob, team: Team, device: str) -> TrainingRun:
    """Put the model, a fresh adapter in it, on its devices. All processes of a team must call it."""
    plan = Plan(tuple(len(row.ids) for row in job.train), job.params)
    forward = distribute(model, team, device)
    return TrainingRun(model, job.train, job.held, plan, job.pad, device, job.fast, team, forward)


def fit(run: TrainingRun, checkpoint: Path, show: bool, on_step: OnStep | None) -> TrainingProgress:
    """Run all optimiser steps, from the checkpoint on if there is one."""
    import torch
    from tqdm import tqdm

    params, plan, weights = run.plan.params, run.plan, run.weights()
    optimizer = torch.optim.AdamW(weights.values(), lr=params.learning_rate, weight_decay=params.weight_decay)
    done = load_checkpoint(checkpoint, weights, optimizer, run.team)
    measure_every = max(1, plan.steps // CURVE_POINTS)
    PROGRESS.begin("train", plan.steps - done.step)
    hidden = not (show and sys.stderr.isatty())
    if show and hidden:
        print(f"train: step {done.step} of {plan.steps}", file=sys.stderr, flush=True)
    with tqdm(total=plan.steps, initial=done.step, desc="train", unit="step", disable=hidden) as bar:
        for step, batch in plan.batches(done.step):
            rate = plan.learning_rate(step)
            loss = take_step(run, [run.train[row] for row in batch], optimizer, weights, step, rate)
            done.step = step + 1
            done.losses.append(loss)
            if done.step % measure_every == 0 or done.step == plan.steps:
                _measure(run, done, rate)
            if done.step % params.checkpoint_every == 0 or done.step == plan.steps:
                save_checkpoint(checkpoint, done, weights, optimizer, run.team)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
            PROGRESS.done += 1
            if on_step:
                on_step(done.step, loss, rate)
    return done


def gathered(run: TrainingRun) -> dict[str, Any] | None:
    """Return the adapter's whole tensors, from all processes; None where the model has them itself."""
    if run.team.size == 1:
        return None
    return {name: whole_tensor(weight).detach().cpu() for name, weight in run.weights().items()}


def take_step(
    run: TrainingRun, rows: list[Encoded], optimizer: Any, weights: dict[str, Any], step: int, learning_rate: float
) -> float:
    """Take one optimiser step, return the loss per learned token before it.

    Raises:
        AdapterError: loss or gradient is not finite. Nothing was written of this step.
    """
    import torch

    params = run.plan.params
    # Dropout's randomness follows from process and step alone: a resumed run draws what an unbroken one draws.
    torch.manual_seed((params.seed << 32) + (run.team.rank << 24) + step)
    run.model.train()
    value = run.team.total(_backward(run, rows))
    norm = whole_tensor(torch.nn.utils.clip_grad_norm_(weights.values(), params.max_grad_norm))
    if not (math.isfinite(value) and math.isfinite(norm.item())):
        raise AdapterError(
            f"training diverged at step {step + 1} of {run.plan.steps}: loss {value}, gradient norm {norm.item()}; "
            f"try a lower train.learning_rate (now {params.learning_rate}), a longer train.warmup (now "
            f"{params.warmup}) or a lower train.max_grad_norm (now {params.max_grad_norm})"
        )
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return value


def _backward(run: TrainingRun, rows: list[Encoded]) -> float:
    """Compute the gradients of the batch's loss, in as many passes as params say; returns this process's part of the
    loss."""
    count = _learned(rows)
    passes = run.plan.shares(len(rows))[run.team.rank]
    value = 0.0
    for number, places in enumerate(passes, start=1):
        with adding_up(run.forward, last=number == len(passes)):
            # A pass without rows keeps step with the other processes; it counts for nothing.
            total, _ = loss_sum(run, [rows[place] for place in places] or rows[:1])
            loss = total / count * (1 if places else 0)
            # Gradients are averaged over the processes; the sum is wanted.
            (loss * run.team.size).backward()
        value += loss.item()
    return value


def _learned(rows: Sequence[Encoded]) -> int:
    """Return tokens that are learned."""
    return sum(len(row.ids) - row.prompt for row in rows)


def loss_sum(run: TrainingRun, rows: Sequence[Encoded]) -> tuple[Any, int]:
    """Return summed cross entropy of the learned tokens of some rows, and how many they are.

    Logits are computed only for the columns in which some row has something to learn.
    """
    import torch

    batch = collate(rows, run.pad)
    ids, labels = torch.tensor(batch.ids), torch.tensor(batch.labels)
    columns = (labels != IGNORED).any(0).nonzero()[:, 0]
    targets = labels[:, columns].flatten().to(run.device)
    ids, before = ids.to(run.device), (columns - 1).to(run.device)
    if run.fast:
        logits = fast_logits(run.model, ids, before)
    else:
        forward = run.forward if run.forward is not None and run.model.training else run.model
        with run.precision():
            logits = forward(input_ids=ids, logits_to_keep=before, use_cache=False).logits
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets, ignore_index=IGNORED, reduction="sum"
    )
    return total, int((labels != IGNORED).sum())


def _measure(run: TrainingRun, done: TrainingProgress, learning_rate: float) -> None:
    """Add a line to the curve: mean training loss since the last line, and the held-out loss now."""
    mean = sum(done.losses) / len(done.losses)
    line = {"step": done.step, "loss": mean, "held_out_loss": _held_out_loss(run), "lr": learning_rate}
    done.curve.append(line)
    done.losses.clear()


def _held_out_loss(run: TrainingRun) -> float | None:
    """Return cross entropy per learned token over the held-out rows, of all processes; None if there are none."""
    import torch

    if not run.held:
        return None
    run.model.eval()
    rows = sorted(run.held, key=lambda row: len(row.ids))
    size = run.plan.params.batch
    total = 0.0
    with torch.no_grad():
        for batch in (rows[i : i + size] for i in range(0, len(rows), size)):
            for places in run.plan.shares(len(batch))[run.team.rank]:
                part, _ = loss_sum(run, [batch[place] for place in places] or batch[:1])
                total += part.item() if places else 0.0
    return run.team.total(total) / _learned(rows)
