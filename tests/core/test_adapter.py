"""Facts about the card of an adapter's folder: one reader, and what it says of a folder that has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.core import Adapter
from parammem.core.adapter import CARD, LARGEST_CARD, parse_card, read_card
from parammem.errors import AdapterError, AdapterMissingError

ADAPTER = Adapter(
    domain="code", digest="a" * 64, base_model="models/pocket-1m", base_digest="b" * 64, recipe={"rank": 8},
    data_digest="c" * 64, rows=2, steps=3, held_out_loss=None,
)  # fmt: skip


def test_a_card_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / CARD).write_text(ADAPTER.model_dump_json())
    assert read_card(tmp_path) == ADAPTER
    assert parse_card(ADAPTER.line().encode(), "a state") == ADAPTER


def test_a_folder_without_a_card_is_named(tmp_path: Path):
    with pytest.raises(AdapterMissingError, match=r"no adapter in .*: no adapter\.json.*`dvc pull`"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "EOF"),
        (b"\xff\xfe", "adapter's card"),
        (b"{}", "domain: Field required"),
        (b"[" * 200_000, "adapter's card"),
        (b" " * LARGEST_CARD + b" {}", "too large"),
    ],
    ids=["cut short", "no text", "empty", "deep", "too large"],
)
def test_what_is_no_card_is_refused_by_name(tmp_path: Path, data: bytes, why: str):
    (tmp_path / CARD).write_bytes(data)
    with pytest.raises(AdapterError, match=why) as raised:
        read_card(tmp_path)
    assert str(tmp_path / CARD) in str(raised.value)
    with pytest.raises(AdapterError, match="a state is no adapter's card"):
        parse_card(data, "a state")
