"""Steps per second of LoRA training: transformers' Trainer against a plain loop, in interleaved rounds of one run.

python benchmarks/training_loop.py [rounds] [steps]. A random Llama of pocket size (1M parameters), LoRA rank 16 on
all projections, 32 rows of 50-90 tokens a step. Wall seconds and CPU seconds, because the machine may be shared.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BATCH, VOCAB = 32, 1500


def make_model() -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 344, "num_hidden_layers": 4}
    config = LlamaConfig(vocab_size=VOCAB, num_attention_heads=4, tie_word_embeddings=True, **sizes)
    base = LlamaForCausalLM(config)
    return get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules=MODULES, task_type="CAUSAL_LM"))


def make_rows(count: int = 640) -> list[dict[str, Any]]:
    draw = random.Random(0)
    lengths = sorted(draw.randint(50, 90) for _ in range(count))
    return [{"ids": [draw.randrange(VOCAB) for _ in range(n)], "learned": draw.randint(5, 12)} for n in lengths]


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    import torch

    width = max(len(row["ids"]) for row in rows)
    ids, labels = torch.zeros(len(rows), width, dtype=torch.long), torch.full((len(rows), width), -100)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        end, start = len(row["ids"]), len(row["ids"]) - row["learned"]
        ids[number, :end] = torch.tensor(row["ids"])
        labels[number, start:end] = ids[number, start:end]
        mask[number, :end] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def stock_loss(model: Any, batch: dict[str, Any]) -> Any:
    return model(**batch).loss


def lean_loss(model: Any, batch: dict[str, Any]) -> Any:
    import torch

    columns = (batch["labels"] != -100).any(0).nonzero()[:, 0]
    logits = model(input_ids=batch["input_ids"], logits_to_keep=columns - 1, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"][:, columns].flatten())


def plain(model: Any, rows: list[dict[str, Any]], steps: int, loss_of: Callable[[Any, Any], Any]) -> None:
    import torch

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=2e-3)
    model.train()
    for step in range(steps):
        start = (step * BATCH) % len(rows)
        loss_of(model, collate(rows[start : start + BATCH])).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def trainer(model: Any, rows: list[dict[str, Any]], steps: int) -> None:
    from transformers import Trainer, TrainingArguments

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            report_to=[],
            save_strategy="no",
            logging_steps=50,
            learning_rate=2e-3,
            use_cpu=True,
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            train_sampling_strategy="sequential",
        )
        Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate).train()  # pyright: ignore[reportArgumentType]


def main(rounds: int, steps: int) -> None:
    rows = make_rows()
    arms: dict[str, Callable[[Any], None]] = {
        "Trainer": lambda model: trainer(model, rows, steps),
        "plain": lambda model: plain(model, rows, steps, stock_loss),
        "plain, completion logits only": lambda model: plain(model, rows, steps, lean_loss),
    }
    models = {name: make_model() for name in arms}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, run in arms.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run(models[name])
            if number:  # the first round warms up
                seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    for name, measured in seconds.items():
        wall, cpu = (statistics.median(column) / steps * 1000 for column in zip(*measured, strict=True))
        print(f"{name:32s} {wall:7.1f} ms wall/step {cpu:7.1f} ms CPU/step")


if __name__ == "__main__":
    main(*(int(value) for value in (sys.argv[1:] + ["7", "20"][len(sys.argv) - 1 :])[:2]))
