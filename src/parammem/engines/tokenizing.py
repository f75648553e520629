"""Texts → tokens and back, by a tokenizer that came with a model: bounded in time, and every failure an EngineError.

A pattern of an untrusted tokenizer may take quadratic time or worse on some text, and the pattern does not show it.
So a call has a bound of CPU time, after which it is given up and the run ends with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.engines.loading import TooSlow, first_line, is_failure, within
from parammem.errors import EngineError

CPU_SECONDS, CPU_PER_CHARACTER = 5.0, 2e-5
"""For one call; known tokenizers take about a twentieth of that for each character."""
STEP = "take a tokenizer.json from the model's authors"


def tokens_of(tokenizer: Any, texts: Sequence[str], model: str, known: int | None = None) -> list[tuple[int, ...]]:
    """Return the tokens of each text, without special tokens around them.

    Args:
        model: how errors name the model.
        known: how many tokens the model has a place for; None: not looked at.

    Raises:
        EngineError: the tokenizer failed, took too long, or made a token that the model has no place for.
    """
    if not texts:
        return []
    seconds = CPU_SECONDS + CPU_PER_CHARACTER * sum(map(len, texts))
    try:
        encoded = within(seconds, lambda: tokenizer(list(texts), add_special_tokens=False)["input_ids"])
    except TooSlow:
        raise EngineError(
            f"the tokenizer in {model!r} took more than {seconds:.0f} s of CPU for {sum(map(len, texts)):,} characters "
            f"and was left: a pattern in its tokenizer.json takes very long on such a text; {STEP}"
        ) from None
    except BaseException as error:
        if not is_failure(error):
            raise
        raise EngineError(f"the tokenizer in {model!r} cannot cut a text ({first_line(error)}); {STEP}") from error
    highest = max((max(ids, default=0) for ids in encoded), default=0)
    if known is not None and highest >= known:
        raise EngineError(
            f"the tokenizer in {model!r} makes a token with the number {highest}, and the model has a place for "
            f"{known} ({known - 1} is the highest): they belong to different models; {STEP}"
        )
    return [tuple(ids) for ids in encoded]


def text_of(tokenizer: Any, ids: list[int], model: str) -> str:
    """Return the text of tokens without special ones. Raises EngineError: the tokenizer failed."""
    try:
        return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    except BaseException as error:
        if not is_failure(error):
            raise
        raise EngineError(f"the tokenizer in {model!r} cannot join tokens ({first_line(error)}); {STEP}") from error


def places_of(model: Any) -> int | None:
    """Return how many tokens a causal model has a place for."""
    return getattr(model.get_input_embeddings(), "num_embeddings", None)
