"""What OMP_WAIT_POLICY does to two threads that train a pocket model while other work holds one core.

python benchmarks/waiting_threads.py [rounds] [steps]. Interleaved rounds of one run, each in a process of its own: the
library reads the setting once, when torch is imported. A busy loop is the other work. Prints the median wall
milliseconds of a step for each policy, and their ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

POLICIES = ("active", "passive")
STEPS = """
import time, torch
from training_loop import lean_loss, make_model, make_rows, plain
torch.set_num_threads(2)
model, rows = make_model(), make_rows()
plain(model, rows, 2, lean_loss)
start = time.perf_counter()
plain(model, rows, {steps}, lean_loss)
print((time.perf_counter() - start) / {steps} * 1000)
"""


def step_milliseconds(policy: str, steps: int) -> float:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(steps=steps)],
        env=environment | {"OMP_WAIT_POLICY": policy},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def main(rounds: int, steps: int) -> None:
    found: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        for _ in range(rounds):
            for policy in POLICIES:
                found[policy].append(step_milliseconds(policy, steps))
    finally:
        other.kill()
        other.wait()
    medians = {policy: statistics.median(times) for policy, times in found.items()}
    for policy, milliseconds in medians.items():
        print(f"{policy:8s} {milliseconds:8.1f} ms wall/step")
    print(f"active / passive {medians['active'] / medians['passive']:.1f}")


if __name__ == "__main__":
    main(*(int(value) for value in (sys.argv[1:] + ["5", "20"][len(sys.argv) - 1 :])[:2]))
