"""How do time and memory grow with the tasks, at 1, 10 and 100 times today's sizes?

    python -m benchmarks.growth mcnemar|correlation|retrieved|clusters|duplicates|report

Each size runs in a process of its own, so that its peak memory is its own. Inputs are made from a seed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from parammem.embeddings import nearest
from parammem.evaluation.diversity import clusters, correlate
from parammem.evaluation.report import build_report, write_report
from parammem.evaluation.statistics import mcnemar
from parammem.validation.duplicates import near_duplicates, shingles
from tests.evaluation.synthetic import make_inputs

DICE = np.random.default_rng(0)


def discordant(n: int) -> Any:
    return mcnemar(n // 2 - n // 100, n // 2 + n // 100)


def correlation(n: int) -> Any:
    x = DICE.normal(size=n)
    return correlate(x.tolist(), (x + DICE.normal(size=n)).tolist())


def retrieved(n: int) -> Any:
    """Return a thousand tasks against n rows, as `reflectors.retrieved` asks for them; embeddings of random
    directions."""
    keys, query = DICE.normal(size=(n, 384)), DICE.normal(size=(1000, 384))
    return nearest(query.astype(np.float32), keys.astype(np.float32), 64)


def clustered(n: int) -> Any:
    return clusters(DICE.normal(size=(n, 384)))


def duplicates(n: int) -> Any:
    dice = random.Random(0)
    names = [f"w{number}" for number in range(200)]
    rows = [f"Write a function f that takes a list of {dice.choice(names)} and returns the {dice.choice(names)} "
            f"of all {dice.choice(names)} that lie below {dice.randrange(1000)} , or the {dice.choice(names)} ."
            for _ in range(n)]  # fmt: skip
    return near_duplicates([shingles(row) for row in rows], 0.8)


def report(n: int) -> Any:
    """The report over n tasks of each of three domains, with all arms: its metrics, tables, pictures and page."""
    with tempfile.TemporaryDirectory() as folder:
        write_report(build_report(make_inputs(tasks=n, unseen=n // 4)), Path(folder))


KINDS: dict[str, tuple[Callable[[int], Any], tuple[int, ...]]] = {
    "mcnemar": (discordant, (200, 2_000, 20_000)),
    "correlation": (correlation, (200, 2_000, 20_000)),
    "retrieved": (retrieved, (1_000, 10_000, 100_000)),
    "clusters": (clustered, (1_000, 10_000, 100_000)),
    "duplicates": (duplicates, (300, 3_000, 30_000)),
    "report": (report, (40, 400, 4_000)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    kind = parser.parse_args().kind
    for size in KINDS[kind][1]:
        process = multiprocessing.get_context("spawn").Process(target=measured, args=(kind, size))
        process.start()
        process.join()


def measured(kind: str, size: int) -> None:
    start = time.process_time()
    KINDS[kind][0](size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{kind} {size}: {time.process_time() - start:.2f} CPU s, {peak:.0f} MB at most", flush=True)


if __name__ == "__main__":
    main()
