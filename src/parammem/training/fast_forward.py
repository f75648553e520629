"""Compute the logits of small Llama models in training: what PEFT's modules compute, in fewer operations.

The adapter stays PEFT's own: its tensors are read here and learn through here, and PEFT writes them. Three things make
a step cheaper: W + BA is added up once for all tokens, q/k/v and gate/up are one product each, and the last block is
computed only in the columns in which something is learned. `fits_fast_forward` says which models and recipes it takes;
all others go through the model's own forward. A test compares losses and gradients of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parammem.config import TrainParams
from parammem.engines.llama import finish, fits, project, take_weights

if TYPE_CHECKING:
    import torch

PROJECTIONS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})


def fits_fast_forward(model: Any, params: TrainParams) -> bool:
    """Return whether `fast_logits` computes what this PEFT model computes. Not with dropout: it lies between x and BA;
    nor with gradient checkpointing, which is PEFT's model's."""
    import torch

    if params.dropout or params.gradient_checkpointing or not PROJECTIONS.issuperset(params.target_modules):
        return False
    base = model.get_base_model()
    return base.dtype == torch.float32 and fits(base)


def fast_logits(model: Any, ids: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return logits [B, C, vocabulary] of a PEFT model at these columns [C] of ids [B, T], right-padded rows."""
    import torch
    import torch.nn.functional as F

    w = take_weights(model.get_base_model(), _with_lora)
    steps = torch.arange(ids.shape[1], device=ids.device)
    cos, sin = w.rope(steps)
    groups = w.heads // w.kv_heads
    x = F.embedding(ids, w.embed)
    for number, layer in enumerate(w.layers, start=1):
        q, k, v = (heads.transpose(1, 2) for heads in project(w, layer, x, cos, sin))
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        if number < len(w.layers):
            heard = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:  # nothing looks at the other columns any more
            x, q = x[:, columns], q[:, :, columns]
            heard = F.scaled_dot_product_attention(q, k, v, attn_mask=steps <= columns[:, None])
        x = finish(w, layer, x, heard.transpose(1, 2).flatten(-2))
    return F.linear(F.rms_norm(x, (x.shape[-1],), w.norm, w.eps), w.head)


def _with_lora(projection: Any) -> torch.Tensor:
    """Return w + scaling * BA of a projection with a LoRA, W of one without."""
    import torch

    if not hasattr(projection, "lora_A"):
        return projection.weight
    a, b = projection.lora_A["default"].weight, projection.lora_B["default"].weight
    return torch.addmm(projection.base_layer.weight, b, a, alpha=projection.scaling["default"])
