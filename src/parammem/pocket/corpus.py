"""The mixture as token arrays: the pocket tokenizer, and shards generated in parallel and kept in a cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parammem.domains.conventions import CONVENTIONS, KINDS, PEOPLE, PLACES, RELATIONS
from parammem.pocket.mixture import DRILL, FORMS, draw_recital, draw_text
from parammem.pocket.recipe import Recipe, mixture_rng

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ("<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TOKENIZER_TEXTS = 8_000
FORM_NAMES = (DRILL, *FORMS)


@dataclass(frozen=True)
class Corpus:
    """Token ids of all texts, end to end.

    Attributes:
        ids: (tokens,) uint16.
        starts: (texts + 1,) int64; text i is ids[starts[i]:starts[i+1]].
        targets: (texts,) int64; where the target of text i begins within it.
        forms: (texts,) uint8; index into FORM_NAMES.
    """

    ids: np.ndarray
    starts: np.ndarray
    targets: np.ndarray
    forms: np.ndarray


def reserved_words() -> list[str]:
    """Return words that must be one token each: names, nouns, kinds, conventions and their values."""
    words = [*PEOPLE, *PLACES]
    words += [noun for kinds in KINDS.values() for nouns in kinds.values() for noun in nouns]
    words += [kind for kinds in KINDS.values() for kind in kinds]
    words += [word for table in CONVENTIONS.values() for name, values in table.items() for word in (name, *values)]
    words += [word for worded in RELATIONS.values() for word in worded]
    return list(dict.fromkeys(words))


def cue_words() -> list[str]:
    """Return the words that name a choice, and names."""
    values = {value for table in CONVENTIONS.values() for values in table.values() for value in values}
    return sorted({*values, *PEOPLE, *PLACES})


def make_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    """Return byte-level BPE trained on the first texts of the mixture; deterministic."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    rng = mixture_rng(recipe, 0)
    texts = [draw_text(rng) for _ in range(min(TOKENIZER_TEXTS, recipe.texts))]
    # Every reserved word often enough to win its merges, with the space before it that it usually has.
    drill = [" " + " ".join(reserved_words())] * (len(texts) // 2 + 100)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*drill, *(f"{t.prompt}\n{t.target}" for t in texts)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        chat_template=TEMPLATE,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def build_corpus(recipe: Recipe, tokenizer_folder: Path, cache: Path, workers: int | None = None) -> Corpus:
    """Generate and encode the whole mixture, shard by shard; shards found in `cache` are not made again."""
    cache.mkdir(parents=True, exist_ok=True)
    shards = range(-(-recipe.texts // recipe.shard))
    jobs = [(recipe, shard, str(tokenizer_folder), str(cache / f"shard-{shard:04d}.npz")) for shard in shards]
    todo = [job for job in jobs if not Path(job[3]).exists()]
    if todo:
        with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
            for _ in pool.map(_make_shard, todo):
                pass
    return _join([np.load(job[3]) for job in jobs])


def _make_shard(job: tuple[Recipe, int, str, str]) -> None:
    recipe, shard, tokenizer_folder, path = job
    from tokenizers import Tokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(f"{tokenizer_folder}/tokenizer.json")
    rng = mixture_rng(recipe, shard)
    size = min(recipe.shard, recipe.texts - shard * recipe.shard)
    draw = draw_recital if shard * recipe.shard < recipe.drill else draw_text
    texts = [draw(rng) for _ in range(size)]
    heads = tokenizer.encode_batch([f"<|user|>{t.prompt}<|end|><|assistant|>" for t in texts])
    tails = tokenizer.encode_batch([f"{t.target}<|end|>" for t in texts])
    rows = [[*head.ids, *tail.ids] for head, tail in zip(heads, tails, strict=True)]
    partial = Path(path + ".partial.npz")
    np.savez(
        partial,
        ids=np.concatenate([np.asarray(row, dtype=np.uint16) for row in rows]),
        lengths=np.asarray([len(row) for row in rows], dtype=np.int64),
        targets=np.asarray([len(head.ids) for head in heads], dtype=np.int64),
        forms=np.asarray([FORM_NAMES.index(t.form) for t in texts], dtype=np.uint8),
    )
    os.replace(partial, path)


def _join(shards: list[Any]) -> Corpus:
    lengths = np.concatenate([shard["lengths"] for shard in shards])
    return Corpus(
        ids=np.concatenate([shard["ids"] for shard in shards]),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        targets=np.concatenate([shard["targets"] for shard in shards]),
        forms=np.concatenate([shard["forms"] for shard in shards]),
    )


def batches(corpus: Corpus, recipe: Recipe, epoch: int, bucket: int = 16) -> Iterator[np.ndarray]:
    """Yield indices of the texts of each batch: texts of like length together, in an order that follows from the epoch.

    The drill comes first, and in the first epoch only.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    lengths = np.diff(corpus.starts)
    padded = -(-lengths // bucket) * bucket
    drill, mixture = np.split(np.arange(len(lengths)), [recipe.drill])
    for part in (drill, mixture) if epoch == 0 else (mixture,):
        plan: list[np.ndarray] = []
        for length in np.unique(padded[part]):
            members = rng.permutation(part[padded[part] == length])
            rows = max(1, recipe.batch_tokens // int(length))
            plan += [members[i : i + rows] for i in range(0, len(members), rows)]
        for index in rng.permutation(len(plan)):
            yield plan[index]
