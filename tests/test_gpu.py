"""What a GPU computes is what the CPU computes: engine, LoRA training and pretraining, each on a CUDA device."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from parammem.engines.base import Request, chat
from parammem.engines.digests import adapter_digest, model_digest
from parammem.engines.hf import HfEngine
from parammem.pocket.pretrain import pretrain
from parammem.pocket.recipe import RECIPES
from parammem.training.lora_sft import train_lora
from tests.engines.conftest import write_card
from tests.tiny import make_tiny_adapter, make_tiny_model
from tests.training.rows import make_rows, train_params

pytestmark = pytest.mark.gpu


def tasks(count: int, **settings: float) -> list[Request]:
    return [Request(messages=chat(row.task_text), max_tokens=40, **settings) for row in make_rows(count)]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("lean", [True, False])
def test_greedy_texts_are_those_of_the_cpu(tmp_path: Path, lean: bool) -> None:
    model = make_tiny_model(tmp_path / "model")
    adapter = make_tiny_adapter(model, tmp_path / "adapter")
    write_card(adapter, model_digest(model), adapter_digest(adapter))
    written = [
        HfEngine.load(model, adapter, device=device, lean=lean).complete(tasks(20, temperature=0.0))
        for device in ("cpu", "cuda")
    ]
    assert [[c.text for c in answer] for answer in written[0]] == [[c.text for c in answer] for answer in written[1]]


def test_sampling_repeats_by_seed_and_draws_differ(repo_root: Path) -> None:
    engine = HfEngine.load(repo_root / "models" / "pocket-1m", device="cuda")
    requests = tasks(4, temperature=1.0, n=10, seed=3)
    first, again = engine.complete(requests), engine.complete(requests)
    assert [[c.text for c in answer] for answer in first] == [[c.text for c in answer] for answer in again]
    assert all(len({c.text for c in answer}) > 1 for answer in first)


@pytest.mark.parametrize(("fast", "precision"), [(True, "float32"), (False, "float32"), (False, "bf16")])
def test_lora_training_follows_the_losses_of_the_cpu(tmp_path: Path, fast: bool, precision: str) -> None:
    base = make_tiny_model(tmp_path / "base")
    params = train_params(dropout=0.0, precision=precision)
    for device in ("cpu", "cuda"):
        train_lora(make_rows(40), chat, base, params, tmp_path / device, tmp_path / "checkpoints", device=device,
                   progress=False, fast=fast)  # fmt: skip
    cpu, cuda = (losses(tmp_path / device) for device in ("cpu", "cuda"))
    assert cpu[-1] < cpu[0]
    assert cuda == pytest.approx(cpu, rel=0.002 if precision == "float32" else 0.03)


def losses(folder: Path) -> list[float]:
    with (folder / "losses.csv").open(encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_pretraining_on_a_gpu_is_cut_short_and_goes_on(tmp_path: Path) -> None:
    recipe = RECIPES["pocket-tiny"]
    assert not pretrain(recipe, tmp_path / "out", tmp_path / "cache", "cuda", seconds=0)
    assert pretrain(recipe, tmp_path / "out", tmp_path / "cache", "cuda")
    assert HfEngine.load(tmp_path / "out", device="cuda").complete(tasks(2, temperature=0.0))
