"""Tiny models for the engine tests, made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.core import Adapter
from parammem.core.jsonl import write_text
from parammem.engines.digests import adapter_digest, model_digest
from tests.tiny import make_tiny_adapter, make_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tiny_adapter(tiny_model, tmp_path_factory) -> Path:
    folder = make_tiny_adapter(tiny_model, tmp_path_factory.mktemp("adapter"))
    write_card(folder, model_digest(tiny_model), adapter_digest(folder))
    return folder


def write_card(folder: Path, base_digest: str, digest: str) -> None:
    card = Adapter(
        domain="code",
        digest=digest,
        base_model="tiny",
        base_digest=base_digest,
        recipe={},
        data_digest="0" * 64,
        rows=1,
        steps=1,
        held_out_loss=1.0,
    )
    write_text(folder / "adapter.json", card.line() + "\n")
