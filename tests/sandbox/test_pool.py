"""Workers and zygotes that die are replaced, nothing hangs, and no process outlives a run or its pool."""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from parammem.errors import SandboxError
from parammem.sandbox import Call, CandidateJob, Limits, Pool, run
from parammem.sandbox.member import Died, Worker
from tests.sandbox.arena import descendants, left_over
from tests.sandbox.trusting import checked

ADD = CandidateJob(source="def add(a, b): return a + b", entry="add", calls=[Call(args=[1, 2])])
SLOW = CandidateJob(source="import time\ndef f(): time.sleep(1)\n", entry="f", calls=[Call()])


def value_of(pool: Pool) -> object:
    return pool.run([ADD])[0][0].value


def wait_until_gone(pids: list[int]) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not any(os.path.exists(f"/proc/{pid}") and "Z" not in state(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.parametrize("victim", ["worker", "zygote"])
def test_a_process_that_died_between_runs_is_replaced(victim: str):
    with Pool(1) as pool:
        assert value_of(pool) == 3
        worker = pool.members()[0]
        os.kill(worker if victim == "worker" else descendants(worker)[-1], signal.SIGKILL)
        time.sleep(0.1)
        assert value_of(pool) == 3
        assert pool.members() != [worker]


@pytest.mark.parametrize("victim", ["worker", "zygote"])
def test_a_process_that_died_in_a_run_is_replaced_and_the_run_tried_again(victim: str):
    with Pool(1) as pool, ThreadPoolExecutor(1) as threads:
        value_of(pool)
        worker = pool.members()[0]
        zygote = descendants(worker)[-1]
        running = threads.submit(pool.run, [SLOW])
        time.sleep(0.4)
        os.kill(worker if victim == "worker" else zygote, signal.SIGKILL)
        assert running.result(timeout=60)[0][0].kind == "value"
        assert pool.members() != [worker]


@pytest.mark.integration
def test_a_stopped_zygote_does_not_hang_the_run():
    limits = Limits(wall_seconds=0.1)
    with Pool(1) as pool, ThreadPoolExecutor(1) as threads:
        value_of(pool)
        os.kill(descendants(pool.members()[0])[-1], signal.SIGSTOP)
        running = threads.submit(pool.run, [ADD], limits)
        assert running.result(timeout=60)[0][0].value == 3


def test_closing_the_pool_ends_every_process():
    pool = Pool(2)
    pool.run([ADD] * 4)
    pids = [pid for worker in pool.members() for pid in [worker, *descendants(worker)]]
    assert len(pids) >= 4
    pool.close()
    assert wait_until_gone(pids)
    assert value_of(pool) == 3  # and it starts again when asked
    pool.close()


def test_killing_the_main_process_ends_every_process():
    script = (
        "import sys, time\nfrom parammem.sandbox import *\n"
        "run('def f(): return 1', 'f', [Call()])\n"
        "print('up', flush=True)\nrun('def f():\\n    while True: pass', 'f', [Call()], Limits(wall_seconds=60, cpu_seconds=60))"
    )
    main = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"}
    )
    assert main.stdout is not None
    assert main.stdout.readline() == b"up\n"
    time.sleep(0.3)
    pids = descendants(main.pid)
    assert len(pids) >= 3  # worker, zygote and the looping child
    main.kill()
    main.wait()
    assert wait_until_gone(pids)


def test_a_run_leaves_only_the_worker_and_its_zygote():
    with Pool(1) as pool:
        pool.run([ADD, SLOW, ADD])
        assert left_over(pool) == []


def forked_ahead(pool: Pool) -> int:
    """The child that waits for the next run, once it is there."""
    end = time.monotonic() + 10
    worker = pool.members()[0]
    while time.monotonic() < end:
        below = descendants(worker)
        if len(below) == 2 + bool(pool.layers()["namespaces"]):
            return below[-1]
        time.sleep(0.01)
    raise AssertionError(f"no child was forked ahead: {descendants(worker)}")


def test_a_child_is_forked_ahead_and_serves_the_next_run_alone():
    source = "import os\nn = 0\ndef f():\n    global n\n    n += 1\n    return os.getpid(), n"
    job = CandidateJob(source=source, entry="f", calls=[Call()])
    with Pool(1) as pool:
        values = [pool.run([job])[0][0].value for _ in range(4)]
        assert len({pid for pid, _ in values}) == 4
        assert [n for _, n in values] == [1, 1, 1, 1]
        forked_ahead(pool)


def test_a_child_forked_ahead_has_the_limits_of_its_run():
    source = "def f(): return len(bytearray(100 * 2**20))"
    job = CandidateJob(source=source, entry="f", calls=[Call()])
    with Pool(1) as pool:
        for memory, kind in ((64, "memory"), (64, "memory"), (64, "memory"), (256, "value"), (64, "memory")):
            assert pool.run([job], Limits(memory_mb=memory))[0][0].kind == kind


def test_waiting_ahead_costs_a_run_none_of_its_time():
    limits = Limits(wall_seconds=0.5)
    job = CandidateJob(source="import time\ndef f():\n    time.sleep(0.2)\n    return 1", entry="f", calls=[Call()])
    with Pool(1) as pool:
        assert [pool.run([job], limits)[0][0].kind for _ in range(2)] == ["value", "value"]
        time.sleep(0.8)
        assert pool.run([job], limits)[0][0].kind == "value"


def test_a_child_forked_ahead_that_died_harms_no_run():
    with Pool(1) as pool:
        assert [value_of(pool) for _ in range(3)] == [3, 3, 3]
        ahead = forked_ahead(pool)
        os.kill(ahead, signal.SIGKILL)
        assert wait_until_gone([ahead])
        assert value_of(pool) == 3


def test_workers_enough_for_all_processors_keep_to_one_each():
    processors = sorted(os.sched_getaffinity(0))
    with Pool(len(processors)) as pool:
        pool.run([ADD] * 4 * len(processors))
        assert sorted(tuple(os.sched_getaffinity(pid)) for pid in pool.members()) == [(one,) for one in processors]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors")
def test_fewer_workers_may_run_on_any_processor():
    with Pool(1) as pool:
        pool.run([ADD])
        assert [os.sched_getaffinity(pid) for pid in pool.members()] == [os.sched_getaffinity(0)]


def test_many_threads_may_share_a_pool():
    with Pool(2) as pool, ThreadPoolExecutor(6) as threads:
        assert list(threads.map(lambda _: value_of(pool), range(24))) == [3] * 24
        assert len(pool.members()) <= 2


def _in_fork(queue: multiprocessing.Queue[object]) -> None:
    queue.put(run(ADD.source, "add", [Call(args=[2, 2])])[0].value)


def test_a_forked_process_makes_a_pool_of_its_own_and_leaves_ours_alone():
    assert run(ADD.source, "add", [Call(args=[1, 2])])[0].value == 3
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[object] = context.Queue()
    process = context.Process(target=_in_fork, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == 4
    process.join(60)
    assert process.exitcode == 0
    assert run(ADD.source, "add", [Call(args=[1, 2])])[0].value == 3


class Interrupted(Exception):
    """Raised by a signal handler."""


def test_an_interrupted_run_leaves_no_answer_for_the_next():
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Pool(1) as pool:
            value_of(pool)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Interrupted):
                pool.run([SLOW])
            time.sleep(1)  # the answer would be there by now
            assert [value_of(pool) for _ in range(2)] == [3, 3]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_forked_process_has_workers_of_its_own_in_a_pool_it_inherited():
    with Pool(1) as pool:
        value_of(pool)
        ours = pool.members()
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                wrong = [n for n in range(20) if pool.run([of(n)])[0][0].value != n]
                os.write(said, repr((wrong, set(pool.members()) & set(ours))).encode())
                pool.close()
            finally:
                os._exit(0)
        assert [n for n in range(100, 120) if pool.run([of(n)])[0][0].value != n] == []
        os.waitpid(child, 0)
        os.close(said)
        with os.fdopen(heard) as answer:
            assert answer.read() == "([], set())"
        assert pool.members() == ours
        assert value_of(pool) == 3


def of(number: int) -> CandidateJob:
    return CandidateJob(source=f"def f(): return {number}", entry="f", calls=[Call()])


def deadly(monkeypatch: pytest.MonkeyPatch, mark: bytes) -> None:
    """A worker dies of every job with this mark."""
    ask = Worker.ask

    def die(self: Worker, jobs: list[bytes], seconds: float) -> object:
        if any(mark in job for job in jobs):
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return ask(self, jobs, seconds)

    monkeypatch.setattr(Worker, "ask", die)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_takes_its_worker_along_twice_harms_no_other(workers: int, monkeypatch: pytest.MonkeyPatch):
    deadly(monkeypatch, b"deadly")
    bad = CandidateJob(source="def f(): 'deadly'", entry="f", calls=[Call(), Call()])
    with Pool(workers) as pool:
        before, outcomes, after = pool.run([ADD, bad, ADD])
    assert (before[0].value, after[0].value) == (3, 3)
    assert [outcome.kind for outcome in outcomes] == ["crash", "crash"]
    assert "died twice" in outcomes[0].error


def test_runs_that_go_to_a_worker_together_are_each_answered(monkeypatch: pytest.MonkeyPatch):
    """Several at once, in order; when the worker dies of one, the others are run all the same."""
    sizes: list[int] = []
    ask = Worker.ask

    def count(self: Worker, jobs: list[bytes], seconds: float) -> list[object]:
        sizes.append(len(jobs))
        return ask(self, jobs, seconds)

    monkeypatch.setattr(Worker, "ask", count)
    with Pool(2) as pool:
        assert [outcomes[0].value for outcomes in pool.run([of(n) for n in range(50)])] == list(range(50))
    assert sum(sizes) == 50
    assert max(sizes) == 4
    deadly(monkeypatch, b"deadly")
    bad = CandidateJob(source="def f(): 'deadly'", entry="f", calls=[Call()])
    with Pool(2) as pool:
        outcomes = pool.run([bad if n % 17 == 3 else of(n) for n in range(50)])
    assert [outcome[0].kind for outcome in outcomes] == ["crash" if n % 17 == 3 else "value" for n in range(50)]
    assert [n for n in range(50) if n % 17 != 3 and outcomes[n][0].value != n] == []


def test_tests_that_end_their_worker_fail_alone():
    good = checked("def f(): return 1", "f", "assert f() == 1")
    bad = checked("def f(): return 1", "f", "import os\nos._exit(0)")
    with Pool(1) as pool:
        verdicts = pool.check([good, bad, good])
    assert [verdict.passed for verdict in verdicts] == [True, False, True]
    assert verdicts[1].outcome is not None
    assert verdicts[1].outcome.kind == "crash"


def test_workers_that_die_whatever_they_are_given_are_a_sandbox_error(monkeypatch: pytest.MonkeyPatch):
    def die(*_: object) -> None:
        raise Died

    monkeypatch.setattr(Worker, "ask", die)
    with Pool(1) as pool, pytest.raises(SandboxError, match="doctor"):
        value_of(pool)


@pytest.mark.integration
def test_a_busy_machine_fails_no_honest_program():
    """Eight busy processes on each core: the wall limit counts blocked time, not waiting for a CPU."""
    hogs = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(8 * (os.cpu_count() or 1))
    ]
    try:
        source = "import time\ndef f():\n    end = time.process_time() + 0.3\n    while time.process_time() < end: pass\n    return 1"
        outcome = run(source, "f", [Call()], Limits(wall_seconds=0.8, cpu_seconds=1))[0]
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert outcome.value == 1, outcome.error


def test_a_wrapper_goes_around_the_worker():
    with Pool(1, wrapper=["env", "WRAPPED=1"]) as pool:
        assert value_of(pool) == 3


def test_a_worker_that_cannot_start_is_a_sandbox_error():
    with Pool(1, wrapper=["/bin/false"]) as pool, pytest.raises(SandboxError, match="doctor"):
        value_of(pool)
    with Pool(1, wrapper=["/no/such/wrapper"]) as pool, pytest.raises(SandboxError, match="/no/such/wrapper"):
        value_of(pool)


def test_the_pool_leaves_no_threads():
    before = threading.active_count()
    with Pool(2) as pool:
        pool.run([ADD] * 4)
    assert threading.active_count() == before


def test_a_child_has_no_descriptor_but_its_own():
    """Printed memory (1), its channel, and nothing of the zygote, such as its control channel."""
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
