"""Two ways to run a causal language model over one batch, behind one small seam: a Session.

A session prefills each prompt once (left-padded), then spreads the prompts over the sequences that continue them
(several draws share one prompt), steps all sequences by a token, and drops those that have ended.

- HfSession calls any transformers model with its DynamicCache: it always works.
- LlamaSession (llama.py) is a lean forward for small Llama models, three to five times faster where Python overhead and
  copying of the cache cost more than arithmetic. A test proves the two equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class Session(Protocol):
    """One batch in flight. `logits` after construction: [prompts, vocabulary], for the token after each prompt."""

    logits: torch.Tensor

    def spread(self, groups: torch.Tensor) -> None:
        """Let row r continue, from now on, prompt `groups[r]`; equal groups are side by side. Call once, before any
        step."""
        ...

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row. tokens: [rows] int64. Returns logits [rows, vocabulary] for the next one."""
        ...

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these (ascending)."""
        ...


class HfSession:
    """Any transformers causal language model, through its own forward and cache."""

    def __init__(self, model: Any, ids: torch.Tensor, mask: torch.Tensor) -> None:
        """ids, mask: [prompts, width] int64, left-padded; mask is 1 on real tokens."""
        from transformers import DynamicCache

        self._model = model
        self._mask = mask
        self._position = mask.sum(-1, keepdim=True)
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp_min(0),
            past_key_values=DynamicCache(config=model.config),
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = out.past_key_values
        self.logits = out.logits[:, -1]

    def spread(self, groups: torch.Tensor) -> None:
        if groups.tolist() != list(range(len(self._mask))):
            self.keep(groups)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        self._mask = _widen(self._mask)
        out = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._mask,
            position_ids=self._position,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = out.past_key_values
        self._position = self._position + 1
        return out.logits[:, -1]

    def keep(self, rows: torch.Tensor) -> None:
        self._cache.batch_select_indices(rows)
        self._mask = self._mask[rows]
        self._position = self._position[rows]


def _widen(mask: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([mask, mask.new_ones(len(mask), 1)], -1)
