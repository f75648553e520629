"""A tiny random Llama with a tokenizer of its own, saved as an ordinary Hugging Face folder. For tests.

It writes nonsense, but real nonsense: the same files, classes and code paths as an 8B model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
TEXTS = (
    "Return the sum of the prices that lie inside the limit, the limit itself included.",
    "def solve(prices, limit):\n    total = 0\n    for price in prices:\n"
    "        if price <= limit:\n            total += price\n    return total\n",
    "Repeats count once. When nothing is left the answer is zero. Round half up.",
    "Anna is the mentor of Ben. Who is the neighbour of the mentor of Carl?",
    "A discount of 10 percent off the price; apples, pears and plums at 3, 5 and 7 each.",
)


def make_tiny_tokenizer(vocab_texts: Sequence[str] = TEXTS, vocab_size: int = 400):
    """A byte-level BPE fast tokenizer with the pocket models' chat template; <|end|> is eos and <|pad|> is pad."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(vocab_texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_tiny_model(
    folder: Path | str,
    vocab_texts: Sequence[str] = TEXTS,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    vocab_size: int = 400,
    max_positions: int = 512,
    seed: int = 0,
    dtype: str = "bfloat16",
) -> Path:
    """Build and save a random Llama and its tokenizer; returns the folder. The same arguments give the same bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = Path(folder)
    tokenizer = make_tiny_tokenizer(vocab_texts, vocab_size)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=max_positions,
        tie_word_embeddings=True,
        # Wide enough that a random model's next-token distribution is far from flat: greedy has no near-ties.
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=SPECIAL_TOKENS.index("<|end|>"),
        pad_token_id=SPECIAL_TOKENS.index("<|pad|>"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tiny_adapter(model: Path | str, folder: Path | str, rank: int = 4, alpha: int = 16, seed: int = 1) -> Path:
    """Save a random LoRA adapter (both factors non-zero, so that it changes the output) for a model folder.

    Writes PEFT's own two files only; whoever needs an `adapter.json` beside them writes it.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = Path(folder)
    base = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32, local_files_only=True)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj"], task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft = get_peft_model(base, config)
        with torch.no_grad():
            for name, weight in peft.named_parameters():
                if "lora_" in name:
                    weight.normal_(0.0, 0.2)
    peft.save_pretrained(str(folder))
    return folder


def load_model(folder: Path, adapter: Path | None = None, device: str = "auto", dtype: str = "float32") -> Any:
    """Return a transformers model in evaluation mode, the adapter merged into its weights.

    Raises:
        EngineError: the folder cannot be read as a model, or there is no such device.
        AdapterError: the adapter is none of this model's.
    """
    from parammem.engines import hf
    from parammem.engines.adapters import check_adapter
    from parammem.engines.vetting import vet_model

    vetted = vet_model(folder)
    trained = check_adapter(adapter, vetted.digest, str(folder), vetted) if adapter else None
    return hf._on_device(hf.HfSource(vetted, adapter, trained, device, dtype, lean=False))
