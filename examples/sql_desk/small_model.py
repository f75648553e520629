"""A small model that writes English about the desk: trained from scratch in minutes, so that the example needs no
download. What it is taught stands in `lessons.py`.

Any other model of a Hugging Face folder can take its place (`--model`).
"""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples.sql_desk.lessons import ON_FAILURES, Lesson, drill, lessons, lessons_on_failures
from parammem.core import digest_of
from parammem.core.jsonl import write_text

CHOICES = (
    "order", "ordered", "payment", "paid", "keep", "leave", "too", "do", "net", "gross", "with", "without", "each",
    "once", "every", "one", "twice", "belongs", "does", "include", "exclude",
)  # fmt: skip
"""Words that name a value of a rule: they weigh more in the loss (`choice_weight`), as in the pocket recipe."""
SPECIAL = ("<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SIZE = {"hidden": 96, "layers": 3, "heads": 4, "feed_forward": 256, "vocabulary": 1024, "positions": 2048}
TRAINING = {
    "drill": 10_000, "texts": 10_000, "batch": 16, "rate": 3e-3, "matrix_rate": 0.012, "warmup": 40,
    "choice_weight": 8.0, "seed": 20262, "threads": 1,
}  # fmt: skip


def make_model(folder: Path, failures: bool = False) -> Path:
    """Train the model and write its folder; one that was made from the same lessons and numbers is left as it is.

    Args:
        failures: it is to label failures and contrasts too.
    """
    first, taught = drill(TRAINING["drill"], TRAINING["seed"]), lessons(TRAINING["texts"], TRAINING["seed"])
    taught += lessons_on_failures(ON_FAILURES, TRAINING["seed"]) if failures else []
    digest = digest_of([SIZE, TRAINING, [(*(m.content for m in one.prompt), one.answer) for one in (*first, *taught)]])
    record = folder / "recipe.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8"))["digest"] == digest:
        return folder
    tokenizer = _tokenizer([text for one in taught[:2000] for text in (*(m.content for m in one.prompt), one.answer)])
    trained, loss = _train(tokenizer, first, taught)
    shutil.rmtree(folder, ignore_errors=True)
    trained.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_text(record, json.dumps({"digest": digest, "loss": round(loss, 4), **SIZE, **TRAINING}, indent=1) + "\n")
    return folder


def _tokenizer(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE["vocabulary"], special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|end|>", pad_token="<|pad|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"], clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _train(tokenizer: Any, *courses: Sequence[Lesson]) -> tuple[Any, float]:
    """Return the model after one pass over each course of lessons, and its last loss on the answers."""
    import torch
    from tqdm import tqdm
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(TRAINING["seed"])
    torch.set_num_threads(TRAINING["threads"])
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=SIZE["hidden"], intermediate_size=SIZE["feed_forward"],
        num_hidden_layers=SIZE["layers"], num_attention_heads=SIZE["heads"], num_key_value_heads=SIZE["heads"],
        max_position_embeddings=SIZE["positions"], tie_word_embeddings=True, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    net = LlamaForCausalLM(config)
    matrices = [p for name, p in net.named_parameters() if p.dim() == 2 and "layers" in name]
    others = [p for name, p in net.named_parameters() if not (p.dim() == 2 and "layers" in name)]
    optimisers = [
        torch.optim.Muon(matrices, lr=0.012, weight_decay=0.01),
        torch.optim.AdamW(others, lr=TRAINING["rate"]),
    ]
    first = [[group["lr"] for group in one.param_groups] for one in optimisers]
    batches = [batch for course in courses for batch in _batches([_ids(tokenizer, one) for one in course])]
    weights = _weights(tokenizer)
    loss = math.nan
    bar = tqdm(batches, desc="small model", mininterval=5)
    for step, batch in enumerate(bar):
        scale = min(1.0, (step + 1) / TRAINING["warmup"], max(0.02, 2 * (1 - step / len(batches))))
        for optimiser, rates in zip(optimisers, first, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * scale
        loss = _step(net, batch, weights, tokenizer.pad_token_id)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
    return net, loss


def _batches(rows: list[tuple[list[int], int]]) -> list[list[tuple[list[int], int]]]:
    """Return batches of texts of like length, in an order drawn by the seed."""
    rows, size = sorted(rows, key=lambda row: len(row[0])), TRAINING["batch"]
    found = [rows[start : start + size] for start in range(0, len(rows), size)]
    random.Random(TRAINING["seed"]).shuffle(found)
    return found


def _weights(tokenizer: Any) -> Any:
    """Return (vocabulary,) what each token weighs in the loss."""
    import torch

    words = (tokenizer.decode([token]).strip().lower() for token in range(len(tokenizer)))
    return torch.tensor([TRAINING["choice_weight"] if word in CHOICES else 1.0 for word in words])


def _step(net: Any, batch: Sequence[tuple[list[int], int]], weights: Any, pad: int) -> float:
    """Learn the answers of one batch; right padding under a causal mask needs no attention mask."""
    import torch

    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in batch])
    place = torch.arange(1, width)[None]
    starts = torch.tensor([start for _, start in batch])[:, None]
    lengths = torch.tensor([len(row) for row, _ in batch])[:, None]
    learnt = (place >= starts) & (place < lengths)
    hidden = net.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][learnt]
    labels = ids[:, 1:][learnt]
    losses = torch.nn.functional.cross_entropy(net.lm_head(hidden).float(), labels, reduction="none")
    ((losses * weights[labels]).sum() / weights[labels].sum()).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    return float(losses.detach().mean())


def _ids(tokenizer: Any, lesson: Lesson) -> tuple[list[int], int]:
    """Return the token ids of a lesson, and where its answer begins."""
    chat = [{"role": m.role, "content": m.content} for m in lesson.prompt]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    begun = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(lesson.answer, add_special_tokens=False)["input_ids"]
    return [*begun, *answer, tokenizer.eos_token_id], len(begun)
