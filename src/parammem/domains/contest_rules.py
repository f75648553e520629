"""How LiveCodeBench and APPS judge a program: what stands before it, and when an answer counts as right.

After `lcb_runner/evaluation/testing_util.py` of LiveCodeBench and `eval/testing_util.py` of APPS. Where this project
judges otherwise, docs/benchmarks.md says so and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

_LCB_STAR = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json "
    "builtins typing"
)
_LCB_PLAIN = _LCB_STAR.removesuffix(" builtins typing")
LIVECODEBENCH = (
    "".join(f"from {name} import *\n" for name in _LCB_STAR.split())
    + "".join(f"import {name}\n" for name in _LCB_PLAIN.split())
    + "sys.setrecursionlimit(50000)\n"
)
APPS = (
    "import sys\nimport time\nimport itertools\nfrom itertools import accumulate, product, permutations, combinations\n"
    "import collections\nfrom collections import Counter, OrderedDict, deque, defaultdict, ChainMap\n"
    "from functools import lru_cache\nimport math\n"
    "from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2\n"
    "import fractions\nfrom typing import List, Tuple\nimport random\nimport heapq\nfrom heapq import *\n"
)
APPS_NUMPY = "import numpy as np\n"
"""Part of APPS' names too; put before programs that speak of it."""


@dataclass(frozen=True)
class ContestRule:
    """A benchmark's way of judging."""

    preamble: str
    preload: tuple[str, ...]
    """Modules of the preamble that a child would spend most of its time on."""
    same_output: Callable[[str, str], bool]
    """Whether a program printed what it should."""
    same_value: Callable[[Any, Any], bool]
    """Whether a call returned what it should."""
    args: Callable[[list[Any]], list[Any]] = list
    """The arguments as the official harness hands them over."""


def _lcb_output(printed: str, wanted: str) -> bool:
    """Compare line by line, spaces at the ends aside; lines of numbers alone may write them differently."""
    left, right = ([line.strip() for line in text.strip().split("\n")] for text in (printed, wanted))
    return len(left) == len(right) and all(
        a == b or (_decimals(a) is not None and _decimals(a) == _decimals(b)) for a, b in zip(left, right, strict=True)
    )


def _decimals(line: str) -> list[Decimal] | None:
    try:
        return [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None


def _lcb_value(value: Any, wanted: Any) -> bool:
    return bool(_listed(value) == wanted)


def _listed(value: Any) -> Any:
    """Return an expected sequence as a list; only the outermost tuple is taken for one."""
    return list(value) if isinstance(value, tuple) else value


def _apps_output(printed: str, wanted: str) -> bool:
    """Return the text; or its lines; or lines that are single numbers, nearly; or the words of each line as sets, in
    any order of lines, the words compared as text or as numbers to three decimals."""
    lines = printed.splitlines()
    if wanted.strip() in ("\n".join(lines).strip(), "\n".join(line.strip() for line in lines).strip()):
        return True
    expected = [line.strip() for line in wanted.split("\n") if line]
    filled = [line for line in lines if line]
    if expected in (lines, filled) or _near(filled, expected):
        return True
    left, right = ({frozenset(line.split()) for line in some} for some in (filled, expected))
    left.discard(frozenset())
    if left == right:
        return True
    try:
        return _rounded(left) == _rounded(right)
    except (ValueError, OverflowError):
        return False


def _near(left: list[str], right: list[str]) -> bool:
    """Return numpy.allclose of lines that are numbers."""
    try:
        pairs = list(zip(map(float, left), map(float, right), strict=True))
    except ValueError:
        return False
    return all(a == b or (isfinite(a) and isfinite(b) and abs(a - b) <= 1e-8 + 1e-5 * abs(b)) for a, b in pairs)


def _rounded(lines: set[frozenset[str]]) -> set[frozenset[float]]:
    return {frozenset(round(float(word), 3) for word in line) for line in lines}


def _apps_value(value: Any, wanted: Any) -> bool:
    """Compare a value with what is wanted, or with the first item of that list, for many of APPS' values are in a list
    of their own."""
    if isinstance(wanted, dict):
        wanted = [_whole_keys(wanted)]
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        wanted = [_whole_keys(wanted[0])]
    value = _listed(value)
    if bool(value == wanted):
        return True
    if not (isinstance(wanted, list) and wanted):
        return False
    if bool(value == wanted[0]):
        return True
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return [list(item) for item in value] == wanted[0]
    return False


def _apps_args(args: list[Any]) -> list[Any]:
    """Return arguments whose first one has whole numbers as keys again: JSON has no such keys."""
    return [_whole_keys(args[0]), *args[1:]] if args and isinstance(args[0], dict) else list(args)


def _whole_keys(table: Mapping[str, Any]) -> dict[Any, Any]:
    try:
        return {int(key): value for key, value in table.items()}
    except ValueError:
        return dict(table)


RULES = {
    "livecodebench": ContestRule(LIVECODEBENCH, ("datetime", "json", "statistics"), _lcb_output, _lcb_value),
    "apps": ContestRule(APPS, ("fractions", "time"), _apps_output, _apps_value, _apps_args),
}
