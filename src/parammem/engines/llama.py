"""A lean forward for small Llama models: the same arithmetic as transformers' LlamaForCausalLM with less around it.

Why it exists: for a model of about a million parameters the stock loop spends most of a step on copying the KV cache,
on masks and on Python. Here the keys and values of a prompt are kept once for all its draws, new ones are written in
place, q/k/v and gate/up are one product each, and attention is two batched products (on CPU several times faster than
SDPA for one query). `fits` says which models it takes; all others go through HfSession.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MAX_PARAMETERS = 50_000_000
"""Above this the arithmetic of a training step outweighs what is saved."""
MAX_DECODE_PARAMETERS = 200_000_000
"""Above this the same is true of a step of the decode loop (`benchmarks/decode.py`)."""
PREFILL_TOKENS = 16_384
"""Prompts are prefilled in slices of about so many tokens, so that memory stays flat."""
TRIMMED_TOKENS = 2048
"""The same where arithmetic takes the time: each slice goes without the padding that all of its prompts share."""
STATIC_ROPE = frozenset({"default", "linear", "llama3"})
FIRST_ROOM = 32


@dataclass(frozen=True)
class Layer:
    """The weights of one block. qkv: [(heads + 2 kv_heads) * head_dim, hidden]; gate_up: [2 * intermediate, hidden]."""

    norm_in: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    norm_mlp: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


@dataclass(frozen=True)
class LlamaWeights:
    """A Llama, laid out for LlamaSession."""

    embed: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: torch.Tensor
    eps: float
    heads: int
    kv_heads: int
    head_dim: int
    rotary: Any
    """The model's own rotary embedding module: it makes the tables of cosines and sines."""

    def rope(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosines and sines [..., 1, head_dim] for positions [...]."""
        cos, sin = self.rotary(self.embed, positions.reshape(1, -1))
        shape = (*positions.shape, 1, self.head_dim)
        return cos.reshape(shape), sin.reshape(shape)


def fits(model: Any, most: int = MAX_PARAMETERS) -> bool:
    """Return whether LlamaSession computes what this model's own forward computes, and is worth it: the model has no
    more than so many parameters."""
    config = model.config
    if type(model).__name__ != "LlamaForCausalLM" or config.hidden_act != "silu":
        return False
    if config.attention_bias or config.mlp_bias or config.rope_parameters["rope_type"] not in STATIC_ROPE:
        return False
    return sum(p.numel() for p in model.parameters()) <= most


def _own_weight(projection: Any) -> torch.Tensor:
    return projection.weight


def take_weights(model: Any, weight: Callable[[Any], torch.Tensor] = _own_weight) -> LlamaWeights:
    """Return the weights of a LlamaForCausalLM that `fits`, with q/k/v and gate/up joined.

    `weight` says what the weight of a projection is; training gives those with a LoRA in them.
    """
    import torch

    config = model.config
    layers = []
    for block in model.model.layers:
        attention, mlp = block.self_attn, block.mlp
        layers.append(
            Layer(
                norm_in=block.input_layernorm.weight,
                qkv=torch.cat([weight(attention.q_proj), weight(attention.k_proj), weight(attention.v_proj)]),
                out=weight(attention.o_proj),
                norm_mlp=block.post_attention_layernorm.weight,
                gate_up=torch.cat([weight(mlp.gate_proj), weight(mlp.up_proj)]),
                down=weight(mlp.down_proj),
            )
        )
    return LlamaWeights(
        embed=model.model.embed_tokens.weight,
        layers=tuple(layers),
        norm=model.model.norm.weight,
        head=model.lm_head.weight,
        eps=config.rms_norm_eps,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=model.model.layers[0].self_attn.head_dim,
        rotary=model.model.rotary_emb,
    )


def decode_weights(model: Any) -> LlamaWeights:
    """Return `take_weights` of a model, whose own projections become views of them: nothing is in memory twice."""
    import torch

    weights = take_weights(model)
    for block, layer in zip(model.model.layers, weights.layers, strict=True):
        attention, mlp = block.self_attn, block.mlp
        for joined, parts in (
            (layer.qkv, (attention.q_proj, attention.k_proj, attention.v_proj)),
            (layer.gate_up, (mlp.gate_proj, mlp.up_proj)),
        ):
            for part, rows in zip(parts, joined.split([len(part.weight) for part in parts]), strict=True):
                part.weight = torch.nn.Parameter(rows.detach(), requires_grad=False)
    return weights


class LlamaSession:
    """One batch in flight: P prompts of width L; R rows, each one draw of a prompt; at most S live draws of each."""

    def __init__(self, weights: LlamaWeights, ids: torch.Tensor, mask: torch.Tensor, trim: bool = False) -> None:
        """ids, mask: [P, L] int64, left-padded; mask is 1 on real tokens. trim: prefill in small slices without the
        padding that all prompts of a slice share."""
        self._w = weights
        self._positions = mask.sum(-1)
        prompts, width = ids.shape
        shape = (prompts, weights.kv_heads, width, weights.head_dim)
        padded = bool((mask == 0).any())
        room = weights.embed.new_zeros if trim and padded else weights.embed.new_empty  # nothing is written on padding
        self._keys = [room(shape) for _ in weights.layers]
        self._values = [room(shape) for _ in weights.layers]
        self._bias = _bias(mask, weights.embed.dtype)[:, None, None, :] if padded else None
        self.logits = self._prefill_all(ids, mask, padded, trim)

    def _prefill_all(self, ids: torch.Tensor, mask: torch.Tensor, padded: bool, trim: bool) -> torch.Tensor:
        """Prefill all prompts, slice by slice. Returns the logits after each."""
        import torch

        prompts, width = ids.shape
        parts = []
        for some in torch.arange(prompts, device=ids.device).split(
            max(1, (TRIMMED_TOKENS if trim else PREFILL_TOKENS) // width)
        ):
            skip = int((mask[some] == 0).all(0).sum()) if trim else 0
            parts.append(self._prefill(ids[some, skip:], mask[some, skip:] if padded else None, some))
        return torch.cat(parts)

    def _prefill(self, ids: torch.Tensor, mask: torch.Tensor | None, prompts: torch.Tensor) -> torch.Tensor:
        """Fill the last columns of these prompts' keys and values; returns the logits after each."""
        import torch
        import torch.nn.functional as F

        w, width = self._w, ids.shape[1]
        steps = torch.arange(width, device=ids.device)
        positions = steps if mask is None else (mask.cumsum(-1) - 1).clamp_min(0)
        cos, sin = w.rope(positions)
        seen = None if mask is None else _prefill_mask(mask)
        x = F.embedding(ids, w.embed)
        for number, layer in enumerate(w.layers):
            q, k, v = project(w, layer, x, cos, sin)
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            self._keys[number][prompts, :, -width:], self._values[number][prompts, :, -width:] = k, v
            groups = w.heads // w.kv_heads
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            heard = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=seen is None)
            x = finish(w, layer, x, heard.transpose(1, 2).flatten(-2))
        return F.linear(F.rms_norm(x[:, -1], (x.shape[-1],), w.norm, w.eps), w.head)

    def spread(self, groups: torch.Tensor) -> None:
        self._positions = self._positions[groups]
        self._place(groups)
        shape = (len(groups), self._w.kv_heads, FIRST_ROOM, self._w.head_dim)
        self._own_keys = [self._w.embed.new_empty(shape) for _ in self._w.layers]
        self._own_values = [self._w.embed.new_empty(shape) for _ in self._w.layers]
        self._written = 0
        self._make_rope()

    def _make_rope(self) -> None:
        """Make the rotary tables for every position that the key cache can hold."""
        import torch

        room = self._keys[0].shape[2] + self._own_keys[0].shape[2]
        self._rope = self._w.rope(torch.arange(room, device=self._positions.device))

    def _place(self, groups: torch.Tensor) -> None:
        """Give each row its cell in a [P, S] table, so that one product takes all draws of a prompt."""
        import torch

        counts = torch.bincount(groups, minlength=len(self._keys[0]))
        self._slots = int(counts.max())
        first = counts.cumsum(0) - counts
        number = torch.arange(len(groups), device=groups.device) - first[groups]
        self._groups = groups
        self._cells = groups * self._slots + number
        self._full = len(groups) == len(counts) * self._slots

    def keep(self, rows: torch.Tensor) -> None:
        import torch

        self._positions = self._positions[rows]
        self._own_keys = [own[rows] for own in self._own_keys]
        self._own_values = [own[rows] for own in self._own_values]
        live, groups = torch.unique_consecutive(self._groups[rows], return_inverse=True)
        if len(live) < len(self._keys[0]):
            self._keys = [keys[live] for keys in self._keys]
            self._values = [values[live] for values in self._values]
            self._bias = None if self._bias is None else self._bias[live]
        self._place(groups)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        w = self._w
        if self._written == self._own_keys[0].shape[2]:
            self._own_keys = [_twice_as_long(own) for own in self._own_keys]
            self._own_values = [_twice_as_long(own) for own in self._own_values]
            self._make_rope()
        at, self._written = self._written, self._written + 1
        cos, sin = self._rope[0][self._positions], self._rope[1][self._positions]
        self._positions = self._positions + 1
        x = F.embedding(tokens, w.embed)
        for number, layer in enumerate(w.layers):
            q, k, v = project(w, layer, x, cos, sin)
            self._own_keys[number][:, :, at] = k
            self._own_values[number][:, :, at] = v
            x = finish(w, layer, x, self._attend(number, q))
        return F.linear(F.rms_norm(x, (x.shape[-1],), w.norm, w.eps), w.head)

    def _attend(self, number: int, q: torch.Tensor) -> torch.Tensor:
        """Return attention of one token per row over its prompt and its own tokens. q: [R, heads, hd] → [R, heads *
        hd]."""
        import torch

        rows, kv_heads = len(q), self._w.kv_heads
        width = self._keys[number].shape[2]
        q = q.view(rows, kv_heads, -1, self._w.head_dim) * self._w.head_dim**-0.5
        own_keys = self._own_keys[number][:, :, : self._written]
        own_values = self._own_values[number][:, :, : self._written]
        shared = torch.matmul(self._to_table(q), self._keys[number].transpose(-1, -2))
        if self._bias is not None:
            shared = shared + self._bias
        scores = torch.cat([self._to_rows(shared), torch.matmul(q, own_keys.transpose(-1, -2))], -1)
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
        heard = torch.matmul(weights[..., width:], own_values)
        heard += self._to_rows(torch.matmul(self._to_table(weights[..., :width]), self._values[number]))
        return heard.reshape(rows, -1)

    def _to_table(self, rows: torch.Tensor) -> torch.Tensor:
        """Lay rows out as a table: [R, kv, G, width] → [P, kv, S * G, width]; empty cells are zero."""
        if self._slots == 1 and self._full:
            return rows
        prompts, shape = len(self._keys[0]), rows.shape[1:]
        table = rows
        if not self._full:
            table = rows.new_zeros(prompts * self._slots, *shape).index_copy_(0, self._cells, rows)
        return table.view(prompts, self._slots, *shape).transpose(1, 2).reshape(prompts, shape[0], -1, shape[-1])

    def _to_rows(self, table: torch.Tensor) -> torch.Tensor:
        """Lay a table out as rows again: [P, kv, S * G, width] → [R, kv, G, width]."""
        if self._slots == 1 and self._full:
            return table
        prompts, kv_heads, _, width = table.shape
        cells = table.view(prompts, kv_heads, self._slots, -1, width).transpose(1, 2)
        cells = cells.reshape(prompts * self._slots, kv_heads, -1, width)
        return cells if self._full else cells[self._cells]


def project(
    w: LlamaWeights, layer: Layer, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return rotated queries, rotated keys, and values: [..., heads, head_dim] from hidden states [..., hidden]."""
    import torch
    import torch.nn.functional as F

    normed = F.rms_norm(x, (x.shape[-1],), layer.norm_in, w.eps)
    heads = F.linear(normed, layer.qkv).unflatten(-1, (w.heads + 2 * w.kv_heads, w.head_dim))
    turned = heads[..., : w.heads + w.kv_heads, :]
    half = w.head_dim // 2
    turned = turned * cos + torch.cat([-turned[..., half:], turned[..., :half]], -1) * sin
    return turned[..., : w.heads, :], turned[..., w.heads :, :], heads[..., w.heads + w.kv_heads :, :]


def finish(w: LlamaWeights, layer: Layer, x: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """Return the rest of a block after attention."""
    import torch.nn.functional as F

    x = x + F.linear(heard, layer.out)
    normed = F.rms_norm(x, (x.shape[-1],), layer.norm_mlp, w.eps)
    gate, up = F.linear(normed, layer.gate_up).chunk(2, -1)
    return x + F.linear(F.silu(gate) * up, layer.down)


def _bias(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return 0 on real tokens, minus infinity on padding. A prompt has at least one real token, so no row is all
    infinite."""
    return mask.new_zeros(mask.shape, dtype=dtype).masked_fill_(mask == 0, float("-inf"))


def _prefill_mask(mask: torch.Tensor) -> torch.Tensor:
    """Return [prompts, 1, width, width] bool: real tokens up to oneself; padding sees itself, so that nothing is
    NaN."""
    import torch

    width = mask.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool, device=mask.device).tril()
    self_only = torch.eye(width, dtype=torch.bool, device=mask.device)
    return ((causal & (mask[:, None, :] == 1)) | self_only)[:, None]


def _twice_as_long(own: torch.Tensor) -> torch.Tensor:
    longer = own.new_empty(*own.shape[:2], 2 * own.shape[2], own.shape[3])
    longer[:, :, : own.shape[2]] = own
    return longer
