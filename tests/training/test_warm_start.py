"""Facts about training that goes on from an adapter."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from parammem.core import Adapter, digest_of
from parammem.engines.base import chat
from parammem.errors import AdapterError, AdapterMissingError
from parammem.training.lora_sft import train_lora
from parammem.training.warm_start import read_start
from tests.training.rows import make_rows, train_params

OLD, NEW = make_rows(40), make_rows(60)[20:]
"""The second half of what was learned before, and what is new."""


def train(base: Path, folder: Path, rows, start: Path | None = None, **changes: Any) -> Adapter:
    params = train_params(**{"held_out": 0.0, "dropout": 0.0, **changes})
    return train_lora(
        rows, chat, base, params, folder / "out", folder / "checkpoints", device="cpu", progress=False, threads=1,
        start=start,
    )  # fmt: skip


def first_loss(folder: Path) -> float:
    with (folder / "out" / "losses.csv").open() as lines:
        return float(next(csv.DictReader(lines))["loss"])


@pytest.fixture(scope="module")
def champion(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champion")
    train(tiny_base, folder, OLD)
    return folder / "out"


def test_it_begins_with_what_the_adapter_knows(champion, tiny_base, tmp_path):
    train(tiny_base, tmp_path / "cold", NEW)
    train(tiny_base, tmp_path / "warm", NEW, champion)
    assert first_loss(tmp_path / "warm") < 0.8 * first_loss(tmp_path / "cold")


def test_steps_of_no_size_leave_the_adapter_as_it_was(champion, tiny_base, tmp_path):
    still = train(tiny_base, tmp_path, NEW, champion, learning_rate=1e-30)
    assert still.digest == read_start(champion, still.digest).digest


def test_rows_of_the_adapter_before_it_count_as_its_own(champion, tiny_base, tmp_path):
    made = train(tiny_base, tmp_path, NEW, champion)
    hashes = (tmp_path / "out" / "rows.txt").read_text().split()
    assert set(hashes) == {row.row_hash for row in (*OLD, *NEW)}
    assert len(hashes) == made.rows == 60
    assert made.data_digest == digest_of(hashes)
    assert made.recipe["start"] == Adapter.model_validate_json((champion / "adapter.json").read_bytes()).digest


def test_without_a_start_the_recipe_names_none(champion):
    assert "start" not in Adapter.model_validate_json((champion / "adapter.json").read_bytes()).recipe


def test_it_gives_the_same_bytes_twice_and_others_from_another_start(champion, tiny_base, tmp_path):
    once, again = (train(tiny_base, tmp_path / name, NEW, champion) for name in ("once", "again"))
    assert once == again
    train(tiny_base, tmp_path / "other", OLD[:20])
    assert train(tiny_base, tmp_path / "third", NEW, tmp_path / "other" / "out").digest != once.digest


@pytest.mark.parametrize(("change", "said"), [({"rank": 8}, "rank 4 became 8"), ({"alpha": 4}, "alpha 8 became 4")])
def test_a_recipe_of_another_shape_is_refused(champion, tiny_base, tmp_path, change, said):
    with pytest.raises(AdapterError, match=said):
        train(tiny_base, tmp_path, NEW, champion, **change)


def test_another_adapter_than_the_one_asked_for_is_refused(champion, tmp_path):
    with pytest.raises(AdapterError, match="names 0000"):
        read_start(champion, "0" * 64)
    with pytest.raises(AdapterMissingError, match="registry fetch 0000"):
        read_start(tmp_path, "0" * 64)


def test_another_base_model_is_refused(champion, tiny_base, tmp_path):
    shutil.copytree(champion, tmp_path / "champion")
    card = tmp_path / "champion" / "adapter.json"
    found = Adapter.model_validate_json(card.read_bytes())
    card.write_text(found.model_copy(update={"base_digest": "f" * 64}).model_dump_json())
    with pytest.raises(AdapterError, match="the base model ffff"):
        train(tiny_base, tmp_path, NEW, tmp_path / "champion")
