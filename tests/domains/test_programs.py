"""Programs in the forms that people write them in, judged as their benchmark's harness or plain Python judges them."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parammem.benchmarks.table import items_of
from parammem.domains import get_domain
from tests.benchmarks import rows

DOMAIN = get_domain("code", real=True, workers=2, wall_seconds=20, cpu_seconds=10)


def passes(benchmark: str, row: dict[str, Any], program: str) -> bool:
    (item,), wrong = items_of(benchmark, [row])
    assert wrong == []
    (score,) = DOMAIN.judge.score([(item.task, item.key, program)])
    assert not isinstance(score, Exception), score
    return score.passed


def stdin_row(given: str, wanted: str) -> dict[str, Any]:
    tests = json.dumps([{"input": given, "output": wanted, "testtype": "stdin"}])
    return rows.LCB_STDIN | {"public_test_cases": tests, "private_test_cases": "[]"}


def method_row(given: str, wanted: str) -> dict[str, Any]:
    tests = json.dumps([{"input": given, "output": wanted, "testtype": "functional"}])
    about = json.dumps({"func_name": "f"})
    return rows.LCB_FUNCTIONAL | {"public_test_cases": tests, "private_test_cases": "[]", "metadata": about}


def apps_row(**spec: Any) -> dict[str, Any]:
    return rows.APPS_CALL | {"input_output": json.dumps(spec), "solutions": "[]"}


def mbpp_row(*tests: str, setup: str = "") -> dict[str, Any]:
    code = "def f(n):\n    return n"
    return {"text": "t", "code": code, "task_id": 12, "test_setup_code": setup, "test_list": list(tests)}


SCRIPTS = {
    "one argument": "import sys\nassert len(sys.argv) == 1\nprint(6)",
    "argument or stdin": "import sys\ntext = open(sys.argv[1]).read() if len(sys.argv) > 1 else sys.stdin.read()\nprint(sum(map(int, text.split()[1:])))",
    "argparse": "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('file', nargs='?')\nassert parser.parse_args().file is None\nprint(6)",
    "optparse": "from optparse import OptionParser\noptions, args = OptionParser().parse_args()\nprint(6 if not args else args)",
    "getopt": "import getopt, sys\nprint(6 if getopt.getopt(sys.argv[1:], 'v') == ([], []) else 0)",
    "fileinput": "import fileinput\nlines = [line.strip() for line in fileinput.input()]\nprint(sum(map(int, lines[1].split())))",
    "its own file": "import os\nassert os.path.basename(__file__).endswith('.py')\nprint(6)",
    "exit": "print(6)\nexit()\nprint(7)",
    "quit": "print(6)\nquit()\nprint(7)",
    "exit in a function": "def main():\n    print(6)\n    exit(0)\nmain()\nprint(7)",
    "sys.exit without words": "import sys\nprint(6)\nsys.exit()",
    "SystemExit": "print(6)\nraise SystemExit",
    "thread pool": "from multiprocessing.pool import ThreadPool\nn = input()\nwith ThreadPool(3) as pool:\n    print(sum(pool.map(int, input().split())))",
    "dummy pool": "from multiprocessing.dummy import Pool\nn = input()\nprint(sum(Pool(2).map(int, input().split())))",
    "locks of multiprocessing": "import multiprocessing\nwith multiprocessing.RLock() as held, multiprocessing.Lock():\n    assert held\nprint(6)",
    "executor": "from concurrent.futures import ThreadPoolExecutor\nn = input()\nwith ThreadPoolExecutor(4) as pool:\n    print(sum(pool.map(int, input().split())))",
    "large stack": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(2**29)\ndef f(n): return n and 1 + f(n - 1)\ndef main(): print(f(90000) - 89994)\nthread = threading.Thread(target=main)\nthread.start()\nthread.join()",
    "deep without a thread": "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(90000) - 89994)",
    "stack limit": "import resource, sys\nresource.setrlimit(resource.RLIMIT_STACK, (2**29, resource.RLIM_INFINITY))\nsys.setrecursionlimit(10**5)\nprint(6)",
    "alarm": "import signal\nsignal.alarm(5)\nprint(6)",
    "timer": "import threading\ntimer = threading.Timer(0.01, print, [6])\ntimer.start()",
    "end of input": "total = -3\ntry:\n    while True: total += sum(map(int, input().split()))\nexcept EOFError:\n    print(total)",
    "os.read": "import io, os\ninput = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\nn = int(input())\nprint(sum(map(int, input().split())))",
    "flushed": "import sys\nprint('6', flush=True)\nsys.stderr.write('noise')",
    "write": "import sys\nsys.stdout.write(str(6))\nsys.stdout.write('\\n')",
    "file locks": "import fcntl, sys\nfcntl.flock(sys.stdout, fcntl.LOCK_EX)\nfcntl.lockf(sys.stdout, fcntl.LOCK_EX)\nprint(6)",
    "mapped input": "import mmap\ntext = mmap.mmap(0, 0, access=mmap.ACCESS_READ).read()\nprint(sum(map(int, text.split()[1:])))",
    "reopened": "import os, sys\nsys.stdin = os.fdopen(0, 'r')\nn = input()\nprint(sum(map(int, sys.stdin.readline().split())))",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_plain_script_is_judged_as_one(name: str):
    row = stdin_row("3\n1 2 3\n", "6\n")
    assert passes("livecodebench", row, SCRIPTS[name])
    assert not passes("livecodebench", row, SCRIPTS[name].replace("6", "5") + "\nprint(5)")


@pytest.mark.parametrize(
    "ending", ["import sys\nsys.exit(1)", "exit(3)", "raise SystemExit('no')", "import sys\nsys.exit(256)"]
)
def test_an_exit_code_fails_a_program_but_not_by_the_rule_of_livecodebench_and_apps(ending: str):
    """Both harnesses catch SystemExit, whatever its code, and look at what was printed."""
    from parammem.core import Task

    program = f"print(6)\n{ending}"
    assert passes("livecodebench", stdin_row("", "6"), program)
    assert passes("apps", apps_row(inputs=[""], outputs=["6"]), program)
    spec = {"entry": "", "checks": [{"name": "a", "stdin": "", "expected": "6"}]}
    (found,) = DOMAIN.judge.check([(Task(task_id="t", domain="code", text="?", visible=spec), program)])
    assert getattr(found, "passed", found) is ("256" in ending), found
    for bad in ("import os\nprint(6, flush=True)\nos._exit(1)", "print(6)\nraise ValueError", "print(5)\nexit(1)"):
        assert not passes("livecodebench", stdin_row("", "6"), bad)


NAMES = {
    "deepcopy": "deepcopy(xs) == xs and 1", "isqrt": "isqrt(xs[0] ** 2) // xs[0]", "or_": "reduce(or_, xs) // xs[0]",
    "prod": "prod(xs[:1]) // xs[0]", "log2": "int(log2(2))", "maxsize": "min(maxsize, 1)", "cache": "cache(lambda n: 1)(1)",
    "mean": "int(mean([1, 1]))", "datetime": "datetime.timedelta(days=1).days", "loads": "loads('1')",
    "bisect": "bisect_left([0], 1)", "heap": "heappop([1])", "Counter": "Counter('a')['a']", "inf": "int(inf > 1)",
    "pairwise": "len(list(pairwise(xs))) or 1", "StringIO": "int(StringIO('1').read())", "ascii": "len(ascii_lowercase) - 25",
    "pow is the builtin": "pow(3, 4, 5)", "List": "int(List is not None)",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_livecodebench_gives_its_official_names(name: str):
    program = f"class Solution:\n    def f(self, xs):\n        return {NAMES[name]}"
    assert passes("livecodebench", method_row("[7, 7]", "1"), program)
    assert not passes("livecodebench", method_row("[7, 7]", "2"), program)


@pytest.mark.parametrize("depth", [1001, 5000, 20_000, 49_000])
def test_livecodebench_recurses_fifty_thousand_deep(depth: int):
    loop = "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(int(input())))"
    assert passes("livecodebench", stdin_row(f"{depth}\n", f"{depth}"), loop)
    method = "class Solution:\n    def f(self, n):\n        return 0 if n == 0 else 1 + self.f(n - 1)"
    assert passes("livecodebench", method_row(str(depth), str(depth)), method)


def test_livecodebench_ends_deeper_recursion():
    loop = "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(int(input())))"
    assert not passes("livecodebench", stdin_row("50001\n", "50001"), loop)


LIVECODEBENCH_VALUES = [
    ("(1, 2)", "[1, 2]", True), ("[(1, 2)]", "[[1, 2]]", False), ("[1.0, 2]", "[1, 2]", True), ("0.1 + 0.2", "0.3", False),
    ("True", "1", True), ("'1'", "1", False), ("{1: 2}", "{\"1\": 2}", False), ("None", "null", True),
    ("deque([1])", "[1]", False), ("iter([1])", "[1]", False), ("range(2)", "[0, 1]", False), ("{1}", "[1]", False),
    ("Counter('a')", "{\"a\": 1}", True), ("defaultdict(int, {'a': 1})", "{\"a\": 1}", True), ("[[0] * 3] * 2", "[[0,0,0],[0,0,0]]", True),
]  # fmt: skip


@pytest.mark.parametrize(("value", "wanted", "right"), LIVECODEBENCH_VALUES)
def test_livecodebench_compares_values_by_plain_equality(value: str, wanted: str, right: bool):
    program = f"class Solution:\n    def f(self, n):\n        return {value}"
    assert passes("livecodebench", method_row("0", wanted), program) is right


LIVECODEBENCH_LINES = [
    ("1.0 2", "1 2.00", True), ("1  2", "1 2", True), ("a  b", "a b", False), ("x 1.0", "x 1", False), ("1e3", "1000", True),
    ("Yes", "YES", False), ("1\\n\\n", "1", True), ("1\\n\\n2", "1\n2", False), ("  1 ", "1", True), ("0.333333", "0.3333333", False),
]  # fmt: skip


@pytest.mark.parametrize(("printed", "wanted", "right"), LIVECODEBENCH_LINES)
def test_livecodebench_compares_lines_and_then_decimals(printed: str, wanted: str, right: bool):
    assert passes("livecodebench", stdin_row("", wanted), f"print('{printed}')") is right


APPS_LINES = [
    ("0.3333333333333333", "0.333333", True), ("0.3334", "0.333333", True), ("0.3344", "0.333333", False), ("1\\n2", "1 2", False), ("2 1", "1 2", True),
    ("b\\na", "a\nb", True), ("a  b", "a b", True), ("1.0004", "1.0", True), ("1.001", "1.0", False), ("3", "3.0000001", True),
    ("yes", "YES", False), ("1\\n\\n2", "1\n2", True), ("0.5 0.25", "0.50000 0.25000", True), ("nan", "1", False),
]  # fmt: skip


@pytest.mark.parametrize(("printed", "wanted", "right"), APPS_LINES)
def test_apps_compares_lines_then_numbers_then_words_in_any_order(printed: str, wanted: str, right: bool):
    """Its own harness does, so that its published numbers do."""
    assert passes("apps", apps_row(inputs=[""], outputs=[wanted]), f"print('{printed}')") is right


APPS_CALLS = [
    ("sum(n)", [{"1": 2, "2": 1}], [3], True), ("sum(map(int, n))", [{"1": 2, "2": 1}], 3, True), ("sorted(n)", [{"10": 1, "9": 1}], [[9, 10]], True),
    ("n", [{"1": 2}], {"1": 2}, True), ("n", [{"1": 2}], [{"1": 2}], True), ("{str(k): v for k, v in n.items()}", [{"1": 2}], {"1": 2}, False),
    ("n", [{"a": 2}], {"a": 2}, True), ("(1, 2)", [0], [1, 2], True), ("(1, 2)", [0], [[1, 2]], True), ("[(1, 2)]", [0], [[[1, 2]]], True),
    ("[(1, 2)]", [0], [[1, 2]], False), ("5", [0], [5], True), ("5", [0], 5, True), ("[5]", [0], 5, False), ("0.1 + 0.2", [0], 0.3, False),
]  # fmt: skip


@pytest.mark.parametrize(("value", "given", "wanted", "right"), APPS_CALLS)
def test_apps_reads_whole_keys_and_values_in_a_list(value: str, given: list[Any], wanted: Any, right: bool):
    row = apps_row(fn_name="f", inputs=[given], outputs=[wanted])
    assert passes("apps", row, f"def f(n):\n    return {value}") is right
    assert passes("apps", row, f"class Solution:\n    def f(self, n):\n        return {value}") is right


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [([["2", "1 2"]], [["3"]]), ([["2", "1 2"]], ["3\n"]), (["2\n1 2"], [["3", ""]]), ([["2", "1 2", ""]], ["3"])],
)
def test_apps_joins_lists_of_lines(inputs: list[Any], outputs: list[Any]):
    program = "n = input()\nprint(sum(map(int, input().split())))"
    assert passes("apps", apps_row(inputs=inputs, outputs=outputs), program)


@pytest.mark.parametrize(
    "value",
    [
        "fractions.Fraction(1, 2).denominator - 1", "int(time.time() > 0)", "int(fabs(-1))", "len(list(permutations([1])))",
        "OrderedDict(a=1)['a']", "lru_cache(lambda: 1)()", "heappop([1])", "int(np.sum([1, 0]))", "random.randint(1, 1)", "int(log2(2))",
    ],
)  # fmt: skip
def test_apps_gives_its_official_names(value: str):
    assert passes("apps", apps_row(inputs=[""], outputs=["1"]), f"print({value})")
    assert not passes("apps", apps_row(inputs=[""], outputs=["2"]), f"print({value})")


NUMPY = {
    "array to list": ("import numpy as np\ndef f(n):\n    return (np.arange(n) ** 2).tolist()", "f(3) == [0, 1, 4]", "f(3) == [0, 1, 5]"),
    "a number": ("import numpy\ndef f(n):\n    return numpy.int64(n) + 1", "f(3) == 4", "f(3) == 3"),
    "a truth": ("import numpy as np\ndef f(n):\n    return np.bool_(n > 2)", "f(3) == True", "f(1)"),
    "an array": ("import numpy as np\ndef f(n):\n    return np.zeros((2, n))", "f(3).shape == (2, 3) and (f(3) == 0).all()", "f(3).any()"),
    "items of an array": ("import numpy as np\ndef f(n):\n    return np.arange(n)", "list(f(3)) == [0, 1, 2]", "f(3) == [0, 1, 2]"),
    "linear algebra": ("import numpy as np\ndef f(n):\n    return float(np.linalg.det(np.eye(n) * 2))", "abs(f(3) - 8) < 1e-9", "f(3) == 9"),
    "random numbers": ("import numpy as np\ndef f(n):\n    return int(np.random.default_rng(n).integers(5, 6))", "f(3) == 5", "f(3) == 6"),
    "fft": ("import numpy as np\ndef f(n):\n    return float(abs(np.fft.fft([n, 0])[0]))", "f(3) == 3", "f(3) == 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_is_there_for_candidates(name: str):
    source, right, wrong = NUMPY[name]
    assert passes("mbpp", mbpp_row(f"assert {right}"), source)
    assert not passes("mbpp", mbpp_row(f"assert {wrong}"), source)


def test_numpy_is_there_for_tests():
    row = mbpp_row("assert np.allclose(f(2), [0.5, 1])", setup="import numpy as np")
    assert passes("mbpp", row, "def f(n):\n    return [1 / n, 1]")
    assert not passes("mbpp", row, "def f(n):\n    return [1 / n, 2]")


VALUES = {
    "dict keys": ("{i: 1 for i in range(n)}.keys()", "f(3) == {0, 1, 2}", "f(3) == [0, 1, 2]"),
    "dict items": ("{1: n}.items()", "f(3) == {(1, 3)} and list(f(3)) == [(1, 3)]", "f(3) == {1: 3}"),
    "dict values": ("{1: n}.values()", "list(f(3)) == [3] and len(f(3)) == 1", "f(3) == [3]"),
    "a range": ("range(n)", "f(3) == range(3) and f(3)[1] == 1", "f(3) == [0, 1, 2]"),
    "zip": ("zip(range(n), 'abc')", "tuple(f(2)) == ((0, 'a'), (1, 'b'))", "f(2) == [(0, 'a'), (1, 'b')]"),
    "map": ("map(str, range(n))", "','.join(f(3)) == '0,1,2'", "f(3) == ['0', '1', '2']"),
    "filter": ("filter(None, range(n))", "sorted(f(3)) == [1, 2]", "len(f(3)) == 2"),
    "reversed": ("reversed([1, n])", "next(f(3)) == 3", "f(3) == [3, 1]"),
    "enumerate": ("enumerate('ab')", "dict(f(3)) == {0: 'a', 1: 'b'}", "f(3) == {0: 'a'}"),
    "a generator": ("(i * i for i in range(n))", "sum(f(3)) == 5", "f(3) == 5"),
    "an endless iterator": ("__import__('itertools').count(n)", "next(f(3)) == 3", "list(f(3))"),
    "a deque": ("__import__('collections').deque([n], 5)", "f(3) == collections.deque([3]) and f(3).maxlen == 5", "f(3) == [3]"),
    "a decimal": ("__import__('decimal').Decimal(n) / 2", "f(3) == 1.5 and str(f(3)) == '1.5'", "f(3) == '1.5'"),
    "a fraction": ("__import__('fractions').Fraction(n, 2)", "f(3) == 1.5 and f(3).numerator == 3", "f(3) == (3, 2)"),
    "a counter": ("__import__('collections').Counter('aab')", "f(3) == {'a': 2, 'b': 1} and f(3).most_common(1) == [('a', 2)]", "f(3) == ['a', 'b']"),
    "a default dict": ("__import__('collections').defaultdict(list, {1: [n]})", "f(3) == {1: [3]} and f(3)[2] == []", "f(3) == {1: 3}"),
    "an ordered dict": ("__import__('collections').OrderedDict([(2, 1), (1, n)])", "list(f(3)) == [2, 1] and f(3) == {1: 3, 2: 1}", "list(f(3)) == [1, 2]"),
    "a named tuple": ("__import__('collections').namedtuple('P', 'x y')(1, n)", "f(3) == (1, 3) and f(3).y == 3", "f(3) == [1, 3]"),
    "a bytearray": ("bytearray(b'ab')", "f(3) == b'ab' and isinstance(f(3), bytearray)", "f(3) == 'ab'"),
    "a date": ("__import__('datetime').date(2020, 1, n)", "f(3) == datetime.date(2020, 1, 3)", "f(3) == '2020-01-03'"),
    "a time span": ("__import__('datetime').timedelta(days=n)", "f(3).total_seconds() == 259200", "f(3) == 3"),
    "a moment": ("__import__('datetime').datetime(2020, 1, n, 4)", "f(3).hour == 4 and f(3) > datetime.datetime(2020, 1, 2)", "f(3).day == 4"),
    "an array": ("__import__('array').array('i', [n])", "f(3) == array.array('i', [3]) and f(3)[0] == 3", "f(3) == [3]"),
    "a type": ("type(n)", "f(3) is int", "f(3) is str"),
    "inside others": ("[range(n), {1: __import__('decimal').Decimal(n)}]", "f(3) == [range(3), {1: 3}]", "f(3) == [[0, 1, 2], {1: 3}]"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_of_the_standard_library_are_compared_as_plain_python_does(name: str):
    value, right, wrong = VALUES[name]
    source = f"def f(n):\n    return {value}"
    setup = "import array, collections, datetime"
    assert passes("mbpp", mbpp_row(f"assert {right}", setup=setup), source)
    assert not passes("mbpp", mbpp_row(f"assert {wrong}", setup=setup), source)
    if right.startswith("f(3) == ") and " and " not in right:  # the same as a call and its value
        assert passes("mbpp", mbpp_row(f"assert {right}"), source)


ARGUMENTS = {
    "a range": "f(range(3)) == [0, 1, 2]",
    "a deque": "f(collections.deque([0, 1, 2])) == [0, 1, 2]",
    "a generator": "f(i for i in range(3)) == [0, 1, 2]",
    "keys": "f({0: 1, 1: 1, 2: 2}.keys()) == [0, 1, 2]",
    "decimals": "f([decimal.Decimal(0), 1, 2]) == [0, 1, 2]",
    "a counter": "f(collections.Counter([0, 1, 2])) == [0, 1, 2]",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_tests_may_hand_over_values_of_the_standard_library(name: str):
    row = mbpp_row(f"assert {ARGUMENTS[name]}", setup="import collections, decimal")
    assert passes("mbpp", row, "def f(n):\n    return sorted(n)")
    assert not passes("mbpp", row, "def f(n):\n    return sorted(n)[1:]")


RAISES = {
    "a subclass": ("class Negative(ValueError): pass\ndef f(n):\n    raise Negative('no')", "except ValueError: pass"),
    "its base's base": ("class Negative(KeyError): pass\ndef f(n):\n    raise Negative('no')", "except LookupError: pass"),
    "its name": ("class Negative(ValueError): pass\ndef f(n):\n    raise Negative('no')", "except Exception as e: assert type(e).__name__ == 'Negative'"),
    "its words": ("def f(n):\n    raise ValueError('no way')", "except ValueError as e: assert str(e) == 'no way'"),
    "words of a subclass": ("class Own(Exception):\n    def __str__(self): return 'own words'\ndef f(n):\n    raise Own(n)", "except Exception as e: assert str(e) == 'own words'"),
    "its arguments": ("def f(n):\n    raise ValueError('a', n)", "except ValueError as e: assert e.args == ('a', 3)"),
    "a key": ("def f(n):\n    return {}[n]", "except KeyError as e: assert e.args[0] == 3 and str(e) == '3'"),
    "of two kinds": ("class Both(TypeError, ValueError): pass\ndef f(n):\n    raise Both", "except TypeError: pass"),
    "of the standard library": ("import decimal\ndef f(n):\n    return decimal.Decimal('x')", "except ArithmeticError: pass"),
    "json": ("import json\ndef f(n):\n    return json.loads('{')", "except json.JSONDecodeError: pass"),
    "statistics": ("import statistics\ndef f(n):\n    return statistics.mean([])", "except statistics.StatisticsError: pass"),
    "of a later class": ("class A(IndexError): pass\nclass B(A): pass\ndef f(n):\n    raise B(n)", "except IndexError: pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", RAISES)
def test_exceptions_are_caught_as_plain_python_catches_them(name: str):
    source, handler = RAISES[name]
    test = f"import json, statistics\ntry:\n    f(3)\n{handler}\nelse: assert False"
    assert passes("mbpp", mbpp_row(test), source)
    other = "import json, statistics\ntry:\n    f(3)\nexcept (OSError, AttributeError): pass\nelse: assert False"
    assert not passes("mbpp", mbpp_row(other), source)


@pytest.mark.parametrize("base", ["StopIteration", "StopAsyncIteration"])
def test_subclasses_of_what_ends_loops_pass_no_test(base: str):
    source = f"class Own({base}): pass\ndef f(n):\n    raise Own"
    assert not passes("mbpp", mbpp_row("assert all(map(lambda n: f(n) == 1, [1, 2]))"), source)
    assert not passes("mbpp", mbpp_row("assert list(map(lambda n: f(n), [1])) == []"), source)


IN_PLACE = {
    "a list": ("n.reverse()", "[1, 2]", "[2, 1]"),
    "a nested list": ("n[0][0] = 9", "[[1], [2]]", "[[9], [2]]"),
    "a dict": ("n['b'] = n.pop('a')", "{'a': 1}", "{'b': 1}"),
    "a set": ("n.discard(1)", "{1, 2}", "{2}"),
    "a bytearray": ("n.append(98)", "bytearray(b'a')", "bytearray(b'ab')"),
    "a deque": ("n.rotate(1)", "collections.deque([1, 2])", "collections.deque([2, 1])"),
    "a list in a tuple": ("n[0].append(3)", "([1],)", "([1, 3],)"),
    "a longer list": ("n.extend([0] * 50)", "[1]", "[1] + [0] * 50"),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_arguments_that_are_changed_in_place_are_changed_for_the_tests(name: str):
    act, before, after = IN_PLACE[name]
    source = f"def f(n):\n    {act}"
    row = mbpp_row(f"x = {before}\ny = x\nf(x)\nassert x == {after} and y is x", setup="import collections")
    assert passes("mbpp", row, source)
    assert not passes("mbpp", row, "def f(n):\n    pass")
    raising = mbpp_row(
        f"x = {before}\ntry: f(x)\nexcept ValueError: pass\nassert x == {after}", setup="import collections"
    )
    assert passes("mbpp", raising, source + "\n    raise ValueError")


RETURNS = [
    "print(6)\nreturn\nprint(7)",
    "if True:\n    print(6)\n    return\nprint(7)",
    "for i in range(3):\n    if i == 1: return (\n        1,\n    )\n    print(6)",
    "def f():\n    return 6\nprint(f())\nreturn f()",
    "text = 'é\\nreturn 5'; print(6); return 5\nprint(7)",
    "try:\n    print(6)\n    return\nexcept ValueError:\n    pass\nprint(7)",
]


@pytest.mark.parametrize("program", RETURNS)
def test_a_return_outside_of_functions_ends_a_program_of_the_contests(program: str):
    assert passes("apps", apps_row(inputs=[""], outputs=["6"]), program)
    assert passes("livecodebench", stdin_row("", "6"), program)
    assert not passes("livecodebench", stdin_row("", "6\n7"), program)


LARGE = {
    "a million lines": ("print('\\n'.join(map(str, range(10**6))))", "\n".join(map(str, range(10**6)))),
    "lines one by one": ("for i in range(300_000): print(i)", "\n".join(map(str, range(300_000)))),
    "one long line": ("print('ab' * 10**6)", "ab" * 10**6),
    "written at once": ("import sys\nsys.stdout.write('x\\n' * 10**6)", "x\n" * 10**6),
    "a long number": ("print(10**4000)", "1" + "0" * 4000),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_outputs_pass(name: str):
    program, wanted = LARGE[name]
    assert passes("livecodebench", stdin_row("", wanted), program)
    assert not passes("livecodebench", stdin_row("", wanted[:-3] + "zz"), program)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("list(range(10**6))", list(range(10**6))), ("[[0] * 1000 for _ in range(500)]", [[0] * 1000] * 500), ("[0.5] * 10**5", [0.5] * 10**5),
        ("'ab' * 10**6", "ab" * 10**6), ("[str(i) for i in range(10**5)]", [str(i) for i in range(10**5)]), ("[2**70] * 10**4", [2**70] * 10**4),
    ],
    ids=["numbers", "matrix", "floats", "text", "texts", "long numbers"],
)  # fmt: skip
def test_large_values_pass(value: str, wanted: Any):
    program = f"class Solution:\n    def f(self, n):\n        return {value}"
    assert passes("livecodebench", method_row("0", json.dumps(wanted)), program)
    assert not passes("livecodebench", method_row("1", json.dumps(wanted)), program.replace("return", "return 1 or"))


def test_outputs_and_values_are_bounded_by_params():
    small = get_domain("code", real=True, output_bytes=1000, value_bytes=1000)
    for row, program in (
        (stdin_row("", "x" * 4000), "print('x' * 4000)"),
        (method_row("0", json.dumps("x" * 4000)), "class Solution:\n    def f(self, n):\n        return 'x' * 4000"),
    ):
        (item,), _ = items_of("livecodebench", [row])
        (score,) = small.judge.score([(item.task, item.key, program)])
        assert getattr(score, "passed", score) is False
        assert passes("livecodebench", row, program)


OWN = [json.loads(line) for line in (Path(__file__).parent / "own/programs.jsonl").read_text().splitlines()]
"""Programs and rows of our own, each with the verdict of its benchmark's harness."""


@pytest.mark.integration
def test_programs_of_our_own_are_judged_as_their_harness_does():
    assert len(OWN) >= 127
    items = [items_of(row["benchmark"], [row["row"]])[0][0] for row in OWN]
    scores = DOMAIN.judge.score([(item.task, item.key, row["program"]) for item, row in zip(items, OWN, strict=True)])
    wrong = [
        row["name"]
        for row, score in zip(OWN, scores, strict=True)
        if getattr(score, "passed", score) is not row["right"]
    ]
    assert wrong == []
