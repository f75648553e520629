from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parammem.engines.base import chat
from parammem.errors import DataError
from parammem.training.encoding import IGNORED, Encoded, check_mask, collate, encode, pad_id
from tests.tiny import make_tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tiny_tokenizer()


def test_loss_is_on_the_completion_and_its_end_only(tokenizer: Any) -> None:
    row = encode(tokenizer, chat("Return the sum", "Give advice"), "round half up")
    learned = [token for token in row.labels if token != IGNORED]
    assert tokenizer.decode(learned) == "round half up<|end|>"
    assert learned[-1] == tokenizer.eos_token_id
    assert set(row.labels[: row.prompt]) == {IGNORED}


def test_prompt_is_what_the_engine_samples_from(tokenizer: Any) -> None:
    row = encode(tokenizer, chat("Return the sum"), "round half up")
    assert tokenizer.decode(row.ids[: row.prompt]) == "<|user|>Return the sum<|end|><|assistant|>"


def test_padding_is_never_learned_and_rows_keep_their_tokens() -> None:
    rows = [Encoded((5, 6, 7, 1), 2), Encoded((5, 8, 1), 1)]
    batch = collate(rows, pad=0)
    assert batch.ids == [[5, 6, 7, 1], [5, 8, 1, 0]]
    assert batch.labels == [[IGNORED, IGNORED, 7, 1], [IGNORED, 8, 1, IGNORED]]


def test_end_is_learned_where_a_tokenizer_pads_with_its_end_token() -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    row = encode(tokenizer, chat("x"), "y")
    pad = pad_id(tokenizer)
    batch = collate([row, encode(tokenizer, chat("a longer prompt"), "y")], pad)
    assert pad != tokenizer.eos_token_id
    assert sum(label == tokenizer.eos_token_id for label in batch.labels[0]) == 1


@pytest.mark.parametrize(
    "row",
    [Encoded((5, 6, 7), 1), Encoded((5, 6, 1), 0), Encoded((5, 6, 1), 2)],
    ids=["no end", "no prompt", "no completion"],
)
def test_mask_check_refuses_what_must_not_be_learned(row: Encoded) -> None:
    with pytest.raises(AssertionError):
        check_mask(row, eos=1)


def test_a_row_without_tokens_and_a_tokenizer_without_template_are_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="no token"):
        encode(tokenizer, chat("x"), "")
    bare = make_tiny_tokenizer()
    bare.chat_template = None
    with pytest.raises(DataError, match="chat template"):
        encode(bare, chat("x"), "y")


def test_tiny_tokenizer_round_trips_through_a_folder(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert encode(again, chat("x"), "y") == encode(tokenizer, chat("x"), "y")
