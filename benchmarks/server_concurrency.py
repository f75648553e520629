"""How near the driver for servers comes to the ideal: HumanEval through `reflexion` against a local server with a fixed
latency and no other cost.

    python benchmarks/server_concurrency.py [--latency 0.5] [--concurrency 64] [--tasks 164] [--alone 2] [--solve 0.15]

The server (a process of its own) writes the benchmark's solution with probability --solve per attempt, and a wrong one
otherwise; candidates are run in the sandbox. Ideal is max(longest chain of calls, all calls / concurrency) × latency,
with the calls that the run really made. `one at a time` is what its calls take one after the other, extrapolated from
--alone tasks that are really run so. `lock-step` is the same server as an engine that writes batches, for comparison.
The numbers depend on how busy the machine is: candidates need CPU. Rows: $PARAMMEM_SHARED_DATA or ../shared/data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from parammem.agents.loop import Agent, Budget, solve
from parammem.agents.methods import METHODS
from parammem.agents.run import run_all
from parammem.benchmarks.code import humaneval
from parammem.benchmarks.item import Item
from parammem.core import Trajectory
from parammem.domains import Domain, get_domain
from parammem.engines.base import Completion, Engine, Request
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import OpenAIEngine, open_model
from parammem.engines.openai.server import Server, ServerSettings

ROOT = Path(__file__).resolve().parent.parent
BUDGET = Budget(
    iterations=5,
    first_temperature=0.2,
    later_temperature=1.0,
    reflector_temperature=1.0,
    max_tokens=1024,
    max_advice_tokens=256,
)


class LockStep:
    """An engine as one that writes batches."""

    def __init__(self, engine: OpenAIEngine) -> None:
        self.inner, self.digest = engine, engine.digest

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        return self.inner.complete(requests)


def items(count: int) -> list[Item]:
    """Return the first rows of HumanEval."""
    folder = Path(os.environ.get("PARAMMEM_SHARED_DATA", ROOT.parent / "shared" / "data"))
    with gzip.open(folder / "humaneval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [humaneval(json.loads(line), number) for number, line in enumerate(lines)][:count]


def serve(latency: float, solve_share: float) -> None:
    """Serve HumanEval answers; print the URL and runs until its input ends."""
    from tests.engines.local_server import LocalServer

    known = {item.task.text: item for item in items(10**6)}

    def write(body: dict[str, Any], seed: int) -> str:
        prompt = body["messages"][-1]["content"]
        item = next(found for text, found in known.items() if text in prompt)
        if "was attempted" in prompt:
            return f"Mind the edge cases ({seed % 1000})."
        right = random.Random(f"{seed} {item.task.task_id}").random() < solve_share
        entry = item.task.visible["entry"]
        source = item.key.gold if right else f"def {entry}(*arguments):\n    return {seed % 1000}"
        return f"```python\n{source}\n```"

    with LocalServer(models=["knows-humaneval"], write=write, latency=latency) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def run(engine: Engine, domain: Domain, chosen: Sequence[Item]) -> tuple[list[Trajectory], float]:
    """Return trajectories in order, and seconds."""
    agent = Agent(METHODS["reflexion"], domain.prompts, domain.judge, engine, BUDGET)
    started = time.perf_counter()
    found = run_all([solve(agent, item.task, 1) for item in chosen])
    return found, time.perf_counter() - started


def calls(trajectory: Trajectory) -> int:
    return sum(used.calls for used in trajectory.usage.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--tasks", type=int, default=164)
    parser.add_argument("--solve", type=float, default=0.15)
    parser.add_argument("--alone", type=int, default=2, help="tasks that are also run one at a time")
    parser.add_argument("--workers", type=int, default=2, help="of the sandbox")
    parser.add_argument("--lock-step", action="store_true", help="also ask the server in batches")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.latency, args.solve)
        return
    command = [sys.executable, __file__, "--serve", "--latency", str(args.latency), "--solve", str(args.solve)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            measure(process.stdout.readline().strip(), args)
        finally:
            process.terminate()


def measure(url: str, args: argparse.Namespace) -> None:
    def engine(concurrency: int) -> OpenAIEngine:
        return open_model(Server(ServerSettings(url, concurrency=concurrency), Account(Terms())), "knows-humaneval")

    domain = get_domain("code", real=True, workers=args.workers)
    chosen = items(args.tasks)
    run(engine(1), domain, chosen[:1])  # sandbox and connections are up
    found, seconds = run(engine(args.concurrency), domain, chosen)
    failed = [t for t in found if t.failure]
    total, longest = sum(map(calls, found)), max(map(calls, found))
    ideal = max(longest, total / args.concurrency) * args.latency
    alone, alone_seconds = run(engine(1), domain, chosen[: args.alone])
    assert alone == found[: args.alone], "one at a time gave other trajectories"
    sequential = alone_seconds / sum(map(calls, alone)) * total
    print(f"{len(found)} tasks, {sum(t.stop == 'visible-pass' for t in found)} passed visibly, {len(failed)} failed")
    print(f"{total} calls, longest chain {longest}, latency {args.latency} s, concurrency {args.concurrency}")
    print(f"ideal                 {ideal:8.2f} s")
    print(f"side by side          {seconds:8.2f} s   {seconds / ideal:.2f} × ideal")
    print(f"one at a time         {sequential:8.2f} s   {sequential / seconds:.1f} × side by side")
    if args.lock_step:
        same, batch_seconds = run(LockStep(engine(args.concurrency)), domain, chosen)
        assert same == found, "batches gave other trajectories"
        print(f"lock-step             {batch_seconds:8.2f} s   {batch_seconds / ideal:.2f} × ideal")


if __name__ == "__main__":
    main()
