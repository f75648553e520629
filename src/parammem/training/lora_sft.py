"""The recipe: LoRA fine-tuning of a causal language model on (task text, reflection) rows, through PEFT.

A loop of our own; docs/decisions.md ("Training loop") has the measurement against transformers' Trainer. Small models
take the lean forward of lean.py, all others PEFT's own. Everything random in a step follows from (seed, step), so a
run that was killed goes on from its last checkpoint to the very adapter that it would have made. What is written, and
how, is in publish.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parammem.config import TrainParams
from parammem.core import Adapter, ReflectionExample, digest_of
from parammem.engines.base import Message
from parammem.errors import AdapterError, DataError
from parammem.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from parammem.training.encoding import IGNORED, Encoded, collate, pad_id
from parammem.training.finished import code_version, place, whole
from parammem.training.lean import lean_logits, leans
from parammem.training.order import Plan, split_held_out
from parammem.training.prepare import chosen_device, encode_rows, load_base, one_bar, own_settings, with_lora
from parammem.training.publish import Result, publish, written_name

OnStep = Callable[[int, float, float], None]
"""Told after each step: steps done, loss, learning rate."""
CURVE_POINTS = 12
"""About how many lines losses.csv has, and how often the held-out loss is measured."""


def train_lora(
    rows: Sequence[ReflectionExample],
    messages: Callable[[str], tuple[Message, ...]],
    base_model: Path | str,
    params: TrainParams,
    out: Path,
    checkpoints: Path,
    device: str = "auto",
    progress: bool = True,
    dtype: str = "float32",
    threads: int = 2,
    on_step: OnStep | None = None,
    finished: Path | None = None,
    lean: bool = True,
    prompts: str = "",
) -> Adapter:
    """Train an adapter and write its folder `out`, whole or not at all.

    Args:
        rows: of one domain. With `params.select`, that many diverse ones are learned.
        messages: the prompt for a task text (a domain's `advise`); the adapter is sampled with the same one.
        base_model: a Hugging Face folder, or a hub name.
        checkpoints: a folder outside every stage's outs, for runs that were killed.
        dtype: of the base weights; the adapter is always trained in float32.
        threads: CPU threads. Sums are split by thread, so another number gives other bits; a fixed one gives the
            same adapter on machines with more cores.
        finished: a folder outside every stage's outs that keeps the adapter once more: a later call that would make
            this very adapter takes it from there. Whoever trained several removes it when all are there.
        lean: allow the lean forward for models it fits. False: always PEFT's own.
        prompts: what `messages` words, where it is not the pocket world; `ParamMem.load` words them alike.

    Raises:
        DataError: no rows, rows of several domains, or a row that cannot be encoded.
        ModelMissingError: no such base model.
        AdapterError: the loss or its gradient is not finite.
    """
    domain = _one_domain(rows)
    learned, held = split_held_out(rows, params.held_out)
    learned = _select(learned, params)
    where = chosen_device(device)
    with own_settings(where, params.seed, threads), one_bar():
        tokenizer, base, base_digest = load_base(base_model, dtype)
        train, aside = (encode_rows(part, messages, tokenizer, base) if part else [] for part in (learned, held))
        run = _open_run(with_lora(base, params).to(where), train, aside, params, pad_id(tokenizer), where, lean)
        recipe = {**params.model_dump(mode="json"), "dtype": dtype, "threads": threads, "device": where.split(":")[0]}
        recipe |= {"prompts": prompts} if prompts else {}
        result = Result(domain, learned, len(held), written_name(base_model), base_digest, recipe, Progress())
        key = _name_of(run, result)
        kept = None if finished is None else Path(finished) / key
        if kept and (adapter := whole(kept)):
            place(kept, Path(out))
            return adapter
        checkpoint = Path(checkpoints) / f"{key}.pt"
        result = replace(result, progress=_fit(run, checkpoint, progress, on_step))
        adapter = publish(run.model, result, kept or Path(out))
    if kept:
        place(kept, Path(out))
    checkpoint.unlink(missing_ok=True)
    return adapter


@dataclass(frozen=True)
class _Run:
    """What a training run works on."""

    model: Any
    train: list[Encoded]
    held: list[Encoded]
    plan: Plan
    pad: int
    device: str
    lean: bool = False

    def weights(self) -> dict[str, Any]:
        """The adapter's own tensors: the only ones that learn."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}


def _open_run(
    model: Any, train: list[Encoded], held: list[Encoded], params: TrainParams, pad: int, device: str, lean: bool
) -> _Run:
    plan = Plan(tuple(len(row.ids) for row in train), params)
    return _Run(model, train, held, plan, pad, device, lean and leans(model, params))


def _name_of(run: _Run, result: Result) -> str:
    """Digest of all that decides the adapter's bytes, so that no checkpoint and no finished adapter is taken up by
    another run."""
    tokens = [[row.ids, row.prompt] for row in (*run.train, *run.held)]
    provenance = [row.model_dump(mode="json") for row in result.rows]
    made_by = [result.base_model, result.base_digest, result.recipe, run.lean, code_version()]
    return digest_of([tokens, provenance, made_by])[:24]


def _fit(run: _Run, checkpoint: Path, show: bool, on_step: OnStep | None) -> Progress:
    """All optimiser steps, from the checkpoint on if there is one."""
    import torch
    from tqdm import tqdm

    params, plan, weights = run.plan.params, run.plan, run.weights()
    optimizer = torch.optim.AdamW(weights.values(), lr=params.learning_rate, weight_decay=params.weight_decay)
    done = load_checkpoint(checkpoint, weights, optimizer)
    measure_every = max(1, plan.steps // CURVE_POINTS)
    with tqdm(total=plan.steps, initial=done.step, desc="train", unit="step", disable=not show) as bar:
        for step, batch in _batches(plan, done.step):
            rate = plan.learning_rate(step)
            loss = _step(run, [run.train[row] for row in batch], optimizer, weights, step, rate)
            done.step = step + 1
            done.losses.append(loss)
            if done.step % measure_every == 0 or done.step == plan.steps:
                _measure(run, done, rate)
            if done.step % params.checkpoint_every == 0 or done.step == plan.steps:
                save_checkpoint(checkpoint, done, weights, optimizer)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
            if on_step:
                on_step(done.step, loss, rate)
    return done


def _batches(plan: Plan, start: int) -> Iterator[tuple[int, list[int]]]:
    """(step, row numbers) from step `start` to the last."""
    epoch, batches = -1, []
    for step in range(start, plan.steps):
        if step // plan.per_epoch != epoch:
            epoch = step // plan.per_epoch
            batches = plan.epoch(epoch)
        yield step, batches[step % plan.per_epoch]


def _step(
    run: _Run, rows: list[Encoded], optimizer: Any, weights: dict[str, Any], step: int, learning_rate: float
) -> float:
    """One optimiser step; returns the loss per learned token before it.

    Raises:
        AdapterError: loss or gradient is not finite. Nothing was written of this step.
    """
    import torch

    params = run.plan.params
    # Dropout's randomness follows from the step alone: a resumed run draws what an unbroken one draws.
    torch.manual_seed((params.seed << 32) + step)
    run.model.train()
    total, count = _loss_sum(run, rows)
    loss = total / count
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(weights.values(), params.max_grad_norm)
    value = loss.item()
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


def _loss_sum(run: _Run, rows: Sequence[Encoded]) -> tuple[Any, int]:
    """Summed cross entropy of the learned tokens of a batch, and how many they are.

    Logits are computed only for the columns in which some row has something to learn.
    """
    import torch

    batch = collate(rows, run.pad)
    ids, labels = torch.tensor(batch.ids), torch.tensor(batch.labels)
    columns = (labels != IGNORED).any(0).nonzero()[:, 0]
    targets = labels[:, columns].flatten().to(run.device)
    ids, before = ids.to(run.device), (columns - 1).to(run.device)
    if run.lean:
        logits = lean_logits(run.model, ids, before)
    else:
        logits = run.model(input_ids=ids, logits_to_keep=before, use_cache=False).logits
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets, ignore_index=IGNORED, reduction="sum"
    )
    return total, int((labels != IGNORED).sum())


def _measure(run: _Run, done: Progress, learning_rate: float) -> None:
    """Add a line to the curve: mean training loss since the last line, and the held-out loss now."""
    mean = sum(done.losses) / len(done.losses)
    line = {"step": done.step, "loss": mean, "held_out_loss": _held_out_loss(run), "lr": learning_rate}
    done.curve.append(line)
    done.losses.clear()


def _held_out_loss(run: _Run) -> float | None:
    """Cross entropy per learned token over the held-out rows; None if there are none."""
    import torch

    if not run.held:
        return None
    run.model.eval()
    rows = sorted(run.held, key=lambda row: len(row.ids))
    size = run.plan.params.batch
    with torch.no_grad():
        parts = [_loss_sum(run, rows[i : i + size]) for i in range(0, len(rows), size)]
    return sum(total.item() for total, _ in parts) / sum(count for _, count in parts)


def _one_domain(rows: Sequence[ReflectionExample]) -> str:
    domains = sorted({row.domain for row in rows})
    if not domains:
        raise DataError("no rows to train on: the validated reflection data is empty; look at what `validate` kept")
    if len(domains) > 1:
        raise DataError(f"rows of several domains ({', '.join(domains)}); train one adapter per domain")
    return domains[0]


def _select(rows: list[ReflectionExample], params: TrainParams) -> list[ReflectionExample]:
    if not params.select or len(rows) <= params.select:
        return rows
    from parammem.embeddings import embed
    from parammem.training.selection import select_diverse

    vectors = embed([f"{row.task_text}\n{row.reflection}" for row in rows])
    return [rows[number] for number in select_diverse(vectors, params.select, params.seed)]
