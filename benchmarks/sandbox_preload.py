"""What preloading modules costs a run: `python -m benchmarks.sandbox_preload [MODULE…]`, against a pool without."""

from __future__ import annotations

import json
import statistics
import sys
import time

from parammem.sandbox import Call, CandidateJob, Limits, Pool

JOBS = [CandidateJob(source="def f(x): return x + 1", entry="f", calls=[Call(args=[1])])] * 200


def main() -> None:
    names = sys.argv[1:] or ["numpy"]
    with Pool(1) as plain, Pool(1, preload=names) as loaded:
        took: dict[str, list[float]] = {"without": [], "with": []}
        for _ in range(6):
            for name, pool in (("without", plain), ("with", loaded)):
                start = time.perf_counter()
                pool.run(JOBS, Limits())
                took[name].append(time.perf_counter() - start)
    median = {name: round(1000 * statistics.median(rounds[1:]) / len(JOBS), 2) for name, rounds in took.items()}
    print(json.dumps({"milliseconds a run": median, "preloaded": names}))


if __name__ == "__main__":
    main()
