"""The recipe on a tiny model. One thread, so that the tests are quick on a busy machine."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from parammem.core import Adapter, ReflectionExample, digest_of
from parammem.engines.adapters import check_adapter, settings_digest
from parammem.engines.base import Request, chat
from parammem.engines.digests import adapter_digest, model_digest
from parammem.engines.hf import HfEngine
from parammem.errors import AdapterError, AdapterMismatchError, DataError, ModelMissingError
from parammem.training.fit import OnStep
from parammem.training.lora_sft import train_lora
from parammem.training.order import split_held_out
from tests.training.rows import make_row, make_rows, train_params

FILES = {"README.md", "adapter.json", "adapter_config.json", "adapter_model.safetensors", "losses.csv", "rows.txt"}


def train(
    base: Path,
    folder: Path,
    rows: list[ReflectionExample] | None = None,
    on_step: OnStep | None = None,
    finished: Path | None = None,
    **changes: Any,
) -> Adapter:
    return train_lora(
        make_rows(40) if rows is None else rows,
        chat,
        base,
        train_params(**changes),
        folder / "out",
        folder / "checkpoints",
        device="cpu",
        progress=False,
        threads=1,
        on_step=on_step,
        finished=finished,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one unbroken run; its adapter is in `out`."""
    folder = tmp_path_factory.mktemp("trained")
    train(tiny_base, folder)
    return folder


class Killed(Exception):
    pass


def kill_after(steps: int) -> OnStep:
    def stop(done: int, loss: float, rate: float) -> None:
        if done == steps:
            raise Killed

    return stop


def test_the_folder_is_whole_and_its_card_tells_the_truth(trained: Path, tiny_base: Path) -> None:
    out = trained / "out"
    adapter = Adapter.model_validate_json((out / "adapter.json").read_text())
    learned, held = split_held_out(make_rows(40), 0.2)
    assert set(contents(trained)) == FILES
    assert adapter.digest == adapter_digest(out)
    assert adapter.base_digest == model_digest(tiny_base)
    assert (out / "rows.txt").read_text().split() == [row.row_hash for row in learned]
    assert adapter.data_digest == digest_of([row.row_hash for row in learned])
    assert (adapter.rows, adapter.steps, adapter.domain) == (len(learned), 12, "code")
    assert held
    assert adapter.held_out_loss is not None
    assert f"{adapter.held_out_loss:.4f}" in (out / "README.md").read_text()
    assert adapter.recipe["learning_rate"] == 0.01


def test_the_card_vouches_for_the_settings_too(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    out = shutil.copytree(trained / "out", tmp_path / "out")
    card = Adapter.model_validate_json((out / "adapter.json").read_text())
    assert (card.form, card.base_extra_digest, card.max_advice_tokens) == (2, "", None)
    settings = json.loads((out / "adapter_config.json").read_text())
    assert card.settings_digest == settings_digest(settings)
    assert check_adapter(out, card.base_digest, "tiny").digest == card.digest
    (out / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": -640}))
    with pytest.raises(AdapterMismatchError, match="not what the adapter was trained with"):
        check_adapter(out, card.base_digest, "tiny")


def test_a_card_of_the_first_form_is_held_to_its_recipe(trained: Path, tmp_path: Path) -> None:
    out = shutil.copytree(trained / "out", tmp_path / "out")
    young = {"form", "settings_digest", "base_extra_digest", "max_advice_tokens"}
    card = json.loads((out / "adapter.json").read_text())
    (out / "adapter.json").write_text(json.dumps({key: value for key, value in card.items() if key not in young}))
    assert check_adapter(out, None, "").card.form == 1
    settings = json.loads((out / "adapter_config.json").read_text())
    (out / "adapter_config.json").write_text(json.dumps(settings | {"target_modules": settings["target_modules"][:1]}))
    with pytest.raises(AdapterMismatchError, match="not what the adapter was trained with"):
        check_adapter(out, None, "")


def test_equal_input_gives_equal_bytes(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    train(tiny_base, tmp_path)
    assert contents(tmp_path) == contents(trained)


def test_other_seed_gives_another_adapter(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    assert train(tiny_base, tmp_path, seed=8).digest != adapter_digest(trained / "out")


def test_nothing_of_this_machine_is_in_the_folder(trained: Path, tiny_base: Path) -> None:
    for name, data in contents(trained).items():
        assert str(trained).encode() not in data, name
        assert str(tiny_base.parent).encode() not in data, name


def test_adapter_config_is_canonical_and_names_the_base(trained: Path, tiny_base: Path) -> None:
    config = json.loads((trained / "out" / "adapter_config.json").read_text())
    assert list(config) == sorted(config)
    assert config["target_modules"] == sorted(config["target_modules"])
    assert (config["base_model_name_or_path"], config["revision"]) == (tiny_base.name, model_digest(tiny_base))


def test_losses_fall_and_are_a_readable_plot(trained: Path) -> None:
    with (trained / "out" / "losses.csv").open() as lines:
        curve = list(csv.DictReader(lines))
    assert list(curve[0]) == ["step", "loss", "held_out_loss", "lr"]
    assert curve[-1]["step"] == "12"
    assert float(curve[-1]["held_out_loss"]) < float(curve[0]["held_out_loss"])


def test_peft_alone_loads_the_adapter(trained: Path, tiny_base: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32, local_files_only=True)
    ids = torch.arange(20).reshape(1, -1)
    with torch.no_grad():
        before = base(ids).logits
        after = PeftModel.from_pretrained(base, str(trained / "out"))(ids).logits
    assert not torch.allclose(before, after)


@pytest.mark.integration
def test_trained_model_says_the_advice_of_its_rows_and_stops(tiny_base: Path, tmp_path: Path) -> None:
    """Trained and sampled with one and the same prompt, and the end of the turn is learned."""
    train(tiny_base, tmp_path, rank=8, alpha=16, dropout=0.0, max_steps=120, learning_rate=0.02)
    engine = HfEngine.load(tiny_base, adapter=tmp_path / "out", device="cpu")
    rows, _ = split_held_out(make_rows(40), 0.2)
    asked = [Request(messages=chat(row.task_text), temperature=0, max_tokens=40) for row in rows]
    answers = [draws[0] for draws in engine.complete(asked)]
    right = [answer.text == row.reflection for answer, row in zip(answers, rows, strict=True)]
    assert sum(right) >= 0.9 * len(rows)
    assert {answer.finish for answer in answers} == {"stop"}


@pytest.mark.parametrize("steps", [1, 5, 8, 12])
def test_a_run_broken_off_goes_on_to_the_same_bytes(trained: Path, tiny_base: Path, tmp_path: Path, steps: int) -> None:
    with pytest.raises(Killed):
        train(tiny_base, tmp_path, on_step=kill_after(steps))
    assert not (tmp_path / "out").exists()
    made: list[int] = []
    train(tiny_base, tmp_path, on_step=lambda done, loss, rate: made.append(done))
    assert made == list(range(steps // 4 * 4 + 1, 13)), "no step before the checkpoint is made twice"
    assert contents(tmp_path) == contents(trained)
    assert not list((tmp_path / "checkpoints").iterdir()), "a finished run leaves no checkpoint"


def test_a_broken_checkpoint_is_set_aside_and_training_begins_again(
    trained: Path, tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(tiny_base, tmp_path, on_step=kill_after(5))
    (checkpoint,) = (tmp_path / "checkpoints").glob("*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:700])
    with pytest.warns(UserWarning, match="starting over"):
        train(tiny_base, tmp_path)
    assert contents(tmp_path) == contents(trained)
    assert list((tmp_path / "checkpoints").glob("*.corrupt"))


def test_a_checkpoint_of_another_recipe_is_not_taken_up(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tiny_base, tmp_path, on_step=kill_after(5))
    made: list[int] = []
    train(tiny_base, tmp_path, learning_rate=0.005, on_step=lambda done, loss, rate: made.append(done))
    assert made[0] == 1


@pytest.mark.integration
def test_kill_dash_nine_then_again_gives_the_same_bytes(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from tests.training.test_lora_sft import train
def slow(done, loss, rate):
    Path({str(tmp_path)!r}, "step").write_text(str(done))
    time.sleep(0.1)
train(Path({str(tiny_base)!r}), Path({str(tmp_path)!r}), on_step=slow)
"""
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], env={**os.environ})
    step = tmp_path / "step"
    deadline = time.monotonic() + 300
    while not (step.exists() and step.read_text() and int(step.read_text()) >= 6):
        assert child.poll() is None, "the child ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    made: list[int] = []
    train(tiny_base, tmp_path, on_step=lambda done, loss, rate: made.append(done))
    assert made[0] in (5, 9)
    assert contents(tmp_path) == contents(trained)


def test_an_adapter_that_was_finished_before_a_kill_is_not_made_again(
    trained: Path, tiny_base: Path, tmp_path: Path
) -> None:
    train(tiny_base, tmp_path, finished=tmp_path / "kept")
    assert contents(tmp_path) == contents(trained)
    shutil.rmtree(tmp_path / "out")
    made: list[int] = []
    again = train(tiny_base, tmp_path, finished=tmp_path / "kept", on_step=lambda done, loss, rate: made.append(done))
    assert made == []
    assert again.digest == adapter_digest(tmp_path / "out")
    assert contents(tmp_path) == contents(trained)


@pytest.mark.parametrize("other", ["rows", "provenance", "recipe", "code"])
def test_a_finished_adapter_serves_no_other_run(
    tiny_base: Path, tmp_path: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other provenance gives the same weights and another model card."""
    short: dict[str, Any] = {"max_steps": 2, "finished": tmp_path / "kept"}
    train(tiny_base, tmp_path, **short)
    rows = make_rows(40)
    if other == "rows":
        rows[3] = make_row(3, reflection="round half down")
    elif other == "provenance":
        rows = [row.model_copy(update={"outcome": "visible"}) for row in rows]
    elif other == "recipe":
        short["learning_rate"] = 0.005
    else:
        monkeypatch.setattr("parammem.training.lora_sft.code_version", lambda: "another")
    made: list[int] = []
    train(tiny_base, tmp_path, rows, on_step=lambda done, loss, rate: made.append(done), **short)
    assert made == [1, 2]


def test_a_finished_adapter_whose_weights_were_spoiled_is_made_again(
    trained: Path, tiny_base: Path, tmp_path: Path
) -> None:
    train(tiny_base, tmp_path, finished=tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    (kept / "adapter_model.safetensors").write_bytes(b"cut short")
    with pytest.warns(UserWarning, match="training it again"):
        train(tiny_base, tmp_path, finished=tmp_path / "kept")
    assert contents(tmp_path) == contents(trained)


def test_an_older_folder_stays_until_the_new_one_is_whole(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(Killed):
        train(tiny_base, tmp_path, on_step=kill_after(12))
    assert (tmp_path / "out" / "old").read_text() == "old"
    train(tiny_base, tmp_path)
    assert set(contents(tmp_path)) == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "out"]


def test_padding_does_not_change_the_loss(tiny_base: Path) -> None:
    """A batch's loss is that of its rows alone: no mask is needed, because padding is on the right."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from parammem.training.encoding import encode
    from parammem.training.fit import TrainingRun, loss_sum
    from parammem.training.order import Plan

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    rows = [encode(tokenizer, chat(row.task_text), row.reflection) for row in make_rows(6)]
    assert len({len(row.ids) for row in rows}) > 2
    run = TrainingRun(model, rows, [], Plan(tuple(len(row.ids) for row in rows), train_params()), 0, "cpu")
    with torch.no_grad():
        together, count = loss_sum(run, rows)
        alone = 0.0
        for row in rows:
            logits = model(input_ids=torch.tensor([row.ids])).logits[0, row.prompt - 1 : -1].float()
            targets = torch.tensor(row.ids[row.prompt :])
            alone += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
    assert count == sum(len(row.ids) - row.prompt for row in rows)
    assert math.isclose(together.item(), alone, rel_tol=1e-5)


def test_selection_learns_only_that_many_rows(tiny_base: Path, tmp_path: Path) -> None:
    assert train(tiny_base, tmp_path, select=10, max_steps=2).rows == 10


def test_without_held_out_rows_there_is_no_held_out_loss(tiny_base: Path, tmp_path: Path) -> None:
    adapter = train(tiny_base, tmp_path, held_out=0.0, max_steps=2)
    assert (adapter.rows, adapter.held_out_loss) == (40, None)


def test_divergence_names_the_step_and_what_to_try_and_leaves_nothing(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"diverged at step \d+ of 12.*train.learning_rate"):
        train(tiny_base, tmp_path, learning_rate=1e30, warmup=0.0, schedule="constant", dropout=0.0)
    assert not (tmp_path / "out").exists()


def test_training_leaves_the_process_as_it_was(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(tiny_base, tmp_path, max_steps=1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_that_cannot_be_trained_on_are_refused_by_name(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows"):
        train(tiny_base, tmp_path, rows=[])
    with pytest.raises(DataError, match="code, math"):
        train(tiny_base, tmp_path, rows=[make_row(1), make_row(2, domain="math")])
    with pytest.raises(DataError, match="'long'"):
        train(tiny_base, tmp_path, rows=[*make_rows(4), make_row(5, task_id="long", task_text="sum " * 600)])


def test_missing_base_and_unknown_target_modules_are_named(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="nowhere"):
        train(tmp_path / "nowhere", tmp_path)
    with pytest.raises(AdapterError, match=r"train\.target_modules"):
        train(tiny_base, tmp_path, target_modules=("no_such_proj",))
