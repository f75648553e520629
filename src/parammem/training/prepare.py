"""What a training run starts from: the base model and tokenizer, rows as tokens, and the process's own settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parammem.config import TrainParams
from parammem.core import ReflectionExample
from parammem.core.words import count
from parammem.engines.base import Message
from parammem.engines.folders import find_model
from parammem.engines.loading import load_causal_model, load_tokenizer
from parammem.engines.tokenizing import places_of
from parammem.engines.vetting import Vetted, vet_model
from parammem.errors import AdapterError, DataError
from parammem.training.encoding import Encoded, encode


def load_base(base_model: Path | str, dtype: str) -> tuple[Any, Any, Vetted]:
    """Return (tokenizer, model, the folder as it was hashed). Raises EngineError, and ModelMissingError among these."""
    vetted = vet_model(find_model(base_model))
    return load_tokenizer(vetted), load_causal_model(vetted, dtype), vetted


def encode_rows(
    rows: Sequence[ReflectionExample], messages: Callable[[str], tuple[Message, ...]], tokenizer: Any, model: Any
) -> list[Encoded]:
    """Return rows as tokens, by way of a `datasets` table in memory. Raises DataError for a row that does not fit."""
    from datasets import Dataset

    known = places_of(model)

    def tokens(row: dict[str, str]) -> dict[str, Any]:
        encoded = encode(tokenizer, messages(row["task_text"]), row["reflection"], known)
        return {"ids": list(encoded.ids), "prompt": encoded.prompt}

    table = Dataset.from_list([{"task_text": row.task_text, "reflection": row.reflection} for row in rows])
    table = table.map(
        tokens,
        remove_columns=table.column_names,
        keep_in_memory=True,
        load_from_cache_file=False,
        # The result is never cached, so its name need not be computed from the function's pickled bytes.
        new_fingerprint="encoded",
    )
    encoded = [Encoded(tuple(row["ids"]), row["prompt"]) for row in table]  # pyright: ignore[reportArgumentType, reportCallIssue]
    limit = getattr(model.config, "max_position_embeddings", None)
    for row, tokenized in zip(rows, encoded, strict=True):
        if limit and len(tokenized.ids) > limit:
            raise DataError(
                f"the row of task {row.task_id!r} has {count(len(tokenized.ids), 'token')}, the base model takes "
                f"{limit}; lower validate.max_task_words so that such rows are quarantined"
            )
    return encoded


def with_lora(base: Any, params: TrainParams) -> Any:
    """Return the base model, frozen, with fresh LoRA weights in float32. Raises AdapterError for unknown target
    modules."""
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer

    config = LoraConfig(
        r=params.rank,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
        target_modules=sorted(params.target_modules),
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # PEFT 0.21 reads a property that transformers 5.23 has renamed.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            model = get_peft_model(base, config)
    except ValueError as error:
        raise AdapterError(f"LoRA cannot be put on this base model: {error}; check train.target_modules") from error
    if params.precision != "float32":
        # Autocast takes inputs to bfloat16 for the adapter's products; PEFT would take them to float32 before that.
        for layer in model.modules():
            if isinstance(layer, LoraLayer):
                layer.cast_input_dtype_enabled = False
    if params.gradient_checkpointing:
        base.activation_checkpointing_enable({"use_reentrant": False})
    return model


def chosen_device(name: str) -> str:
    """Return the device to train on. auto: cuda if there is one."""
    import torch

    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def own_settings(device: str, seed: int, threads: int) -> Iterator[None]:
    """Seed a stretch of code that leaves the process's own random state and number of threads as they were."""
    import torch

    cuda = [torch.cuda.current_device()] if device.startswith("cuda") else []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_bar() -> Iterator[None]:
    """Turn off the libraries' own progress bars (loading weights, mapping rows): one bar is left, the steps."""
    import datasets
    from transformers.utils import logging

    mapping, loading = datasets.are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if not mapping:
            datasets.enable_progress_bars()
        if loading:
            logging.enable_progress_bar()
