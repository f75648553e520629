"""What was allowed so that honest programs work opens nothing: file locks, large stacks, numpy, semaphores, preloading."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from parammem.errors import SandboxError
from parammem.sandbox import Call, CandidateJob, ExecutionOutcome, Limits, Pool, run
from parammem.sandbox.inner import bounds, semlock
from tests.sandbox.arena import Arena, left_over
from tests.sandbox.hostile import UNSEEN, Attack
from tests.sandbox.trusting import checked

LIBRARY = "next(p for p in sys.path if os.path.exists(p + '/os.py')) + '/os.py'"
"""A file that all candidates may read: over an open descriptor where the library lies below a closed folder."""
LOCK = {
    "lockf": "fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)",
    "flock": "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "F_SETLK": "fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0))",
    "F_SETLKW": "fcntl.fcntl(fd, fcntl.F_SETLKW, struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0))",
    "F_OFD_SETLK": "fcntl.fcntl(fd, 37, struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0))",
}


def one(source: str, limits: Limits | None = None, pool: Pool | None = None) -> ExecutionOutcome:
    job = CandidateJob(source=source, entry="f", calls=[Call()])
    return (pool.run([job], limits) if pool else [run(source, "f", [Call()], limits)])[0][0]


def locking(act: str) -> str:
    return f"import fcntl, os, struct, sys\ndef f():\n    fd = os.open({LIBRARY}, os.O_RDONLY)\n    {act}\n    import time\n    time.sleep(0.5)\n    return 'held'"


@pytest.mark.parametrize("name", LOCK)
def test_a_lock_on_a_library_file_is_seen_by_nobody(name: str):
    """The candidate believes that it holds it, for half a second; meanwhile it can be had here."""
    found: list[ExecutionOutcome] = []
    thread = threading.Thread(target=lambda: found.append(one(locking(LOCK[name]))))
    thread.start()
    taken = 0
    with open(os.__file__, "r+b" if os.access(os.__file__, os.W_OK) else "rb") as file:
        while thread.is_alive():
            kind = fcntl.LOCK_EX if file.writable() else fcntl.LOCK_SH
            fcntl.lockf(file, kind | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_UN)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
            taken += 1
    assert found[0].value == "held", found[0].error
    assert taken > 10


ASK = {
    "lockf": LOCK["lockf"],
    "flock": LOCK["flock"],
    "F_GETLK": "x = struct.unpack('hhqqi', fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)))",
    "F_OFD_GETLK": "x = struct.unpack('hhqqi', fcntl.fcntl(fd, 36, struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)))",
    "/proc/locks": "x = open('/proc/locks').read()",
}


@pytest.mark.parametrize("name", ASK)
def test_no_candidate_learns_of_a_lock_that_another_holds(name: str):
    source = (
        locking(ASK[name]).replace("return 'held'", "return repr(locals().get('x'))").replace("time.sleep(0.5)", "pass")
    )
    free = one(source)
    with open(os.__file__, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_SH)
        held = one(source)
    assert (free.kind, free.value, free.error) == (held.kind, held.value, held.error)


STACKS = {
    "a flood": "x = bytearray(700 * 2**20)\n    return len(x)",
    "by mmap": "import mmap\n    x = mmap.mmap(-1, 700 * 2**20)\n    for i in range(0, len(x), 4096): x[i] = 1\n    return len(x)",
    "in small parts": "x = []\n    for i in range(70000): x.append(bytes(10_000))\n    return len(x)",
    "far beyond": "return len(bytearray(6 * 2**30))",
    "in a deep thread": "import threading, sys\n    sys.setrecursionlimit(10**9)\n    threading.stack_size(2**29)\n"
    "    class A:\n        def __repr__(self): return repr(self)\n    t = threading.Thread(target=lambda: repr(A()))\n    t.start()\n    t.join()\n"
    "    return len(bytearray(500 * 2**20))",
}


@pytest.mark.parametrize("name", STACKS)
def test_room_for_stacks_is_no_room_for_memory(name: str):
    source = f"# threading.stack_size\ndef f():\n    {STACKS[name]}\n"
    outcome = one(source, Limits(memory_mb=256, cpu_seconds=10, wall_seconds=20))
    assert outcome.kind in ("memory", "crash"), (outcome.kind, outcome.error)
    assert outcome.value is None


def test_room_for_stacks_is_given_to_those_that_ask_and_by_params():
    source = "import threading\ndef f():\n    threading.stack_size(2**29)\n    t = threading.Thread(target=int)\n    t.start()\n    t.join()\n    return 1"
    assert one(source, Limits(memory_mb=64)).value == 1
    assert one(source, Limits(memory_mb=64, stack_mb=0)).kind == "threads"
    assert one(source, Limits(memory_mb=64, stack_mb=600)).value == 1
    hidden = source.replace("threading.stack_size(2**29)", "getattr(threading, 'stack' + '_size')(2**29)")
    assert one(hidden, Limits(memory_mb=64)).kind == "threads"


NUMPY_ATTACKS = (
    Attack("reads with fromfile", "import numpy\nreturn numpy.fromfile(ctx['path'] + '/secret', dtype='S1').tobytes().decode()", UNSEEN, "value"),
    Attack("reads with loadtxt", "import numpy\nreturn str(numpy.loadtxt(ctx['path'] + '/secret', dtype=str))", UNSEEN, "value"),
    Attack("reads with memmap", "import numpy\nreturn bytes(numpy.memmap(ctx['path'] + '/secret', mode='r')).decode()", UNSEEN, "value"),
    Attack("writes with tofile", "import numpy\nnumpy.zeros(4).tofile(ctx['path'] + '/won')"),
    Attack("writes with save", "import numpy\nnumpy.save(ctx['path'] + '/won', numpy.zeros(4))"),
    Attack("writes with memmap", "import numpy\nnumpy.memmap(ctx['path'] + '/victim', mode='r+')[:2] = 0", UNSEEN),
    Attack("writes with savetxt", "import numpy\nnumpy.savetxt(ctx['path'] + '/won', [1])"),
    Attack("calls libc by ctypeslib", "import numpy, ctypes\nif ctypes.CDLL(None).socket(2, 1, 0) < 0: raise PermissionError"),
    Attack("memory by numpy", "import numpy\nreturn int(numpy.ones(700 * 2**17).sum())", ("memory",), "value"),
    Attack("computes for ever", "import numpy\nx = numpy.ones((3000, 3000))\nwhile True: x = x @ x", ("cpu", "memory"), "cpu"),
    Attack("unpickles", "import numpy, io, pickle\nclass E:\n    def __reduce__(self): return os.system, ('echo won > ' + ctx['path'] + '/won',)\n"
           "numpy.load(io.BytesIO(pickle.dumps(E())), allow_pickle=True)\nraise PermissionError"),
    Attack("leaves its folder", "import numpy\nreturn 'SECRET' + open(numpy.__path__[0] + '/../pip/__init__.py').read()", UNSEEN),
    Attack("lists its neighbours", "import numpy\nreturn 'SECRET' + ''.join(os.listdir(numpy.__path__[0] + '/..'))", UNSEEN),
    Attack("writes into its folder", "import numpy\nopen(numpy.__path__[0] + '/won.py', 'w')"),
    Attack("imports a neighbour", "import numpy, pydantic\nreturn 'SECRET'", ("exception",)),
    Attack("forks", "import numpy\nif os.fork() == 0: os._exit(0)"),
    Attack("threads of a library", "import numpy, threading\nthreading.stack_size(65536)\nfor _ in range(300): threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
           ("threads", "memory")),
)  # fmt: skip


@pytest.fixture(
    scope="module", params=[True, pytest.param(False, marks=pytest.mark.integration)], ids=["namespaces", "alone"]
)
def numerical(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(1, namespaces=request.param, preload=["numpy"]) as pool:
        yield pool


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena() as arena:
        yield arena


@pytest.mark.parametrize("attack", NUMPY_ATTACKS, ids=lambda attack: attack.name)
def test_numpy_opens_nothing(attack: Attack, numerical: Pool, arena: Arena):
    arena.lay_out()
    job = CandidateJob(source=attack.source, entry="attack", calls=[Call(args=[arena.context()])])
    outcome = numerical.run([job], Limits(wall_seconds=5, cpu_seconds=1, memory_mb=256, threads=16))[0][0]
    assert outcome.kind in attack.kinds, (outcome.kind, outcome.error)
    assert arena.effects(outcome) == []
    assert left_over(numerical) == []


def test_children_with_numpy_start_alike_and_without_threads(numerical: Pool):
    source = "import os, numpy\ndef f(): return len(os.listdir('/proc/self/task')) if 0 else 1, numpy.random.rand(), float(numpy.eye(200).dot(numpy.ones(200)).sum())"
    first, second = one(source, pool=numerical), one(source, pool=numerical)
    assert first.value == second.value, first.error
    assert first.value[2] == 200.0


def test_numpy_is_not_there_unless_it_is_asked_for():
    assert "ModuleNotFoundError" in one("import numpy\ndef f(): return 1").error


def test_a_returned_array_is_built_anew(numerical: Pool):
    lie = "import numpy\nclass A(numpy.ndarray):\n    def __eq__(self, other): return numpy.array(True)\n    def all(self): return True\ndef f(): return numpy.zeros(2).view(A)"
    assert numerical.check([checked(lie, "f", "assert (f() == [0, 0]).all()")])[0].passed
    assert not numerical.check([checked(lie, "f", "assert (f() == [0, 1]).all()")])[0].passed
    objects = "import numpy\ndef f(): return numpy.array([object(), open])"
    assert one(objects, pool=numerical).kind in ("undecodable", "exception")


@pytest.mark.parametrize("names", [["torch"], ["os;x"], ["../x"], ["numpy", "pydantic"]])
def test_only_the_standard_library_and_numpy_are_preloaded(names: list[str]):
    with Pool(1, preload=names) as pool, pytest.raises(SandboxError, match="preloaded"):
        one("def f(): return 1", pool=pool)


def test_preloaded_modules_are_there():
    with Pool(1, preload=["statistics"]) as pool:
        assert one("import sys\nhad = 'statistics' in sys.modules\ndef f(): return had", pool=pool).value is True
    assert one("import sys\nhad = 'statistics' in sys.modules\ndef f(): return had").value is False


def semaphore(kind: int = 1, value: int = 1, most: int = 1) -> Any:
    return semlock.SemLock(kind, value, most, "name", True)


def test_semaphores_between_threads_keep_their_promises():
    lock = semaphore()
    assert lock.acquire()
    assert not lock.acquire(False)
    assert not lock.acquire(True, 0.01)
    threading.Timer(0.05, lock.release).start()
    assert lock.acquire(True, 5)
    lock.release()
    with pytest.raises(ValueError, match="too many times"):
        lock.release()
    again = semaphore(kind=0)
    with again, again:
        assert (again._count(), again._is_mine()) == (2, True)
    with pytest.raises(AssertionError):
        again.release()
    some = semaphore(value=2, most=5)
    assert [some.acquire(False) for _ in range(3)] == [True, True, False]
    assert some._is_zero()


MEMORY = [
    ("def f(): return 3 * 10**9", "x = 'a' * f()"),
    ("def f(): return range(10**9)", "list(f())"),
    ("def f(): return 10**6", "x = []\nwhile True: x.append(bytearray(f()))"),
    ("def f(): return 10**8", "assert f() == 2, 'a' * (3 * f())"),
    ("def f(): return '9' * 50_000", "x = [f() * 1000 for _ in range(1000)]"),
    ("def f(): return 10**9", "def check(c):\n    return [0] * c()"),
]


@pytest.mark.parametrize(("source", "tests"), MEMORY)
def test_tests_have_a_memory_limit_and_fail_alone(source: str, tests: str):
    limits = Limits(memory_mb=64, cpu_seconds=5, wall_seconds=20)
    easy = checked("def f(): return 1", "f", "assert f() == 1")
    with Pool(1) as pool:
        assert pool.check([easy], limits)[0].passed
        worker = pool.members()
        first, second = pool.check([checked(source, "f", tests), easy], limits)
        assert not first.passed
        assert "Memory" in first.detail
        assert second.passed
        assert pool.members() == worker
        with open(f"/proc/{worker[0]}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        assert peak < 300 * 1024


def test_the_bound_on_memory_is_taken_back():
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), bounds.memory(16):
        bytearray(2**28)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert len(bytearray(2**28)) == 2**28
