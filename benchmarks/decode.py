"""How much faster our decode loop is than transformers' generate, measured in interleaved rounds of one run.

    python benchmarks/decode.py [--model FOLDER] [--rounds 3] [--batch 256 ...] [--threads 1] [--clock cpu]

All sides get the same prompts in batches of the same size, sorted by length, and sample at temperature 1. Without
--model a random Llama of pocket size is made, with so many end tokens that a text is about 50 tokens long (at most
100, or --tokens). `lean` is our loop around the forward of llama.py, also for models larger than those that the engine
takes it for; `general` our loop around the model's own forward; which of them is the engine's choice stands above.
The numbers are tokens written per second, end tokens included; the ratios (to generate) are medians over rounds. On a
machine that is busy with other work take `--threads 1 --clock cpu`: CPU seconds of this process.
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

from parammem.engines import llama
from parammem.engines.base import Request, chat
from parammem.engines.hf import HfEngine

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


def requests_for(prompts: int, draws: int, seed: int, tokens: int) -> list[Request]:
    chance = random.Random(seed)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(30, 70))) for _ in range(prompts)]
    return [Request(messages=chat(text), temperature=1.0, max_tokens=tokens, n=draws, seed=seed) for text in texts]


def ours(engine: HfEngine) -> Side:
    return lambda requests: sum(c.completion_tokens for answer in engine.complete(requests) for c in answer)


def stock(engine: HfEngine) -> Side:
    """generate with num_return_sequences, left padding, prompts sorted by length, the same batch size."""

    def run(requests: list[Request]) -> int:
        draws, tokens = requests[0].n, requests[0].max_tokens
        prompts = sorted(engine._encode([request.messages for request in requests]), key=len)
        size = max(1, engine.batch // draws)
        return sum(_generate(engine, prompts[at : at + size], draws, tokens) for at in range(0, len(prompts), size))

    return run


def _generate(engine: HfEngine, prompts: list[tuple[int, ...]], draws: int, tokens: int) -> int:
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
            max_new_tokens=tokens,
            num_return_sequences=draws,
            eos_token_id=list(loaded.eos),
            pad_token_id=loaded.pad,
        )
    written = engine._loaded.tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)  # as our side does
    assert len(written) == len(prompts) * draws
    ended = torch.isin(out[:, width:], torch.tensor(loaded.eos, device=out.device))
    before = (ended.cumsum(-1) - ended.long()) == 0  # up to and including the first end token
    return int(before.sum())


def measure(
    sides: dict[str, Side], batches: list[list[Request]], clock: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Return medians over rounds: tokens per second of each side, and the ratio of each to the last."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for requests in batches:
        for name, side in sides.items():
            started = clock()
            tokens = side(requests)
            speeds[name].append(tokens / (clock() - started))
    columns = list(speeds.values())
    ratios = [statistics.median(a / b for a, b in zip(column, columns[-1], strict=True)) for column in columns]
    return [statistics.median(column) for column in columns], ratios


def engines(model: str | Path, args: argparse.Namespace) -> tuple[HfEngine, HfEngine, str]:
    """Return one with the lean forward, one with the model's own, and which of them an engine takes by itself."""
    from unittest.mock import patch

    shared = {"device": args.device, "dtype": args.dtype}
    lean, general = HfEngine.load(model, **shared), HfEngine.load(model, lean=False, **shared)
    name = "lean" if llama.fits(general._loaded.model, llama.MAX_DECODE_PARAMETERS) else "general"
    with patch.object(llama, "MAX_DECODE_PARAMETERS", sys.maxsize):
        assert llama.fits(lean._loaded.model, sys.maxsize), "not a Llama that the lean forward can compute"
    return lean, general, name


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[256])
    parser.add_argument("--prompts", type=int, default=256, help="prompts at n=1; n=10 gets a tenth. 0: as the batch")
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--tokens", type=int, default=100, help="most tokens that are written")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        model = args.model or random_pocket(Path(scratch))
        lean, general, choice = engines(model, args)
        sides = {"lean": ours(lean), "general": ours(general), "generate": stock(general)}
        for side in sides.values():
            side(requests_for(4, 1, seed=99, tokens=args.tokens))  # warm up
        named = f"{args.model or 'random pocket-size Llama'}, {args.dtype}, {args.device}"
        print(f"{named}, {torch.get_num_threads()} threads, {args.clock} clock; the engine takes: {choice}")
        print("batch  draws  " + "  ".join(f"{name:>14}" for name in sides) + "    ratios")
        for batch in args.batch:
            lean.batch = general.batch = batch
            for draws in args.draws:
                count = max(1, (args.prompts or batch) // draws)
                rounds = [requests_for(count, draws, number, args.tokens) for number in range(args.rounds)]
                speeds, ratios = measure(sides, rounds, CLOCKS[args.clock])
                print(
                    f"{batch:>5}  {draws:>5}  "
                    + "  ".join(f"{speed:>8.0f} tok/s" for speed in speeds)
                    + "".join(f"  {ratio:.2f}x" for ratio in ratios[:-1]),
                    flush=True,
                )


if __name__ == "__main__":
    main()
