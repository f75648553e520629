"""Reflection rows for tests: small tasks about two kinds of quantity, whose kind decides the advice."""

from __future__ import annotations

from typing import Any

from parammem.config import TrainParams
from parammem.core import ReflectionExample

ADVICE = {"prices": "the limit itself included", "plums": "round half up"}
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make_row(number: int, kind: str = "", **changes: Any) -> ReflectionExample:
    kind = kind or sorted(ADVICE)[number % 2]
    fields: dict[str, Any] = {
        "domain": "code",
        "task_id": f"t{number}",
        "task_text": f"Return the sum of the {kind} number {number}" + " inside the limit" * (number % 4),
        "reflection": ADVICE[kind],
        "label_source": "experience",
        "part": "hindsight",
        "author": "a" * 64,
        "trajectory_id": f"run-{number}",
        "outcome": "final",
    }
    return ReflectionExample(**fields | changes)


def make_rows(count: int) -> list[ReflectionExample]:
    return [make_row(number) for number in range(count)]


def train_params(**changes: Any) -> TrainParams:
    """A short run: 40 rows make 2 steps an epoch, 12 steps in all, a checkpoint every 4."""
    fields: dict[str, Any] = {
        "rank": 4,
        "alpha": 8,
        "dropout": 0.1,
        "target_modules": TARGETS,
        "learning_rate": 0.01,
        "warmup": 0.1,
        "epochs": 6,
        "max_steps": 12,
        "batch": 16,
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "held_out": 0.2,
        "select": 0,
        "checkpoint_every": 4,
        "seed": 7,
        "controls": (),
    }
    return TrainParams(**fields | changes)
