"""The arithmetic of sharing a training, and what is refused."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parammem.config import TrainParams
from parammem.engines.base import chat
from parammem.errors import ConfigError
from parammem.sections import LaunchParams
from parammem.training.distributed import ALONE, VARIABLES, joined_team, launched
from parammem.training.fit import TrainingRun, loss_sum
from parammem.training.launch import command, launch
from parammem.training.lora_sft import SINCE, recipe_of, train_lora
from parammem.training.order import Plan, batches_of, shares
from parammem.training.prepare import encode_rows, load_base, with_lora
from tests.training.rows import make_rows, train_params


@given(st.integers(1, 70), st.integers(1, 9), st.integers(0, 8))
def test_every_row_of_a_batch_is_in_one_pass_of_one_process(rows: int, processes: int, micro: int) -> None:
    passes = shares(rows, processes, micro)
    assert len(passes) == processes
    assert sorted(place for part in passes for one in part for place in one) == list(range(rows))
    assert len({len(part) for part in passes}) == 1, "each has as many passes, or the others would wait for ever"
    assert all(len(one) <= (micro or rows) for part in passes for one in part)


@pytest.mark.parametrize("rows", [1, 9, 16])
def test_one_process_without_micro_batches_takes_the_batch_as_it_is(rows: int) -> None:
    assert shares(rows, 1, 0) == [[list(range(rows))]]


def test_short_and_long_rows_are_dealt_out_in_turn() -> None:
    assert shares(9, 2, 3) == [[[0, 2, 4], [6, 8]], [[1, 3, 5], [7]]]
    assert shares(5, 2, 1) == [[[0], [2], [4]], [[1], [3], []]], "the last pass of the second has nothing to do"


def test_the_order_on_record_names_every_row_of_an_epoch_once() -> None:
    params = train_params(launch=LaunchParams(processes=2), micro_batch=4, max_steps=3)
    plan = Plan(tuple(range(10, 51)), params)
    order = list(csv.DictReader(io.StringIO(plan.order_csv())))
    assert [(line["step"], line["process"]) for line in order] == [(s, p) for s in "123" for p in "01"]
    rows = [int(row) for line in order for row in line["rows"].replace("+", " ").split()]
    assert sorted(rows) == list(range(1, 42))
    first = plan.epoch(0)[0]
    taken = [first[place] + 1 for one in plan.shares(len(first))[0] for place in one]
    assert [int(row) for row in order[0]["rows"].replace("+", " ").split()] == taken


def test_without_groups_batches_are_as_drawn_and_pad_more() -> None:
    lengths = [50 + (number * 37) % 41 for number in range(640)]
    padded = {}
    for grouped in (True, False):
        batches = batches_of(lengths, 32, 0, 0, grouped)
        assert sorted(row for rows in batches for row in rows) == list(range(640))
        padded[grouped] = sum(max(lengths[row] for row in rows) * len(rows) for rows in batches) / sum(lengths)
    assert padded[True] < 1.1
    assert padded[False] > 1.2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch": 16, "launch": {"processes": 3}}, "a batch of 16 rows cannot be shared by 3 processes"),
        ({"batch": 16, "micro_batch": 3, "launch": {"processes": 2}}, "train.micro_batch a divisor of 8"),
        ({"batch": 16, "micro_batch": 6}, "train.micro_batch a divisor of 16"),
    ],
)
def test_a_batch_that_cannot_be_shared_evenly_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        train_params(**changes)


def test_a_process_may_have_fewer_rows_than_it_could_take_at_once() -> None:
    """So the paper's profiles go on as they are with eight processes."""
    assert Plan((9,) * 16, train_params(micro_batch=4, launch=LaunchParams(processes=8))).shares(16)[3] == [[3, 11]]


def test_a_recipe_names_young_params_only_where_they_are_set() -> None:
    """So that adapters made by the old ones keep their bytes."""
    plain = recipe_of(train_params())
    assert plain.keys() == set(TrainParams.model_fields) - set(SINCE)
    said = recipe_of(train_params(precision="bf16", launch=LaunchParams(processes=2, strategy="fsdp")))
    assert said == {**plain, "precision": "bf16", "launch": {"processes": 2, "strategy": "fsdp"}}


def test_who_was_launched_is_read_from_all_that_a_launcher_says() -> None:
    environment: dict[str, str] = dict.fromkeys(map(str, VARIABLES), "4")
    assert launched(environment) == 4
    assert launched({**environment, "WORLD_SIZE": "1"}) == 1
    assert launched({"WORLD_SIZE": "4"}) == 1, "a batch system says that too"


def test_another_number_of_processes_than_params_say_is_refused(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = train_params(launch=LaunchParams(processes=2))
    with pytest.raises(ConfigError, match=r"train\.launch\.processes is 2 and 1 of them train"):
        train_lora(make_rows(4), chat, tiny_base, params, tmp_path / "out", tmp_path / "checkpoints")
    for name in VARIABLES:
        monkeypatch.setenv(name, "4")
    with pytest.raises(ConfigError, match=r"launched: 4 processes, .* set it to 4"), joined_team(2, "ddp", "cpu"):
        pass
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match=r"--use_fsdp"), joined_team(4, "ddp", "cpu"):
        pass


def test_a_run_that_nobody_launched_is_a_team_of_one() -> None:
    with joined_team(1, "fsdp", "cpu") as team:
        assert team is ALONE
    assert team.leads
    assert team.tell("word") == "word"
    assert team.total(0.1) == 0.1
    assert (team.device("cpu"), team.device("cuda")) == ("cpu", "cuda")


def test_the_command_leaves_nothing_to_a_config_file() -> None:
    words = command(8, "some.module", ["one", "two"])
    assert words[1:3] == ["-m", "accelerate.commands.launch"]
    assert words[-4:] == ["--module", "some.module", "one", "two"]
    assert words[words.index("--num_processes") + 1] == "8"
    assert {"--multi_gpu", "--num_machines", "--mixed_precision", "--dynamo_backend", "--main_process_port"} <= set(
        words
    )


def test_the_launcher_s_exit_code_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parammem.training.launch.command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    assert launch(2, "any", []) == 3


def test_checkpointing_and_bf16_learn_and_the_adapter_stays_in_float32(tiny_base: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    losses: dict[str, list[float]] = {}
    for name, changes in {
        "plain": {},
        "checkpointed": {"gradient_checkpointing": True},
        "bf16": {"gradient_checkpointing": True, "precision": "bf16"},
    }.items():
        losses[name] = []
        params = train_params(dropout=0.0, micro_batch=4, **changes)
        train_lora(
            make_rows(40), chat, tiny_base, params, tmp_path / name, tmp_path / "checkpoints", "cpu",
            progress=False, threads=1, fast=False, on_step=lambda done, loss, rate, to=losses[name]: to.append(loss),
        )  # fmt: skip
        weights = load_file(tmp_path / name / "adapter_model.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert losses["checkpointed"] == pytest.approx(losses["plain"], rel=1e-6), "the same arithmetic, done twice"
    assert losses["bf16"] == pytest.approx(losses["plain"], rel=0.03)
    assert losses["bf16"] != losses["checkpointed"]
    assert sum(losses["bf16"][-3:]) < 0.8 * sum(losses["bf16"][:3])


def test_micro_batches_add_up_to_the_batch(tiny_base: Path, tmp_path: Path) -> None:
    curves = []
    for micro in (0, 4):
        losses: list[float] = []
        train_lora(
            make_rows(40), chat, tiny_base, train_params(dropout=0.0, micro_batch=micro), tmp_path / str(micro),
            tmp_path / "checkpoints", "cpu", progress=False, threads=1,
            on_step=lambda done, loss, rate, to=losses: to.append(loss),
        )  # fmt: skip
        curves.append(losses)
    assert curves[1] == pytest.approx(curves[0], rel=2e-5)


@pytest.mark.parametrize(("checkpointing", "times"), [(False, 1), (True, 2)])
def test_checkpointing_computes_every_layer_again(tiny_base: Path, checkpointing: bool, times: int) -> None:
    params = train_params(gradient_checkpointing=checkpointing)
    tokenizer, base, _ = load_base(tiny_base, "float32")
    rows = encode_rows(make_rows(4), chat, tokenizer, base)
    model = with_lora(base, params)
    computed: list[str] = []
    for name, module in model.named_modules():
        if name.endswith("self_attn.o_proj"):
            module.register_forward_hook(lambda *_, name=name: computed.append(name))
    run = TrainingRun(model.train(), rows, [], Plan(tuple(len(row.ids) for row in rows), params), 0, "cpu")
    loss_sum(run, rows)[0].backward()
    assert len(computed) == times * 2, "two layers"


def test_autocast_learns_the_same_without_peft_s_casts_to_float32(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora import LoraLayer

    def learned(name: str) -> list[float]:
        losses: list[float] = []
        train_lora(
            make_rows(24), chat, tiny_base, train_params(dropout=0.0, precision="bf16"), tmp_path / name,
            tmp_path / f"{name}-checkpoints", "cpu", progress=False, threads=1, fast=False,
            on_step=lambda done, loss, rate: losses.append(loss),
        )  # fmt: skip
        return losses

    casts: list[bool] = []
    cast = LoraLayer._cast_input_dtype

    def watched(self: LoraLayer, x: Any, dtype: Any) -> Any:
        casts.append(self.cast_input_dtype_enabled and x.dtype != dtype)
        return cast(self, x, dtype)

    monkeypatch.setattr(LoraLayer, "_cast_input_dtype", watched)
    without = learned("without")
    assert casts
    assert not any(casts)
    monkeypatch.setattr(
        LoraLayer, "_cast_input_dtype", lambda self, x, dtype: x if x is None else x.to(dtype)
    )  # what PEFT does otherwise
    assert learned("with") == pytest.approx(without, rel=1e-3)
