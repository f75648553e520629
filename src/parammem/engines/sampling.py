"""Randomness that follows from the request alone, and how a token is drawn with it.

A draw owns one stream of uniform numbers, one number per token position, from a counter-based generator (Philox 4x64)
whose key is a hash of (seed, draw number, messages). No other sequence and no order of work can shift it.
A token is the inverse of softmax(logits / temperature)'s distribution function at that number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parammem.core.record import digest_of
from parammem.engines.base import Request

if TYPE_CHECKING:
    import torch

EVALUATION_DRAWS, CANARY_DRAWS = 1000, 2000
"""Numbers of the first draws of advice that belong to no attempt: those of the evaluation's tables, and those by which
the gate tells models apart. The agent loop's begin at 0, so that the completion cache keeps all of them apart."""
GREEDY = 1e-6
"""Temperatures up to this one are greedy."""


def messages_digest(request: Request) -> str:
    """Return SHA-256 of the roles and contents of a request's messages."""
    return digest_of([[message.role, message.content] for message in request.messages])


def uniforms(seed: int, draw: int, messages: str, count: int) -> np.ndarray:
    """Return the first `count` numbers in [0, 1) of one draw's stream, float64. `messages` is
    `messages_digest(request)`."""
    key = int(digest_of(["draw", seed, draw, messages])[:32], 16)
    return np.random.Generator(np.random.Philox(key=key)).random(count)


def pick(logits: torch.Tensor, temperature: torch.Tensor | None, uniform: torch.Tensor) -> torch.Tensor:
    """Return one token per row.

    Args:
        logits: [rows, vocabulary].
        temperature: [rows] float32; rows at 0 are greedy. None: all rows are greedy.
        uniform: [rows] float64 in [0, 1).

    Returns:
        Token ids [rows], int64.
    """
    import torch

    if temperature is None:
        return logits.argmax(-1)
    scaled = logits.float() / temperature.clamp_min(GREEDY)[:, None]
    # Summed in float64: in float32 the last sum may fall below the number it is compared with.
    below = torch.softmax(scaled, -1).cumsum(-1, dtype=torch.float64)
    token = torch.searchsorted(below, (uniform * below[:, -1])[:, None], right=True)[:, 0]
    return torch.where(temperature <= GREEDY, logits.argmax(-1), token.clamp_max(logits.shape[-1] - 1))
