"""Tokens per second and model FLOP utilisation of LoRA training at full size: our loop, and TRL's SFTTrainer on the
same rows in the same batches.

    python benchmarks/training_scale.py --model llama-3.1-8b --trl --peak-tflops 989      # H100, H200: dense bf16
    python benchmarks/training_scale.py --model tiny --trl                                # shows that it works: a CPU

The model has Llama-3.1-8B's shape and random weights, so nothing is fetched; LoRA r=128, alpha 32 on all projections,
bf16, gradient checkpointing, 16 rows a step, 4 at once (profiles/paper-*.yaml). Rows are random tokens, 200-800 of a
prompt and 100-400 that are learned. Several GPUs, ours only:
`accelerate launch --multi_gpu --num_processes 8 benchmarks/training_scale.py --model llama-3.1-8b --processes 8`.

Tokens are those of rows, padding not counted. A model FLOP is one that the task needs: forward and backward through
frozen matrices (4 per weight and token), the adapter's (6), causal attention, and the head for learned tokens only;
what checkpointing computes again is not counted, as usual. Both programs have the same numerator, whatever they do.

docs/reproduce-the-paper.md has what an H200 gave. Several GPUs have not been measured.
TRL is needed for --trl alone: pip install --group trl.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from parammem.config import TrainParams
from parammem.sections import LaunchParams
from parammem.training.distributed import Team, joined_team
from parammem.training.encoding import Encoded

SHAPES: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
    },
    "tiny": {
        "vocab_size": 1024,
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
    },
}
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WARM = 2
"""First steps, which are not counted: kernels are chosen, memory is taken."""
PAD, EOS = 0, 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--model", choices=sorted(SHAPES), default="tiny")
    parser.add_argument("--steps", type=int, default=8, help="measured steps, after two to warm up")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--no-checkpointing", action="store_true")
    parser.add_argument("--longest", type=int, default=1200, help="tokens of the longest row; all scale with it")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--strategy", choices=["ddp", "fsdp"], default="ddp")
    parser.add_argument("--profile", action="store_true", help="one more step of ours, by kinds of kernels")
    parser.add_argument("--trl", action="store_true", help="SFTTrainer too")
    parser.add_argument("--peak-tflops", type=float, default=0, help="of one device, dense bf16: 989 for H100 and H200")
    return parser.parse_args()


def params_of(args: argparse.Namespace) -> TrainParams:
    return TrainParams(
        rank=args.rank, alpha=32, dropout=0.0, target_modules=MODULES, learning_rate=2e-5, warmup=0.0,
        schedule="constant", epochs=1, max_steps=WARM + args.steps, batch=args.batch, micro_batch=args.micro_batch,
        precision=args.precision, gradient_checkpointing=not args.no_checkpointing, max_grad_norm=1.0,
        weight_decay=0.0, held_out=0.0, select=0, checkpoint_every=10**6, seed=7, controls=(),
        launch=LaunchParams(processes=args.processes, strategy=args.strategy),
    )  # fmt: skip


def make_rows(count: int, vocabulary: int, longest: int) -> list[Encoded]:
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        prompt, learned = draw.randint(longest // 6, 2 * longest // 3), draw.randint(longest // 12, longest // 3)
        ids = [draw.randrange(2, vocabulary) for _ in range(prompt + learned - 1)]
        rows.append(Encoded((*ids, EOS), prompt))
    return rows


def make_model(shape: str, device: str, precision: str) -> Any:
    """Random weights, drawn where they will be used; the same on every device of a kind."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if precision == "bf16" else torch.float32)
    try:
        with torch.device(device):
            return LlamaForCausalLM(
                LlamaConfig(**SHAPES[shape], rope_parameters={"rope_type": "default", "rope_theta": 500_000.0})
            )
    finally:
        torch.set_default_dtype(before)


def flops(rows: list[Encoded], shape: dict[str, Any], rank: int) -> float:
    """Return model FLOPs of one training pass over these rows."""
    d, wide, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    narrow = d * shape["num_key_value_heads"] // shape["num_attention_heads"]
    sides = [(d, d), (d, narrow), (d, narrow), (d, d), (d, wide), (d, wide), (wide, d)]
    frozen = layers * sum(a * b for a, b in sides)
    adapter = layers * sum(rank * (a + b) for a, b in sides)
    total = 0.0
    for row in rows:
        tokens, learned = len(row.ids), len(row.ids) - row.prompt
        attention = (
            3 * 2 * layers * d * tokens * tokens
        )  # QK and AV, half of each by causality; backward is twice forward
        total += tokens * (4 * frozen + 6 * adapter) + attention + learned * 4 * d * shape["vocab_size"]
    return total


def ours(args: argparse.Namespace, team: Team, device: str) -> tuple[list[float], list[float], list[list[int]]]:
    """Return seconds and losses of every step, and the batches as row numbers."""
    import torch

    from parammem.training.fit import TrainingJob, open_run, take_step
    from parammem.training.prepare import with_lora

    params = params_of(args)
    shape = SHAPES[args.model]
    rows = make_rows((WARM + args.steps) * args.batch, shape["vocab_size"], args.longest)
    model = make_model(args.model, "cpu" if team.size > 1 and args.strategy == "fsdp" else device, args.precision)
    torch.manual_seed(params.seed)
    job = TrainingJob(rows, [], params, PAD, "", "", args.precision, 1, False)
    run = open_run(with_lora(model, params), job, team, device)
    weights = run.weights()
    optimizer = torch.optim.AdamW(weights.values(), lr=params.learning_rate, weight_decay=0.0)
    seconds, losses, batches = [], [], []
    for step, batch in run.plan.batches():
        began = time.perf_counter()
        losses.append(take_step(run, [rows[row] for row in batch], optimizer, weights, step, params.learning_rate))
        wait(device)
        seconds.append(time.perf_counter() - began)
        batches.append(batch)
    if args.profile:
        batch = [rows[row] for row in batches[-1]]
        told = profiled(lambda: take_step(run, batch, optimizer, weights, len(batches), params.learning_rate), device)
        if team.leads:
            print(told)
    return seconds, losses, batches


KERNELS = {
    "matrix products": ("gemm", "nvjet", "cutlass", "wgmma", "matmul", "::mm", "aten::addmm"),
    "attention": ("flash", "fmha", "attention"),
    "copies and casts": ("copy", "memcpy", "cast", "aten::to"),
    "sums and norms": ("reduce", "softmax", "norm"),
}
"""Kinds of kernels by parts of their names; what has none is called other."""


def profiled(step: Callable[[], object], device: str) -> str:
    """Return how long the device worked in one step, and on what; the profiler itself slows the host down."""
    from torch.profiler import ProfilerActivity, profile

    on_device = device.startswith("cuda")
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA if on_device else ProfilerActivity.CPU]) as seen:
        step()
        wait(device)
    wall = time.perf_counter() - began
    spent: Counter[str] = Counter()
    longest: Counter[str] = Counter()
    for event in seen.key_averages():
        milliseconds = (event.self_device_time_total if on_device else event.self_cpu_time_total) / 1000
        kind = next((kind for kind, parts in KERNELS.items() if any(p in event.key.lower() for p in parts)), "other")
        spent[kind] += milliseconds
        longest[f"{event.key[:90]} ({event.count} times)"] += milliseconds
    lines = [f"one step: {1000 * wall:.0f} ms, {'kernels' if on_device else 'operators'} {sum(spent.values()):.0f} ms"]
    lines += [
        f"  {milliseconds:8.1f} ms  {name}" for name, milliseconds in [*spent.most_common(), *longest.most_common(12)]
    ]
    return "\n".join(lines)


def wait(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def trl(args: argparse.Namespace, batches: list[list[int]], device: str) -> tuple[list[float], list[float]]:
    """The same batches in the same order through SFTTrainer, with its own defaults for the rest."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportMissingImports]

    params, shape = params_of(args), SHAPES[args.model]
    rows = make_rows((WARM + args.steps) * args.batch, shape["vocab_size"], args.longest)
    ordered = [rows[row] for batch in batches for row in batch]
    table = Dataset.from_list([
        {"input_ids": list(row.ids), "completion_mask": [0] * row.prompt + [1] * (len(row.ids) - row.prompt)}
        for row in ordered
    ])  # fmt: skip
    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait(device)
            seconds.append(time.perf_counter() - self.began)

    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder, max_steps=params.max_steps, per_device_train_batch_size=args.micro_batch or args.batch,
            gradient_accumulation_steps=args.batch // (args.micro_batch or args.batch), bf16=args.precision == "bf16",
            gradient_checkpointing=params.gradient_checkpointing, learning_rate=params.learning_rate,
            lr_scheduler_type="constant", max_length=None, completion_only_loss=True, logging_steps=1, report_to=[],
            save_strategy="no", train_sampling_strategy="sequential", disable_tqdm=True,
            use_cpu=not device.startswith("cuda"), seed=params.seed,
        )  # fmt: skip
        torch.manual_seed(params.seed)
        trainer = SFTTrainer(
            model=make_model(args.model, device, args.precision), args=settings, train_dataset=table,
            processing_class=make_tokenizer(),
            peft_config=LoraConfig(r=params.rank, lora_alpha=32, target_modules=list(MODULES), task_type="CAUSAL_LM"),
            callbacks=[Clock()],
        )  # fmt: skip
        trainer.train()
    return seconds, [line["loss"] for line in trainer.state.log_history if "loss" in line]


def make_tokenizer() -> Any:
    """Rows are tokens already; the trainer asks for nothing but the padding."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<pad>": PAD, "<eos>": EOS}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>")


def show(name: str, args: argparse.Namespace, seconds: list[float], losses: list[float], batches: Any) -> None:
    import torch

    shape = SHAPES[args.model]
    rows = make_rows((WARM + args.steps) * args.batch, shape["vocab_size"], args.longest)
    counted = [[rows[row] for row in batch] for batch in batches[WARM:]]
    spent = sum(seconds[WARM:])
    tokens = sum(len(row.ids) for batch in counted for row in batch)
    work = sum(flops(batch, shape, args.rank) for batch in counted) / spent / args.processes / 1e12
    used = f", {100 * work / args.peak_tflops:.1f}% of {args.peak_tflops:.0f}" if args.peak_tflops else ""
    memory = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if torch.cuda.is_available() else ""
    print(
        f"{name}: {tokens / spent:.0f} tokens/s, {statistics.median(seconds[WARM:]):.3f} s/step (median), "
        f"{work:.4g} model TFLOP/s a device{used}{memory}; loss {losses[0]:.4f} at first, {losses[-1]:.4f} at last",
        flush=True,
    )


def free() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def main() -> None:
    import torch

    args = arguments()
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.cuda.get_device_name() if kind == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    with joined_team(args.processes, args.strategy, kind) as team:
        device = team.device(kind)
        seconds, losses, batches = ours(args, team, device)
        if team.leads:
            print(f"{args.model}, {args.precision}, {args.processes} x {where}", flush=True)
            show("ours", args, seconds, losses, batches)
        else:
            team.tell(None)  # hears the leader say that this was all
    if args.trl and args.processes == 1:
        free()
        seconds, losses = trl(args, batches, device)
        show("TRL ", args, seconds, losses, batches)


if __name__ == "__main__":
    main()
