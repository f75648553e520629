"""The numbers of a pocket model, and the digest of everything it is trained on."""

from __future__ import annotations

import random

from parammem.core.record import Record, digest_of


class Recipe(Record):
    """How one pocket model is made. Equal recipes on the same text give the same model up to floating point."""

    name: str
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    """Byte-pair vocabulary with byte fallback, special tokens included."""
    texts: int
    """Distinct texts, drill included."""
    drill: int
    """How many of them, the first, are recitals; a multiple of `shard`. They are all seen before any other text."""
    shard: int
    """Texts generated from one seed: the unit of parallel generation."""
    epochs: float
    batch_tokens: int
    """Tokens of one optimiser step, padding included."""
    learning_rate: float
    """Of AdamW, for embeddings and norms."""
    matrix_rate: float
    """Of Muon, for the matrices of the blocks: it needs about half the tokens that AdamW needs (docs/decisions.md)."""
    warmup_steps: int
    weight_decay: float
    choice_weight: float
    """Loss weight of names and of the words that name a choice; other target tokens weigh 1, prompt tokens 0."""
    seed: int


POCKET_1M = Recipe(
    name="pocket-1m",
    hidden=128,
    layers=4,
    heads=4,
    feed_forward=352,
    vocabulary=1024,
    texts=320_000,
    drill=20_000,
    shard=10_000,
    epochs=0.73,
    batch_tokens=6_144,
    learning_rate=3e-3,
    matrix_rate=0.012,
    warmup_steps=150,
    weight_decay=0.01,
    choice_weight=4.0,
    seed=20261,
)
POCKET_4M = POCKET_1M.model_copy(
    update={"name": "pocket-4m", "hidden": 256, "layers": 5, "heads": 8, "feed_forward": 688, "epochs": 2}
)
POCKET_250K = POCKET_1M.model_copy(update={"name": "pocket-250k", "hidden": 64, "heads": 2, "feed_forward": 176})
"""A reflector weaker than the agent that it advises."""
POCKET_TINY = POCKET_1M.model_copy(
    update={"name": "pocket-tiny", "hidden": 32, "layers": 1, "heads": 2, "feed_forward": 64, "texts": 600,
            "drill": 200, "shard": 200, "epochs": 1, "batch_tokens": 4096, "warmup_steps": 2}
)  # fmt: skip
RECIPES = {recipe.name: recipe for recipe in (POCKET_1M, POCKET_4M, POCKET_250K, POCKET_TINY)}
"""pocket-tiny learns nothing: it is there so that tests run the whole recipe in seconds."""


def mixture_rng(recipe: Recipe, shard: int) -> random.Random:
    """Return the randomness of one shard of texts."""
    return random.Random(f"parammem/pocket/{recipe.seed}/{shard}")


def recipe_digest(recipe: Recipe, sample: int = 500) -> str:
    """Return digest of the numbers and of the first texts of drill and mixture: it changes when the text a model learns
    from changes, and not when code is only moved about."""
    from parammem.pocket.mixture import draw_recital, draw_text

    rng = mixture_rng(recipe, 0)
    texts = [draw_recital(rng) for _ in range(sample // 10)] + [draw_text(rng) for _ in range(sample)]
    return digest_of([recipe.model_dump(), [[t.domain, t.form, t.prompt, t.target] for t in texts]])
