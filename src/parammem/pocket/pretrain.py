"""The pretraining loop of the pocket models: an ordinary Hugging Face folder comes out.

A killed run goes on from its last checkpoint; the order of the batches follows from the recipe alone.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parammem.core.jsonl import write_text
from parammem.errors import EngineError
from parammem.pocket.corpus import FORM_NAMES, Corpus, batches, build_corpus, cue_words, make_tokenizer
from parammem.pocket.recipe import Recipe, recipe_digest

if TYPE_CHECKING:
    import torch

CHECKPOINT_SECONDS = 120.0
LOG_EVERY = 100
"""Steps between two points of the loss curves."""


def pretrain(recipe: Recipe, out: Path, cache: Path, device: str = "auto", seconds: float = math.inf) -> bool:
    """Train a pocket model, or go on with one.

    Args:
        out: the model folder; written when training is finished.
        cache: tokenizer, token shards and checkpoint, in a folder named by the recipe's digest, so that a recipe that
            changed takes up nothing of the old one; may be deleted afterwards.
        seconds: stop with a checkpoint after this time.

    Returns:
        True when the recipe is finished and `out` is complete; False when time ran out first.
    """
    import torch

    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    tokenizer = make_tokenizer(recipe)
    cache /= recipe_digest(recipe)[:16]
    cache.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(cache / "tokenizer")
    corpus = build_corpus(recipe, cache / "tokenizer", cache)
    state = _State(recipe, corpus, tokenizer, device, cache / "checkpoint.pt")
    finished = state.run(deadline=time.monotonic() + seconds)
    if finished:
        state.save(out)
    return finished


class _State:
    """Model, optimiser and position in the stream of batches: what a checkpoint holds."""

    def __init__(self, recipe: Recipe, corpus: Corpus, tokenizer: Any, device: str, checkpoint: Path) -> None:
        import torch

        torch.manual_seed(recipe.seed)
        self.recipe, self.corpus, self.tokenizer = recipe, corpus, tokenizer
        self.device, self.checkpoint = device, checkpoint
        self.model = _new_model(recipe, tokenizer).to(device)
        self.optimisers = _new_optimisers(self.model, recipe)
        self.step, self.curves, self.tokens = 0, [], 0
        self.total = max(1, round(recipe.epochs * sum(1 for _ in batches(corpus, recipe, 0))))
        self.cues = torch.tensor(tokenizer.convert_tokens_to_ids(["Ġ" + word for word in cue_words()]), device=device)
        if checkpoint.exists():
            self._load()

    def run(self, deadline: float) -> bool:
        """Train until finished (True) or out of time (False, with a checkpoint)."""
        from tqdm import tqdm

        saved = time.monotonic()
        bar = tqdm(total=self.total, initial=self.step, desc=self.recipe.name, mininterval=5)
        sums = np.zeros((len(FORM_NAMES), 2))
        for rows in self._remaining():
            self._train_step(rows, sums)
            bar.update(1)
            if self.step % LOG_EVERY == 0 or self.step == self.total:
                self._log(sums)
                bar.set_postfix(loss=self.curves[-1]["all"])
            now = time.monotonic()
            if now > deadline:
                self._save_checkpoint()
                return False
            if now - saved > CHECKPOINT_SECONDS:
                self._save_checkpoint()
                saved = now
        return True

    def _remaining(self) -> Any:
        stream = itertools.chain.from_iterable(batches(self.corpus, self.recipe, epoch) for epoch in itertools.count())
        return itertools.islice(stream, self.step, self.total)

    def _train_step(self, rows: np.ndarray, sums: np.ndarray) -> None:
        import torch

        scale = self._rate_scale()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = scale * group["initial_lr"]
        ids, lengths, targets = self._arrays(rows)
        place = torch.arange(1, ids.shape[1], device=self.device)[None]
        learnt = (place < lengths[:, None]) & (place >= targets[:, None])
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            # Right padding under a causal mask: no real token can see it, so no attention mask is needed.
            hidden = self.model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][learnt]
            logits = self.model.lm_head(hidden)
        labels = ids[:, 1:][learnt]
        losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        weights = torch.where(torch.isin(labels, self.cues), self.recipe.choice_weight, 1.0)
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += int(np.sum(np.diff(self.corpus.starts)[rows]))
        if self.device == "cpu" or self.step % LOG_EVERY < 10:  # on a GPU a sample: reading the loss waits for it
            counts = learnt.sum(1)
            row = torch.repeat_interleave(torch.arange(len(rows), device=self.device), counts)
            self._tally(
                rows, torch.zeros(len(rows), device=self.device).index_add_(0, row, losses.detach()), counts, sums
            )

    def _tally(self, rows: np.ndarray, losses: torch.Tensor, counts: torch.Tensor, sums: np.ndarray) -> None:
        forms = self.corpus.forms[rows]
        np.add.at(sums[:, 0], forms, losses.detach().float().cpu().numpy())
        np.add.at(sums[:, 1], forms, counts.cpu().numpy())

    def _log(self, sums: np.ndarray) -> None:
        per_form = {name: round(float(s / n), 4) if n else None for name, (s, n) in zip(FORM_NAMES, sums, strict=True)}
        total = float(sums[:, 0].sum() / max(sums[:, 1].sum(), 1))
        self.curves.append({"step": self.step, "tokens": self.tokens, "all": round(total, 4), **per_form})
        sums[:] = 0

    def _rate_scale(self) -> float:
        """Return the scale of the learning rate: warm-up, a plateau, then linearly down to a fiftieth over the last
        half of the steps."""
        if self.step < self.recipe.warmup_steps:
            return (self.step + 1) / self.recipe.warmup_steps
        return max(0.02, min(1.0, 2 * (1 - self.step / self.total)))

    def _arrays(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ids (B, T) padded to a multiple of 16, lengths (B,), starts of the targets (B,)."""
        import torch

        starts, lengths = self.corpus.starts[rows], np.diff(self.corpus.starts)[rows]
        width = -(-int(lengths.max()) // 16) * 16
        place = starts[:, None] + np.arange(width)[None]
        real = np.arange(width)[None] < lengths[:, None]
        ids = np.where(real, self.corpus.ids[np.minimum(place, len(self.corpus.ids) - 1)], 0).astype(np.int64)
        arrays = (ids, lengths, self.corpus.targets[rows])
        return tuple(torch.from_numpy(a).to(self.device, non_blocking=True) for a in arrays)  # type: ignore[return-value]

    def _save_checkpoint(self) -> None:
        import torch

        partial = self.checkpoint.with_suffix(".partial")
        held = {"model": self.model.state_dict(), "optimisers": [o.state_dict() for o in self.optimisers]}
        place = {"step": self.step, "tokens": self.tokens, "curves": self.curves, "recipe": self.recipe.model_dump()}
        torch.save(held | place, partial)
        os.replace(partial, self.checkpoint)

    def _load(self) -> None:
        import torch

        try:
            held = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        except Exception as error:  # torch.load raises whatever the broken bytes lead it to
            raise EngineError(
                f"{self.checkpoint} cannot be read ({type(error).__name__}); delete it, and pretraining starts over"
            ) from error
        if held["recipe"] != self.recipe.model_dump():
            raise ValueError(f"{self.checkpoint} is of another recipe; delete its folder or choose another")
        self.model.load_state_dict(held["model"])
        for optimiser, state in zip(self.optimisers, held["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.step, self.tokens, self.curves = held["step"], held["tokens"], held["curves"]

    def save(self, out: Path) -> None:
        """Write the model folder: bf16 weights, tokenizer, template, and recipe.json with digest and loss curves."""
        import torch

        self.model.to("cpu", torch.bfloat16).save_pretrained(out)
        self.tokenizer.save_pretrained(out)
        record = {
            "recipe": self.recipe.model_dump(),
            "recipe_digest": recipe_digest(self.recipe),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "tokens": self.tokens,
            "steps": self.step,
            "curves": self.curves[:: max(1, len(self.curves) // 60)] + self.curves[-1:],
        }
        write_text(out / "recipe.json", json.dumps(record, indent=1, sort_keys=True) + "\n")


def _new_model(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def _new_optimisers(model: Any, recipe: Recipe) -> list[Any]:
    """Return the optimisers: Muon for the matrices of the blocks, AdamW for the rest."""
    import torch

    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "layers" in name]
    others = [p for name, p in model.named_parameters() if not (p.dim() == 2 and "layers" in name)]
    optimisers = [
        torch.optim.Muon(matrices, lr=recipe.matrix_rate, momentum=0.95, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(others, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return optimisers
