"""How much faster our decode loop is than transformers' generate, measured in interleaved rounds of one run.

    python benchmarks/decode.py [--model FOLDER] [--rounds 3] [--batch 256] [--threads 1] [--clock cpu]

Both sides get the same prompts in batches of the same size, sorted by length, and sample at temperature 1. Without
--model a random Llama of pocket size is made, with so many end tokens that a text is about 50 tokens long (at most
100). The numbers are tokens written per second, end tokens included; `ratio` (ours to generate) is the median over
rounds. On a machine that is busy with other work take `--threads 1 --clock cpu`: CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from parammem.engines.base import Request, chat
from parammem.engines.hf import HfEngine

MAX_TOKENS = 100
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Side = Callable[[list[Request]], int]
WORDS = "sum price limit inside apples Anna mentor round zero once the of and count list return half".split()


def random_pocket(folder: Path) -> Path:
    """Return a random Llama of about a million parameters that ends a text with probability 1/50 per token."""
    from transformers import GenerationConfig

    from tests.tiny import TEXTS, make_tiny_model

    chance = random.Random(1)
    syllables = ["".join(chance.choices("aeioubdklmnprst", k=3)) for _ in range(4000)]
    texts = [*TEXTS, *(" ".join(chance.choices(syllables, k=12)) for _ in range(2000))]
    make_tiny_model(folder, texts, hidden=128, layers=4, heads=4, kv_heads=4, vocab_size=1500, max_positions=1024)
    # Evenly likely next tokens, a fiftieth of which end the text.
    config = GenerationConfig.from_pretrained(folder, trust_remote_code=False)
    config.eos_token_id = [1, *chance.sample(range(5, 1500), 29)]
    config.save_pretrained(folder)
    return folder


def requests_for(prompts: int, draws: int, seed: int) -> list[Request]:
    chance = random.Random(seed)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(30, 70))) for _ in range(prompts)]
    return [Request(messages=chat(text), temperature=1.0, max_tokens=MAX_TOKENS, n=draws, seed=seed) for text in texts]


def ours(engine: HfEngine) -> Side:
    return lambda requests: sum(c.completion_tokens for answer in engine.complete(requests) for c in answer)


def stock(engine: HfEngine) -> Side:
    """generate with num_return_sequences, left padding, prompts sorted by length, the same batch size."""

    def run(requests: list[Request]) -> int:
        draws = requests[0].n
        prompts = sorted(engine._encode([request.messages for request in requests]), key=len)
        size = max(1, engine.batch // draws)
        return sum(_generate(engine, prompts[start : start + size], draws) for start in range(0, len(prompts), size))

    return run


def _generate(engine: HfEngine, prompts: list[tuple[int, ...]], draws: int) -> int:
    import torch

    loaded = engine._loaded
    width = max(map(len, prompts))
    ids = torch.tensor([[loaded.pad] * (width - len(p)) + list(p) for p in prompts], device=loaded.model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=loaded.model.device)
    with torch.inference_mode():
        out = loaded.model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=MAX_TOKENS,
            num_return_sequences=draws,
            eos_token_id=list(loaded.eos),
            pad_token_id=loaded.pad,
        )
    written = engine._loaded.tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)  # as our side does
    assert len(written) == len(prompts) * draws
    ended = torch.isin(out[:, width:], torch.tensor(loaded.eos, device=out.device))
    before = (ended.cumsum(-1) - ended.long()) == 0  # up to and including the first end token
    return int(before.sum())


def measure(sides: dict[str, Side], prompts: int, draws: int, rounds: int, clock: Callable[[], float]) -> list[float]:
    """Medians: tokens per second of each side, then the ratio of the first to the last."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        requests = requests_for(prompts, draws, seed=number)
        for name, side in sides.items():
            started = clock()
            tokens = side(requests)
            speeds[name].append(tokens / (clock() - started))
    columns = list(speeds.values())
    ratios = [first / last for first, last in zip(columns[0], columns[-1], strict=True)]
    return [*(statistics.median(column) for column in columns), statistics.median(ratios)]


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--prompts", type=int, default=256, help="prompts at n=1; n=10 gets a tenth")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        model = args.model or random_pocket(Path(scratch))
        lean = HfEngine.load(model, device=args.device, batch=args.batch)
        general = HfEngine.load(model, device=args.device, batch=args.batch, lean=False)
        sides = {"ours": ours(lean), "ours, general forward": ours(general), "generate": stock(general)}
        for side in sides.values():
            side(requests_for(4, 1, seed=99))  # warm up
        threads = torch.get_num_threads()
        name = args.model or "random pocket-size Llama"
        print(f"{name}, batch {args.batch}, {args.device}, {threads} threads, {args.clock} clock")
        print("draws  " + "  ".join(f"{name:>22}" for name in sides) + "   ratio")
        for draws in (1, 10):
            *speeds, ratio = measure(sides, max(1, args.prompts // draws), draws, args.rounds, CLOCKS[args.clock])
            print(
                f"{draws:>5}  " + "  ".join(f"{speed:>16.0f} tok/s" for speed in speeds) + f"   {ratio:.1f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
