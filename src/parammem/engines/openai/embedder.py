"""Texts to vectors by a server's embedding model, in place of the built-in one (parammem.embeddings)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parammem.core.record import digest_of
from parammem.engines.completion_store import Keeper
from parammem.engines.futures import gathered
from parammem.engines.openai.account import bound
from parammem.engines.openai.http_client import BASE_LIMIT
from parammem.engines.openai.server import Server, ServerCall, Unusable, shown
from parammem.errors import EngineError

KEY = "embedding-1"
TOGETHER = 64
"""Texts of one request."""
VECTOR_BYTES = 2**18
"""Bytes of JSON that a vector may have."""


class Embedder:
    """Callable on texts, as `parammem.embeddings.embed`. Its usage counts as the role `embedder`."""

    def __init__(self, server: Server, model: str, store: Keeper | None = None) -> None:
        self.server, self.model, self.store = server, model, store

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (len(texts), d) vectors of length 1. Texts that were embedded before come from the cache.

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
        rows = [json.loads(known[key]) for key in keys]
        if len({len(row) for row in rows}) > 1:
            raise EngineError(
                f"the model {self.model!r} at {self.server.base_url} has given embeddings of different lengths: it is "
                "not the one that the cache has under this name; set engine.cache to a new folder, and run again"
            )
        vectors = np.array(rows, dtype=np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

    async def _ask(self, texts: list[str]) -> list[list[float]]:
        price = self.server.account.terms.price(self.model)
        body = {"model": self.model, "input": texts}
        most, limit = bound(texts, 0, price), BASE_LIMIT + VECTOR_BYTES * len(texts)
        call = ServerCall("/embeddings", body, "embedder", self.model, most, price, limit)
        return await self.server.post(call, lambda payload: _vectors(payload, len(texts)))


def _vectors(payload: Any, count: int) -> list[list[float]]:
    """Return the vectors of an answer, in the order of the texts. Raises Unusable: they are not `count`, or no
    vectors."""
    try:
        rows = {row.get("index", n): [float(x) for x in row["embedding"]] for n, row in enumerate(payload["data"])}
        vectors = [rows[place] for place in range(count)]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise Unusable(f"the answer does not hold all embeddings (wanted: {count}): {shown(payload)}") from None
    whole = len({len(vector) for vector in vectors}) == 1 and vectors[0]
    if not whole or not all(math.isfinite(number) for vector in vectors for number in vector):
        raise Unusable(f"the answer's embeddings have different lengths or are no numbers: {shown(payload)}")
    return vectors
