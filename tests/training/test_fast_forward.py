"""The fast forward computes what PEFT's modules compute: losses, gradients, and whole runs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from parammem.engines.base import chat
from parammem.training.encoding import pad_id
from parammem.training.fast_forward import fits_fast_forward
from parammem.training.fit import OnStep, TrainingRun, loss_sum
from parammem.training.lora_sft import train_lora
from parammem.training.order import Plan
from parammem.training.prepare import encode_rows, load_base, with_lora
from tests.tiny import make_tiny_model
from tests.training.rows import TARGETS, make_rows, train_params


def make_run(base: Path, fast: bool, **changes: Any) -> TrainingRun:
    """Rows of several lengths, and an adapter that already does something."""
    params = train_params(dropout=0.0, **changes)
    tokenizer, model, _ = load_base(base, "float32")
    rows = encode_rows(make_rows(8), chat, tokenizer, model)
    assert len({len(row.ids) for row in rows}) > 2
    torch.manual_seed(3)
    tuned = with_lora(model, params)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    assert fits_fast_forward(tuned, params)
    return TrainingRun(
        tuned, rows, [], Plan(tuple(len(row.ids) for row in rows), params), pad_id(tokenizer), "cpu", fast
    )


def loss_and_gradients(run: TrainingRun) -> tuple[float, dict[str, torch.Tensor]]:
    total, _ = loss_sum(run, run.train)
    total.backward()
    return total.item(), {name: weight.grad for name, weight in run.weights().items() if weight.grad is not None}


@pytest.mark.parametrize("targets", [TARGETS, ("q_proj", "v_proj"), ("down_proj",)])
@pytest.mark.parametrize("kv_heads", [2, 4])
def test_loss_and_every_gradient_are_those_of_peft(tmp_path: Path, targets: tuple[str, ...], kv_heads: int) -> None:
    base = make_tiny_model(tmp_path / "base", kv_heads=kv_heads)
    expected, by_peft = loss_and_gradients(make_run(base, fast=False, target_modules=targets))
    loss, gradients = loss_and_gradients(make_run(base, fast=True, target_modules=targets))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert gradients.keys() == by_peft.keys()
    assert len(gradients) == 2 * 2 * len(targets), "A and B of each projection in two layers"
    for name, gradient in gradients.items():
        assert by_peft[name].norm() > 0, name
        torch.testing.assert_close(gradient, by_peft[name], rtol=1e-3, atol=1e-5 * float(by_peft[name].norm()))


def test_nothing_but_the_adapter_gets_a_gradient(tiny_base: Path) -> None:
    run = make_run(tiny_base, fast=True)
    loss_and_gradients(run)
    assert {name for name, weight in run.model.named_parameters() if weight.grad is not None} == set(run.weights())


def test_a_whole_run_ends_in_the_same_losses(tiny_base: Path, tmp_path: Path) -> None:
    curves = []
    for fast in (False, True):
        out = tmp_path / str(fast)
        params, checkpoints = train_params(dropout=0.0), tmp_path / "checkpoints"
        train_lora(
            make_rows(40), chat, tiny_base, params, out, checkpoints, "cpu", progress=False, threads=1, fast=fast
        )
        with (out / "losses.csv").open() as lines:
            curves.append([{key: float(value) for key, value in line.items()} for line in csv.DictReader(lines)])
    assert curves[0][-1]["loss"] < 0.9 * curves[0][0]["loss"], "something was learned"
    for one, other in zip(*curves, strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_a_run_broken_off_goes_on_to_the_same_bytes(tiny_base: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def killed(done: int, loss: float, rate: float) -> None:
        if done == 6:
            raise Killed

    def run(name: str, on_step: OnStep | None = None) -> bytes:
        params, out = train_params(dropout=0.0), tmp_path / name
        checkpoints = tmp_path / f"{name}.checkpoints"
        train_lora(
            make_rows(40), chat, tiny_base, params, out, checkpoints, "cpu", progress=False, threads=1, on_step=on_step
        )
        return (out / "adapter_model.safetensors").read_bytes()

    with pytest.raises(Killed):
        run("killed", killed)
    assert run("killed") == run("unbroken")


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_what_it_does_not_compute_goes_through_peft(tiny_base: Path) -> None:
    def taken(dtype: str = "float32", **changes: Any) -> bool:
        params = train_params(**{"dropout": 0.0, **changes})
        return fits_fast_forward(with_lora(load_base(tiny_base, dtype)[1], params), params)

    assert taken()
    assert not taken(dropout=0.1)
    assert not taken(dtype="bfloat16")
    assert not taken(target_modules=(*TARGETS, "embed_tokens"))
