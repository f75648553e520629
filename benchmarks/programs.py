"""Programs through the official rule of their benchmark and through ours, and where the two differ.

`python -m benchmarks.programs DATA [--pairs N]`: DATA holds humaneval/, mbpp/ and apps/ in their original formats. Real
solutions are run as they are, spoilt, and with what they return or print in other clothes (a tuple for a list, a numpy
array, an iterator, other spaces, an exit code); for LiveCodeBench, which publishes no solutions, small problems of our
own. The official rules are those of `benchmarks/official_harness.py`, which runs them unprotected.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.own_problems import FUNCTIONS, PROGRAMS
from parammem.benchmarks.item import Item
from parammem.benchmarks.sources import local_rows
from parammem.benchmarks.table import items_of
from parammem.domains import get_domain
from parammem.domains.real_code import source_of

CLOTHES = {
    "as it is": "v",
    "spoilt": "(None, v)",
    "a tuple": "tuple(v) if isinstance(v, list) else v",
    "a list": "list(v) if isinstance(v, (tuple, str, set)) else v",
    "tuples inside": "[tuple(x) if isinstance(x, list) else x for x in v] if isinstance(v, list) else v",
    "an iterator": "iter(v) if isinstance(v, (list, tuple)) else v",
    "a generator": "(x for x in v) if isinstance(v, (list, tuple)) else v",
    "a map": "map(lambda x: x, v) if isinstance(v, (list, tuple)) else v",
    "keys": "dict.fromkeys(v).keys() if isinstance(v, set) else v",
    "a deque": "__import__('collections').deque(v) if isinstance(v, list) else v",
    "a decimal": "__import__('decimal').Decimal(v) if type(v) in (int, float) else v",
    "a fraction": "__import__('fractions').Fraction(v) if type(v) is int or type(v) is float and abs(v) < 1e9 else v",
    "a float": "float(v) if type(v) is int and abs(v) < 2**53 else v",
    "text": "str(v)",
    "numpy": "__import__('numpy').array(v) if isinstance(v, list) and v and {*map(type, v)} <= {int, float} else v",
    "a numpy number": "__import__('numpy').array([v])[0] if type(v) in (int, float, bool) and abs(v) < 2**60 else v",
    "an ordered dict": "__import__('collections').OrderedDict(v) if isinstance(v, dict) else v",
    "frozen": "frozenset(v) if isinstance(v, set) else v",
    "a little off": "v + 1e-7 if type(v) is float else v",
    "doubled": "v + v if isinstance(v, (list, str)) and v else v",
}
"""What becomes of a returned value v. Types that a value has not are left alone."""
ENDINGS = {
    "as it is": "{}",
    "spoilt": "{}\nprint('and more')",
    "exit code 0": "import sys\n{}\nsys.exit(0)",
    "exit code 1": "import sys\n{}\nsys.exit(1)",
    "exit before": "import sys\nsys.exit(1)\n{}",
    "an exception": "{}\nraise ValueError",
    "an empty line": "{}\nprint()",
    "spaces": "import sys\n_write = sys.stdout.write\nsys.stdout.write = lambda s: _write(s.replace(' ', '  '))\n{}",
    "upper case": "import sys\n_write = sys.stdout.write\nsys.stdout.write = lambda s: _write(s.upper())\n{}",
    "guarded": "def main():\n    pass\n{}\nif __name__ == '__main__':\n    main()",
    "by main": "{}\nif __name__ == '__main__':\n    print('and more')",
    "ended by quit": "{}\nquit()",
}
"""A program between other lines."""


@dataclass(frozen=True)
class Pair:
    """A program and the problem that it is for."""

    item: Item
    program: str
    clothes: str
    spec: dict[str, Any]
    """The problem as the official harness reads it."""


def function_pairs(item: Item, spec: dict[str, Any], gold: str, names: list[str]) -> Iterator[Pair]:
    """Yield a solution with what it returns in each of these clothes."""
    entry = item.key.hidden["entry"]
    for name in names:
        change = f"\n\ndef _dressed(v):\n    return {CLOTHES[name]}\n"
        if "class Solution" in gold:
            wrap = (
                f"_kept = Solution.{entry}\nSolution.{entry} = lambda self, *a, **k: _dressed(_kept(self, *a, **k))\n"
            )
        else:
            wrap = f"_kept_f = {entry}\n{entry} = lambda *a, **k: _dressed(_kept_f(*a, **k))\n"
        yield Pair(item, gold if name == "as it is" else gold + change + wrap, name, spec)


def read(name: str, rows: list[dict[str, Any]]) -> list[tuple[Item, dict[str, Any]]]:
    """Return the items of rows, each with its row."""
    found = []
    for row in rows:
        try:
            items, _ = items_of(name, [row])
        except Exception:  # a row that is left out
            continue
        found += [(item, row) for item in items]
    return found


def humaneval_pairs(data: Path, draw: random.Random) -> Iterator[Pair]:
    for item, row in read("humaneval", local_rows(data / "humaneval/HumanEval.jsonl.gz")):
        gold, _ = source_of(item.key.hidden, item.key.gold)
        spec = {"test": row["test"], "entry": row["entry_point"]}
        yield from function_pairs(item, spec, gold, ["as it is", "spoilt", *draw.sample(list(CLOTHES)[2:], 3)])


def mbpp_pairs(data: Path, draw: random.Random) -> Iterator[Pair]:
    for item, row in draw.sample(read("mbpp", local_rows(data / "mbpp/mbpp.jsonl")), 250):
        spec = {"tests": row["test_list"] + row["challenge_test_list"], "setup": row["test_setup_code"]}
        yield from function_pairs(item, spec, item.key.gold, ["as it is", "spoilt", *draw.sample(list(CLOTHES)[2:], 3)])


def livecodebench_pairs() -> Iterator[Pair]:
    for number, (source, cases) in enumerate(FUNCTIONS):
        tests = [{"input": given, "output": wanted, "testtype": "functional"} for given, wanted in cases]
        spec = {"fn_name": "f", "inputs": [given for given, _ in cases], "outputs": [wanted for _, wanted in cases]}
        body = "\n".join("    " + line for line in source.replace("def f(", "def f(self, ").splitlines())
        gold = f"class Solution:\n{body}\n"
        yield from function_pairs(_lcb_item(f"f{number}", tests, "f"), spec, gold, list(CLOTHES))
    for number, (source, cases) in enumerate(PROGRAMS):
        tests = [{"input": given, "output": wanted, "testtype": "stdin"} for given, wanted in cases]
        spec = {"inputs": [given for given, _ in cases], "outputs": [wanted for _, wanted in cases]}
        for name, around in ENDINGS.items():
            yield Pair(_lcb_item(f"p{number}", tests, ""), around.format(source), name, spec)


def _lcb_item(name: str, tests: list[dict[str, str]], entry: str) -> Item:
    row = {"question_id": name, "question_content": name, "public_test_cases": json.dumps(tests),
           "metadata": json.dumps({"func_name": entry} if entry else {})}  # fmt: skip
    return read("livecodebench", [row])[0][0]


def apps_pairs(data: Path) -> Iterator[Pair]:
    """Yield real problems with all their solutions, and those of our own in APPS' layout."""
    for item, row in read("apps", local_rows(data / "apps")):
        spec = row["input_output"] if isinstance(row["input_output"], dict) else json.loads(row["input_output"])
        solutions = row["solutions"] if isinstance(row["solutions"], list) else json.loads(row["solutions"])
        for place, solution in enumerate(solutions):
            if spec.get("fn_name"):
                yield from function_pairs(item, spec, solution, list(CLOTHES)[place % 3 :: 3])
            else:
                yield from (Pair(item, around.format(solution), name, spec) for name, around in ENDINGS.items())
    for number, (source, cases) in enumerate(FUNCTIONS):
        inputs = [[json.loads(line) for line in given.split("\n")] for given, _ in cases]
        spec = {"fn_name": "f", "inputs": inputs, "outputs": [json.loads(wanted) for _, wanted in cases]}
        yield from function_pairs(_apps_item(f"f{number}", spec), spec, source, list(CLOTHES))
    for number, (source, cases) in enumerate(PROGRAMS):
        spec = {"inputs": [given for given, _ in cases], "outputs": [wanted for _, wanted in cases]}
        for name, around in ENDINGS.items():
            yield Pair(_apps_item(f"p{number}", spec), around.format(source), name, spec)


def _apps_item(name: str, spec: dict[str, Any]) -> Item:
    return read("apps", [{"problem_id": name, "question": name, "input_output": json.dumps(spec)}])[0][0]


def official(benchmark: str, pairs: list[Pair]) -> list[bool]:
    """Return the verdicts of the official rule."""
    asked = [{"benchmark": benchmark, "program": pair.program, "spec": pair.spec} for pair in pairs]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.official_harness"]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ours(pairs: list[Pair]) -> list[tuple[bool, str]]:
    """Return our verdicts, each with what is said of it."""
    judge = get_domain("code", real=True, workers=2, wall_seconds=20, cpu_seconds=10, memory_mb=1024).judge
    scores = judge.score([(pair.item.task, pair.item.key, pair.program) for pair in pairs])
    return [(getattr(score, "passed", False), getattr(score, "detail", str(score))) for score in scores]


def report(benchmark: str, pairs: list[Pair]) -> dict[str, Any]:
    """How often both say the same, and each pair on which they do not."""
    theirs, own = official(benchmark, pairs), ours(pairs)
    differ = [(p, t, o) for p, t, o in zip(pairs, theirs, own, strict=True) if t is not o[0]]
    kinds = collections.Counter(f"{p.clothes}: {'official' if t else 'ours'} passes" for p, t, _ in differ)
    return {
        "benchmark": benchmark,
        "pairs": len(pairs),
        "right by the official rule": sum(theirs),
        "agree": len(pairs) - len(differ),
        "kinds": dict(kinds.most_common()),
        "disagreements": [
            {"task": p.item.task.task_id, "clothes": p.clothes, "official": t, "ours": o[0], "said": o[1][:200]}
            for p, t, o in differ
        ],
    }


def all_pairs(data: Path) -> dict[str, list[Pair]]:
    draw = random.Random(0)
    return {
        "humaneval": list(humaneval_pairs(data, draw)),
        "mbpp": list(mbpp_pairs(data, draw)),
        "livecodebench": list(livecodebench_pairs()),
        "apps": list(apps_pairs(data)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=0, help="at most so many per benchmark")
    parser.add_argument("--only", default="", help="one benchmark")
    options = parser.parse_args()
    for benchmark, pairs in all_pairs(options.data).items():
        if re.match(options.only, benchmark):
            print(json.dumps(report(benchmark, pairs[: options.pairs or None]), indent=2), flush=True)


if __name__ == "__main__":
    main()
