"""From (prompt, reflection) to token ids and labels. The loss is on the completion only, its end included.

The prompt is encoded alone and the completion after it, exactly as the engine gets them when it samples, so no token
ever spans the border. Masks are made by position, never by token id: padding is not learned whatever the pad token
is, and the end-of-turn token is learned even where a tokenizer uses it as its pad token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parammem.engines.base import Message
from parammem.engines.templates import render
from parammem.engines.tokenizing import tokens_of
from parammem.errors import DataError

IGNORED = -100
"""Label of a position that is not learned, as torch's cross entropy and transformers have it."""


@dataclass(frozen=True)
class Encoded:
    """One row: prompt and completion in one sequence, without padding."""

    ids: tuple[int, ...]
    prompt: int
    """How many ids at the start are prompt; the rest, whose last is eos, is learned."""

    @property
    def labels(self) -> tuple[int, ...]:
        return (IGNORED,) * self.prompt + self.ids[self.prompt :]


@dataclass(frozen=True)
class Batch:
    """Right-padded rows of a batch, (B, T) each, as lists of equal length.

    No attention mask: in a causal model padding on the right is seen by nothing but padding.
    """

    ids: list[list[int]]
    labels: list[list[int]]


def encode(tokenizer: Any, messages: Sequence[Message], reflection: str, known: int | None = None) -> Encoded:
    """Return chat template with the assistant's turn opened, then the reflection, then eos.

    Args:
        known: how many tokens the model has a place for; None: not looked at.

    Raises:
        DataError: the tokenizer has no chat template or no eos, or prompt or reflection hold no token.
        EngineError: the tokenizer failed, or belongs to another model.
    """
    if tokenizer.chat_template is None:
        raise DataError("the base model's tokenizer has no chat template; add chat_template.jinja to its folder")
    if tokenizer.eos_token_id is None:
        raise DataError("the base model's tokenizer has no eos token, so it could never learn to stop; set eos_token")
    (text,) = render(tokenizer, [messages], tokenizer.name_or_path)
    prompt, completion = tokens_of(tokenizer, [text, reflection], tokenizer.name_or_path, known)
    if not prompt:
        raise DataError(f"the tokenizer in {tokenizer.name_or_path!r} makes no token of a prompt; take another base")
    if not completion:
        raise DataError(f"a reflection holds no token ({reflection!r}); `validate` drops such rows: run it first")
    row = Encoded(ids=(*prompt, *completion, tokenizer.eos_token_id), prompt=len(prompt))
    check_mask(row, tokenizer.eos_token_id)
    return row


def check_mask(row: Encoded, eos: int) -> None:
    """Assert what the loss rests on: nothing of the prompt is learned, all of the completion is, and eos closes it."""
    labels = row.labels
    assert len(labels) == len(row.ids), "as many labels as ids"
    assert all(label == IGNORED for label in labels[: row.prompt]), "the prompt is not learned"
    assert labels[row.prompt :] == row.ids[row.prompt :], "the completion is learned"
    assert 0 < row.prompt < len(labels) - 1, "prompt and completion are both there"
    assert labels[-1] == eos, "the end is learned"


def collate(rows: Sequence[Encoded], pad: int) -> Batch:
    """Pad rows on the right to the longest of them; padding carries the ignored label."""
    width = max(len(row.ids) for row in rows)
    gaps = [width - len(row.ids) for row in rows]
    return Batch(
        ids=[[*row.ids, *[pad] * gap] for row, gap in zip(rows, gaps, strict=True)],
        labels=[[*row.labels, *[IGNORED] * gap] for row, gap in zip(rows, gaps, strict=True)],
    )


def pad_id(tokenizer: Any) -> int:
    """Return a token to fill with that is not eos. What it is has no effect; that it is not eos keeps dumps
    readable."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return tokenizer.pad_token_id
    return 0 if tokenizer.eos_token_id != 0 else 1
