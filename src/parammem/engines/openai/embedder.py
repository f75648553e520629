"""Texts to vectors by a server's embedding model, in place of the built-in one (parammem.embeddings)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parammem.core.record import digest_of
from parammem.engines.concurrent import gathered
from parammem.engines.openai.account import FRAME, Most
from parammem.engines.openai.server import Call, Server, Unusable
from parammem.engines.store import Keeper

KEY = "embedding-1"
TOGETHER = 64
"""Texts of one request."""


class Embedder:
    """Callable on texts, as `parammem.embeddings.embed`. Its usage counts as the role `embedder`."""

    def __init__(self, server: Server, model: str, store: Keeper | None = None) -> None:
        self.server, self.model, self.store = server, model, store

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), d) vectors of length 1. Texts that were embedded before come from the cache.

        Raises:
            EngineError: the server does not answer, or not with vectors.
        """
        keys = [digest_of([KEY, self.model, text]) for text in texts]
        known = self.store.get(keys) if self.store else {}
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items())
        parts = [missing[start : start + TOGETHER] for start in range(0, len(missing), TOGETHER)]
        asked = [self.server.start(self._ask([text for _, text in part])) for part in parts]
        for part, rows in zip(parts, gathered(asked), strict=True):
            made = {key: json.dumps(row) for (key, _), row in zip(part, rows, strict=True)}
            known |= made
            if self.store:
                self.store.put(made)
        vectors = np.array([json.loads(known[key]) for key in keys], dtype=np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

    async def _ask(self, texts: list[str]) -> list[list[float]]:
        bound = sum(FRAME + len(text.encode()) for text in texts)
        price = self.server.account.terms.price(self.model)
        body = {"model": self.model, "input": texts}
        call = Call("/embeddings", body, "embedder", self.model, Most(bound, price.of(bound, 0)), price)
        return await self.server.post(call, lambda payload: _vectors(payload, len(texts)))


def _vectors(payload: Any, count: int) -> list[list[float]]:
    try:
        rows = {row["index"]: [float(number) for number in row["embedding"]] for row in payload["data"]}
        return [rows[place] for place in range(count)]
    except (KeyError, TypeError, ValueError):
        raise Unusable(f"the answer does not hold {count} embeddings: {str(payload)[:200]!r}") from None
