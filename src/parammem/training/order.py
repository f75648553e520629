"""Which rows are learned, in which order, at which learning rate: pure functions of rows, seed and step.

Because they are, a checkpoint need not hold the state of a data loader, of a schedule or of a random generator.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parammem.config import TrainParams
from parammem.core import ReflectionExample, digest_of

_BUCKET = 8
"""Batches that are sorted by length together: enough to save padding, few enough to keep batches mixed."""


def split_held_out(
    rows: Sequence[ReflectionExample], share: float
) -> tuple[list[ReflectionExample], list[ReflectionExample]]:
    """Return (rows to learn, rows held out), in their order. A task's rows stay together.

    The hash of the task's id decides, so that a task never changes sides when other rows come or go. Where that
    leaves one side empty, the task with the lowest hash is held out alone; a single task is never held out.
    """
    spot = {row.task_id: int(digest_of(row.task_id)[:12], 16) / 16**12 for row in rows}
    held = {task for task, place in spot.items() if place < share}
    if share > 0 and len(spot) > 1 and len(held) in (0, len(spot)):
        held = {min(spot, key=lambda task: spot[task])}
    if len(spot) == 1:
        held = set()
    return [row for row in rows if row.task_id not in held], [row for row in rows if row.task_id in held]


def batches_of(lengths: Sequence[int], batch: int, seed: int, epoch: int, grouped: bool = True) -> list[list[int]]:
    """Return the batches of one epoch as lists of row numbers: every row once, shuffled; grouped, rows of like length
    are together."""
    draw = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    draw.shuffle(order)
    if not grouped:
        return [order[i : i + batch] for i in range(0, len(order), batch)]
    size = batch * _BUCKET
    pools = [sorted(order[i : i + size], key=lambda row: (lengths[row], row)) for i in range(0, len(order), size)]
    batches = [pool[i : i + batch] for pool in pools for i in range(0, len(pool), batch)]
    draw.shuffle(batches)
    return batches


def shares(rows: int, processes: int, micro: int) -> list[list[list[int]]]:
    """Return what each process does of a batch: its forward passes, as lists of places in the batch.

    Every place is in one pass of one process. All processes have as many passes, because they wait for each other
    in each; where rows do not suffice (an epoch's last batch), the last passes are empty.

    Args:
        rows: in the batch; of like length at like places, so every process gets short and long ones.
        micro: rows of a pass at most; 0: no limit.
    """
    parts = [list(range(process, rows, processes)) for process in range(processes)]
    size = micro or max(1, len(parts[0]))
    passes = max(1, math.ceil(len(parts[0]) / size))
    return [[part[i * size : (i + 1) * size] for i in range(passes)] for part in parts]


@dataclass(frozen=True)
class Plan:
    """The whole course of a training run."""

    lengths: tuple[int, ...]
    """Tokens of each row."""
    params: TrainParams

    @property
    def per_epoch(self) -> int:
        return len(batches_of(self.lengths, self.params.batch, 0, 0))

    @property
    def steps(self) -> int:
        """Optimiser steps: `max_steps` if it is set, else what `epochs` comes to."""
        return self.params.max_steps or max(1, math.ceil(self.params.epochs * self.per_epoch))

    def epoch(self, number: int) -> list[list[int]]:
        return batches_of(
            self.lengths, self.params.batch, self.params.seed, number, grouped=self.params.group_by_length
        )

    def batches(self, start: int = 0) -> Iterator[tuple[int, list[int]]]:
        """Yield (step, row numbers) from step `start` to the last."""
        epoch, batches = -1, []
        for step in range(start, self.steps):
            if step // self.per_epoch != epoch:
                epoch = step // self.per_epoch
                batches = self.epoch(epoch)
            yield step, batches[step % self.per_epoch]

    def shares(self, rows: int) -> list[list[list[int]]]:
        """Return `shares` of a batch of that many rows."""
        return shares(rows, self.params.launch.processes, self.params.micro_batch)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of the step with this number (0 is the first): linear warm-up, then the schedule,
        never 0."""
        warm = round(self.params.warmup * self.steps)
        if step < warm:
            return self.params.learning_rate * (step + 1) / (warm + 1)
        done = (step - warm) / max(1, self.steps - warm)
        shape = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
        return self.params.learning_rate * shape[self.params.schedule]

    def order_csv(self) -> str:
        """Return what each process learned from at each step: places in the list of learned rows, from 1, pass by
        pass."""
        lines = ["step,process,rows\n"]
        for step, batch in self.batches():
            for process, passes in enumerate(self.shares(len(batch))):
                said = " + ".join(" ".join(str(batch[place] + 1) for place in places) for places in passes if places)
                lines.append(f"{step + 1},{process},{said}\n")
        return "".join(lines)
