"""Seconds per step of LoRA training: transformers' Trainer, plain loops over PEFT, and the lean forward, in
interleaved rounds of one run.

python benchmarks/training_loop.py [rounds] [steps] [threads]. A random Llama of pocket size (0.94M parameters), LoRA
rank 32 on all projections, 16 rows of 40-70 tokens a step, about 10 of them learned: what the default run trains on.
Wall seconds and CPU seconds, because the machine may be shared: beside other work only ratios mean something. First it
is checked that the lean forward gives PEFT's loss and gradients.
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
BATCH, VOCAB = 16, 1024


def make_model() -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4}
    config = LlamaConfig(vocab_size=VOCAB, num_attention_heads=4, tie_word_embeddings=True, **sizes)
    base = LlamaForCausalLM(config)
    return get_peft_model(base, LoraConfig(r=32, lora_alpha=64, target_modules=MODULES, task_type="CAUSAL_LM"))


def make_rows(count: int = 640) -> list[dict[str, Any]]:
    draw = random.Random(0)
    lengths = sorted(draw.randint(40, 70) for _ in range(count))
    return [{"ids": [draw.randrange(VOCAB) for _ in range(n)], "learned": draw.randint(8, 12)} for n in lengths]


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


def columns_of(batch: dict[str, Any]) -> Any:
    return (batch["labels"] != -100).any(0).nonzero()[:, 0]


def cross_entropy(logits: Any, batch: dict[str, Any]) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"][:, columns_of(batch)].flatten())


def learned_loss(model: Any, batch: dict[str, Any]) -> Any:
    kept = columns_of(batch) - 1
    return cross_entropy(model(input_ids=batch["input_ids"], logits_to_keep=kept, use_cache=False).logits, batch)


def lean_loss(model: Any, batch: dict[str, Any]) -> Any:
    from parammem.training.fast_forward import fast_logits

    return cross_entropy(fast_logits(model, batch["input_ids"], columns_of(batch) - 1), batch)


def largest_difference(model: Any, batch: dict[str, Any]) -> tuple[float, float]:
    """Between the two forwards: of the loss, and of any tensor's gradient (as a share of its norm)."""
    found = []
    for loss_of in (learned_loss, lean_loss):
        model.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        found.append((loss.item(), [w.grad.clone() for w in model.parameters() if w.grad is not None]))
    model.zero_grad()
    (loss, gradients), (lean, leans) = found
    return abs(loss - lean), max(
        float((a - b).norm() / a.norm()) for a, b in zip(gradients, leans, strict=True) if a.norm() > 0
    )


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


def main(rounds: int, steps: int, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    rows = make_rows()
    arms: dict[str, Callable[[Any], None]] = {
        "Trainer": lambda model: trainer(model, rows, steps),
        "plain": lambda model: plain(model, rows, steps, stock_loss),
        "plain, learned logits only": lambda model: plain(model, rows, steps, learned_loss),
        "lean": lambda model: plain(model, rows, steps, lean_loss),
    }
    models = {name: make_model() for name in arms}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, run in arms.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run(models[name])
            if number:  # the first round warms up
                seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    # A model that has learned a little: at the start B is zero, and so are the gradients of A.
    loss, gradient = largest_difference(models["lean"], collate(rows[:BATCH]))
    print(f"lean against PEFT: loss differs by {loss:.1e}, a gradient by {gradient:.1e} of its norm")
    for name, measured in seconds.items():
        wall, cpu = (statistics.median(column) / steps * 1000 for column in zip(*measured, strict=True))
        print(f"{name:32s} {wall:7.1f} ms wall/step {cpu:7.1f} ms CPU/step")


if __name__ == "__main__":
    main(*(int(value) for value in (sys.argv[1:] + ["7", "20", "2"][len(sys.argv) - 1 :])[:3]))
