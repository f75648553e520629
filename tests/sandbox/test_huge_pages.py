"""The interpreter runs on from huge pages as it did before, and no page of its code can be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from parammem.sandbox.inner import huge_pages

SCRIPT = """
import sys, types
package = types.ModuleType("sandbox_inner"); package.__path__ = [sys.argv[1]]; sys.modules["sandbox_inner"] = package
from sandbox_inner import huge_pages
if sys.argv[2] == "never":
    huge_pages._allowed = lambda: False
moved = huge_pages.enlarge()
import decimal, re
assert str(decimal.Decimal(1) / 3).startswith("0.333") and re.sub("(a)", "b", "aa") == "bb" and sorted([2, 1]) == [1, 2]
assert huge_pages.enlarge() == 0 or not moved  # it is in no file any more
rights = [line.split()[1] for line in open("/proc/self/maps")]
assert not any("w" in right and "x" in right for right in rights)
print(moved)
"""


def enlarged(mode: str) -> int:
    folder = Path(huge_pages.__file__).parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, str(folder), mode], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux with /proc")
def test_the_interpreter_runs_on_from_huge_pages():
    moved = enlarged("ask")
    assert moved >= 0
    assert moved % (2 << 20) == 0


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux with /proc")
def test_where_the_kernel_gives_none_nothing_is_moved():
    assert enlarged("never") == 0
