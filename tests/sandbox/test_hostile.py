"""Every hostile program is stopped, its verdict is right, and nothing of it is seen outside."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from parammem.sandbox import Call, CandidateJob, Limits, Pool, equal
from tests.sandbox.arena import Arena, left_over
from tests.sandbox.hostile import ATTACKS, ENDINGS, FORGED_FRAMES, FORGERIES, NAIVE, Attack
from tests.sandbox.trusting import checked

LIMITS = Limits(wall_seconds=4, cpu_seconds=0.25, memory_mb=256, output_bytes=100_000, threads=16)
TESTS = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert abs(candidate(2, 2) - 4) < 1e-6\n"


@pytest.fixture(
    scope="module",
    params=[pytest.param(True, id="namespaces"), pytest.param(False, id="alone", marks=pytest.mark.integration)],
)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(1, "strict", namespaces=request.param) as pool:
        yield pool


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena() as arena:
        yield arena


def test_the_suite_is_large_enough():
    assert len(ATTACKS) + len(ENDINGS) + len(FORGERIES) + len(FORGED_FRAMES) >= 40
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_is_stopped_and_nothing_is_seen_outside(attack: Attack, pool: Pool, arena: Arena):
    arena.lay_out()
    limits = Limits(**{**LIMITS.model_dump(), **attack.limits})
    job = CandidateJob(source=attack.source, entry="attack", calls=[Call(args=[arena.context()])])
    start = time.monotonic()
    outcome = pool.run([job], limits)[0][0]
    assert outcome.kind in attack.kinds, outcome.error
    assert outcome.error
    assert arena.effects(outcome) == []
    assert left_over(pool) == []
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("name", ENDINGS)
def test_ending_is_named_and_the_worker_lives(name: str, pool: Pool):
    source, kind = ENDINGS[name]
    worker = pool.members()
    job = CandidateJob(source=source, entry="attack", calls=[Call(args=[{}]), Call(args=[{}])])
    outcomes = pool.run([job], LIMITS)[0]
    assert [outcome.kind for outcome in outcomes] == [kind, kind]
    assert not worker or pool.members() == worker
    assert left_over(pool) == []


@pytest.mark.parametrize(
    "source", [*FORGERIES.values(), *FORGED_FRAMES], ids=[*FORGERIES, *map(str, range(len(FORGED_FRAMES)))]
)
def test_forgery_is_called_wrong(source: str, pool: Pool):
    calls = [Call(args=[1, 2]), Call(args=[2, 2])]
    outcomes = pool.run([CandidateJob(source=source, entry="add", calls=calls)], LIMITS)[0]
    assert not (equal(outcomes[0], 3) and equal(outcomes[1], 4))
    assert not equal(outcomes[0], 3, tolerance=1e-6)
    verdict = pool.check([checked(source, "add", TESTS)], LIMITS)[0]
    assert not verdict.passed
    assert verdict.detail


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_fools_a_harness_of_the_usual_kind(name: str, tmp_path):
    """Or the test above would prove nothing."""
    harness = tmp_path / "naive.py"
    harness.write_text(NAIVE)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(harness), FORGERIES[name]], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0 or b"ALL TESTS PASSED" in done.stdout


HONEST = {
    "recursion": "def add(a, b): return a if b == 0 else add(a + (1 if b > 0 else -1), b - (1 if b > 0 else -1))",
    "helpers and imports": "import math, collections\ndef helper(x): return math.floor(x)\ndef add(a, b): return helper(a) + helper(b)",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: 'int'\ndef add(a, b): p = P(a, b); return p.x + p.y",
    "main block": "def add(a, b): return a + b\nif __name__ == '__main__':\n    raise SystemExit(add(1, 1))",
    "threads": "import threading\ndef add(a, b):\n    out = []\n    t = [threading.Thread(target=out.append, args=(x,)) for x in (a, b)]\n"
    "    [x.start() for x in t]; [x.join() for x in t]\n    return sum(out)",
    "executor": "from concurrent.futures import ThreadPoolExecutor\ndef add(a, b):\n    with ThreadPoolExecutor(4) as e: return sum(e.map(int, [a, b]))",
    "asyncio": "import asyncio\nasync def go(a, b): await asyncio.sleep(0); return a + b\ndef add(a, b): return asyncio.run(go(a, b))",
    "prints a lot, but not too much": "def add(a, b):\n    print('x' * 40_000)\n    return a + b",
    "memory within bounds": "def add(a, b): return len(bytearray(100 * 2**20)) * 0 + a + b",
    "lazy imports": "def add(a, b):\n    import csv, sqlite3, ssl, zoneinfo, xml.etree.ElementTree, unittest\n    return a + b",
    "globals": "total = 0\ndef add(a, b):\n    global total\n    total = a + b\n    return total",
    "own signals": "import signal\ndef add(a, b):\n    signal.signal(signal.SIGALRM, lambda *a: None); signal.alarm(1); signal.alarm(0)\n    return a + b",
    "time": "import time, random, datetime\ndef add(a, b):\n    time.sleep(0.01); random.random(); datetime.datetime.now()\n    return a + b",
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_program_raises_no_alarm(name: str, pool: Pool):
    limits = Limits(memory_mb=256, output_bytes=100_000, threads=16)
    calls = [Call(args=[1, 2]), Call(args=[20, 22])]
    outcomes = pool.run([CandidateJob(source=HONEST[name], entry="add", calls=calls)], limits)[0]
    assert [outcome.kind for outcome in outcomes] == ["value", "value"], outcomes[0].error
    assert equal(outcomes[0], 3)
    assert equal(outcomes[1], 42)
    assert pool.check([checked(HONEST[name], "add", TESTS)], limits)[0].passed
