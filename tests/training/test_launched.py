"""The recipe in two processes under `accelerate launch`, on CPUs: nothing but speed and memory may differ."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from parammem.training.launch import command
from tests.training.launched import ROWS, main
from tests.training.rows import make_rows

SETTINGS: dict[str, Any] = {"dropout": 0.0, "held_out": 0.1, "micro_batch": 4, "batch": 16}
LOSS_TOLERANCE = 2e-5
"""Of a loss, relative: float32 sums in another order, over 12 steps."""
WEIGHT_TOLERANCE = 1e-4
"""Of the whole adapter: norm of the difference over norm. In one run it was 9e-7."""
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def launched(folder: Path, base: Path, strategy: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    settings = {**SETTINGS, "launch": {"processes": 2, "strategy": strategy}, **changes}
    root = Path(__file__).parents[2]
    return subprocess.run(
        command(2, "tests.training.launched", [str(folder), str(base), json.dumps(settings)]),
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "out" / "adapter_model.safetensors")


def difference(one: Path, other: Path) -> float:
    """Norm of the difference of two adapters over the norm of the first."""
    import torch

    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    flat = [torch.cat([weights[name].flatten().double() for name in sorted(a)]) for weights in (a, b)]
    return float((flat[0] - flat[1]).norm() / flat[0].norm())


def curve(folder: Path) -> list[dict[str, float]]:
    with (folder / "out" / "losses.csv").open() as lines:
        return [{key: float(value) for key, value in line.items()} for line in csv.DictReader(lines)]


def seen(folder: Path, process: int) -> dict[str, Any]:
    return json.loads((folder / f"seen.{process}.json").read_text())


@pytest.fixture(scope="module")
def alone(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recipe in this process."""
    folder = tmp_path_factory.mktemp("alone")
    main(folder, str(tiny_base), dict(SETTINGS))
    return folder


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def together(request: pytest.FixtureRequest, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One unbroken run of two processes; its folder is named after the strategy."""
    folder = tmp_path_factory.mktemp("together") / request.param
    done = launched(folder, tiny_base, request.param)
    assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_come_to_the_losses_and_the_adapter_of_one(alone: Path, together: Path) -> None:
    expected = curve(alone)
    assert expected[-1]["loss"] < 0.9 * expected[0]["loss"], "something was learned"
    for line, other in zip(expected, curve(together), strict=True):
        assert other == pytest.approx(line, rel=LOSS_TOLERANCE)
    assert difference(alone, together) < WEIGHT_TOLERANCE


def test_both_processes_are_told_the_same_losses(together: Path) -> None:
    assert len(seen(together, 0)["losses"]) == 12
    assert seen(together, 0)["losses"] == seen(together, 1)["losses"]


def test_the_first_process_alone_writes(together: Path) -> None:
    assert seen(together, 1)["wrote"] == []
    wrote = " ".join(seen(together, 0)["wrote"])
    assert "adapter.json" in wrote
    assert "checkpoints" in wrote
    assert not list((together / "checkpoints").iterdir())


def test_the_manifest_is_that_of_one_process(alone: Path, together: Path) -> None:
    for name in ("rows.txt", "adapter_config.json"):
        assert (together / "out" / name).read_bytes() == (alone / "out" / name).read_bytes(), name
    card, other = (json.loads((folder / "out" / "adapter.json").read_text()) for folder in (alone, together))
    assert other["data_digest"] == card["data_digest"]
    assert other["recipe"].pop("launch") == {"processes": 2, "strategy": together.name}
    assert other["recipe"] == card["recipe"]


def test_the_order_on_record_is_what_each_process_computed(alone: Path, together: Path) -> None:
    """The rows' token ids, seen on their way into the model, are looked up by way of the run of one process."""
    with (together / "out" / "order.csv").open() as lines:
        order = list(csv.DictReader(lines))
    assert [(line["step"], line["process"]) for line in order] == [(str(s), str(p)) for s in range(1, 13) for p in "01"]
    number = numbered_rows(alone, together)
    for process in (0, 1):
        passes: dict[int, list[list[int]]] = {step: [] for step in range(1, 13)}
        for step, rows in seen(together, process)["rows"]:
            passes[step].append([number[tuple(ids)] for ids in rows])
        for line in (line for line in order if line["process"] == str(process)):
            said = [[int(row) for row in part.split()] for part in line["rows"].split(" + ") if part]
            assert passes[int(line["step"])][: len(said)] == said
    learned = (together / "out" / "rows.txt").read_text().split()
    epoch = [int(row) for line in order[:6] for row in line["rows"].replace("+", " ").split()]
    assert sorted(epoch) == list(range(1, len(learned) + 1)), "an epoch has every row once"


def numbered_rows(alone: Path, together: Path) -> dict[tuple[int, ...], int]:
    """Token ids of every learned row → its line in rows.txt, from 1."""
    from transformers import AutoTokenizer

    from parammem.engines.base import chat
    from parammem.training.encoding import encode

    base = json.loads((alone / "seen.0.json").read_text())["base"]
    tokenizer = AutoTokenizer.from_pretrained(base)
    hashes = (together / "out" / "rows.txt").read_text().split()
    rows = {row.row_hash: row for row in make_rows(ROWS)}
    return {
        encode(tokenizer, chat(rows[name].task_text), rows[name].reflection).ids: line
        for line, name in enumerate(hashes, start=1)
    }


def test_one_killed_process_ends_all_and_the_next_run_goes_on_to_the_same_bytes(
    together: Path, tiny_base: Path, tmp_path: Path
) -> None:
    strategy = together.name
    broken = launched(tmp_path, tiny_base, strategy, kill=[1, 6])
    assert broken.returncode != 0
    assert "-9" in broken.stderr, "the launcher says which process was killed"
    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 1
    again = launched(tmp_path, tiny_base, strategy)
    assert again.returncode == 0, again.stderr
    assert seen(tmp_path, 0)["losses"] == seen(together, 0)["losses"][4:], "it went on after step 4"
    for file in (together / "out").iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes(), file.name


def test_bf16_and_checkpointing_learn_in_shares(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    done = launched(tmp_path, tiny_base, "fsdp", precision="bf16", gradient_checkpointing=True)
    assert done.returncode == 0, done.stderr
    losses = curve(tmp_path)
    assert losses[-1]["held_out_loss"] < 0.9 * losses[0]["held_out_loss"]
    assert {weight.dtype for weight in tensors(tmp_path).values()} == {torch.float32}


def test_divergence_is_said_once_for_all(tiny_base: Path, tmp_path: Path) -> None:
    wild = {"learning_rate": 1e30, "warmup": 0.0, "schedule": "constant"}
    done = launched(tmp_path, tiny_base, "ddp", **wild)
    assert done.returncode != 0
    assert "training diverged at step" in done.stderr
    assert not (tmp_path / "out").exists()
