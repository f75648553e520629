"""What children write to is copied at the fork, is theirs alone, and nothing rests on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parammem.sandbox import Call, CandidateJob, Limits, Pool
from parammem.sandbox.inner import eager

SCRIPT = """
import json, os, resource, sys, time, types
package = types.ModuleType("sandbox_inner"); package.__path__ = [sys.argv[1]]; sys.modules["sandbox_inner"] = package
from sandbox_inner import eager
if sys.argv[2] == "none":
    eager._SETUP = 100000  # no such system call
if sys.argv[2] == "locked":
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    if os.getuid() == 0:
        os.setresuid(65534, 65534, 65534)
memory = bytearray(400 * 4096)

def write():
    for place in range(0, len(memory), 4096):
        memory[place] += 1

def child():
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    pid = os.fork()
    if pid == 0:
        write()
        os._exit(memory[0] != 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert memory[0] == 0 and memory[-4096] == 0  # what it wrote is its own
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before

child()
plain = child()
rings = eager.copy(write)
copied = [child() for _ in range(3)]
for ring in rings:
    os.close(ring)
    time.sleep(0.5)  # the kernel lets go of the pages a little later
print(json.dumps([len(rings), plain, max(copied), child()]))
"""


def faults(mode: str) -> tuple[int, int, int, int]:
    """How many descriptors, and page faults of a child: before, while pages are copied at the fork, after."""
    folder = Path(eager.__file__).parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, str(folder), mode], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rings, plain, copied, after = json.loads(done.stdout)
    return rings, plain, copied, after


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="needs Linux with /proc")
def test_a_child_finds_the_pages_that_it_writes_to_already_copied():
    rings, plain, copied, after = faults("ask")
    if not rings:
        pytest.skip("io_uring is not allowed here")
    assert plain > 400
    assert copied < plain - 350
    assert after > 350  # the descriptor was closed


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="needs Linux with /proc")
@pytest.mark.parametrize("mode", ["none", "locked"])
def test_where_the_kernel_refuses_a_child_copies_for_itself(mode: str):
    rings, plain, copied, after = faults(mode)
    assert rings == 0
    assert min(plain, copied, after) > 350


def test_a_child_has_no_descriptor_but_its_own():
    """Printed memory (1), its channel, and nothing of the zygote: no control channel, no ring."""
    source = (
        "import os\ndef f():\n    found = []\n    for n in range(256):\n        try: os.fstat(n)\n"
        "        except OSError: continue\n        found.append(n)\n    return found\n"
    )
    job = CandidateJob(source=source, entry="f", calls=[Call()])
    with Pool(1) as pool:
        seen = [outcomes[0].value for outcomes in pool.run([job] * 4, Limits())]
    assert all(len(descriptors) == len(seen[0]) for descriptors in seen)
    assert set(seen[0]) >= {0, 1, 2}
    assert len(seen[0]) <= 5, seen  # 0, 1, 2, the channel, and the library of an interpreter below a closed folder


def test_what_one_child_writes_no_other_sees():
    spoil = "import builtins, typing\ntyping.List = None\nbuiltins.sum = lambda _: 99\ndef f(): return sum([])"
    look = "import typing\ndef f(): return typing.List is not None, sum([])"
    jobs = [CandidateJob(source=source, entry="f", calls=[Call()]) for source in (spoil, look) * 5]
    with Pool(1) as pool:
        values = [outcomes[0].value for outcomes in pool.run(jobs)]
    assert values == [99, (True, 0)] * 5
