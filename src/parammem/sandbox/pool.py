"""The pool of workers: each is a process of its own that forks a locked-down child per run. Safe to use from many
threads; a process that was forked from one with a pool makes its own."""

from __future__ import annotations

import atexit
import os
import queue
import signal
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from parammem.errors import SandboxError
from parammem.sandbox.inner import wire
from parammem.sandbox.member import START_SECONDS, Died, Late, Worker
from parammem.sandbox.records import Call, Check, Job, Kind, Level, Limits, Outcome, Verdict

_PATIENCE = 10
_GRACE = 30.0
"""Seconds on top of all that the limits of a run can come to, before its worker is taken to hang."""
_OVERRAN = {-signal.SIGXCPU, 128 + signal.SIGXCPU}
"""How a worker ends whose tests used up their CPU time; a wrapper may report it in the second way."""


class _Lost(Exception):
    """One run could not be carried out, though others can. Its text says why."""

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.outcome = Outcome(kind=kind, error=why)


class Pool:
    """Workers that live across calls. A context manager; started on first use, each when it is first needed.

    `wrapper` is an optional command put before each worker's own, e.g. a bubblewrap, gVisor or docker line; it
    must show the interpreter and this package at their own paths, and pass stdin and stdout through.
    `namespaces=False` leaves the second layer out.
    """

    def __init__(
        self, workers: int = 1, level: Level = "strict", wrapper: Sequence[str] = (), namespaces: bool = True
    ) -> None:
        self.workers, self.wrapper, self.namespaces = workers, tuple(wrapper), namespaces
        self.level: Level = level
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        """No worker yet, and a place for each."""
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._idle.put(None)
        self._all: set[Worker] = set()
        self._choosing = threading.Lock()
        self._homes: list[int] = []
        """Processors that workers keep to."""

    def run(self, jobs: Sequence[Job], limits: Limits | None = None) -> list[list[Outcome]]:
        """The outcomes of each job's calls, in order. A job on which a worker died twice is a `crash`.

        Raises:
            SandboxError: the level cannot be had here, or workers die whatever they are given.
        """
        limits = limits or Limits()
        return self._spread(lambda job: self._run(job, limits), jobs)

    def check(self, checks: Sequence[Check], limits: Limits | None = None) -> list[Verdict]:
        """The verdict of each test program, in order. Raises as `run` does."""
        limits = limits or Limits()
        return self._spread(lambda check: self._check(check, limits), checks)

    def layers(self) -> dict[str, Any]:
        """What a worker says it could set up: namespaces, hidden folders, Landlock version, user of its children."""
        worker = self._idle.get()
        try:
            worker = worker or self._start()
            return dict(worker.layers)
        finally:
            self._idle.put(worker)

    def members(self) -> list[int]:
        """Process ids of the workers that are running."""
        return [worker.process.pid for worker in self._all]

    def _spread(self, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Each worker's thread takes the next item when it is done with one; the first error ends all."""
        if len(items) == 1 or self.workers == 1:
            return [work(item) for item in items]
        results: list[Any] = [None] * len(items)
        places = iter(range(len(items)))  # next() on it is atomic

        def take() -> None:
            try:
                for place in places:
                    results[place] = work(items[place])
            except BaseException:
                for _ in places:
                    continue
                raise

        with ThreadPoolExecutor(self.workers) as threads:
            try:
                for done in [threads.submit(take) for _ in range(min(self.workers, len(items)))]:
                    done.result()
            finally:  # interrupted here: what runs is waited for, nothing more is begun
                for _ in places:
                    continue
        return results

    def _run(self, job: Job, limits: Limits) -> list[Outcome]:
        if not job.calls:
            return []
        message = _message(job, limits)
        inputs = len(job.calls) if any(call.stdin is not None for call in job.calls) else 1
        try:
            rows = self._ask(message, (limits.wall_seconds * _PATIENCE + _GRACE) * inputs)
        except _Lost as lost:
            return [lost.outcome for _ in job.calls]
        return [_outcome(row, limits) for row in rows]

    def _check(self, check: Check, limits: Limits) -> Verdict:
        message = wire.pack({"mode": "check", **vars(check), "limits": vars(limits)})
        try:
            answer = self._ask(message, limits.wall_seconds * _PATIENCE + _GRACE, tests=True)
        except _Lost as lost:
            return Verdict(passed=False, detail=str(lost), outcome=lost.outcome)
        outcome = None if answer["row"] is None else _outcome([*answer["row"], answer["cpu"]], limits)
        detail = answer["detail"] or ("" if answer["passed"] or outcome is None else outcome.error)
        return Verdict(passed=answer["passed"], detail=detail, outcome=outcome, cpu_seconds=answer["cpu"])

    def _ask(self, message: bytes, seconds: float, tests: bool = False) -> Any:
        """One exchange with some idle worker; a worker that dies is replaced and the run tried once more, but not if
        it died of tests that took too long. Raises _Lost."""
        worker = self._idle.get()
        try:
            for _ in range(2):
                worker = worker or self._start()
                try:
                    return worker.ask(message, seconds)
                except Died as death:
                    self._drop(worker)
                    overran = isinstance(death, Late) or worker.process.returncode in _OVERRAN
                    worker = None
                    if tests and overran:
                        raise _Lost("timeout", "the tests took too long over what it returned") from None
            worker = self._start()
            try:
                worker.ask(_EASY, START_SECONDS)
            except Died:
                raise SandboxError(
                    "sandbox workers die whatever they are given; run `parammem sandbox doctor`, and see that the "
                    "machine has memory to spare"
                ) from None
            raise _Lost("crash", "the sandbox worker died twice on this program; others run")
        finally:
            spoilt = worker is not None and worker.owes  # interrupted: the answer would be taken for the next one's
            try:
                if worker is not None and spoilt:
                    self._drop(worker)
            finally:
                self._idle.put(None if spoilt else worker)

    def _start(self) -> Worker:
        home = self._home()
        try:
            worker = Worker(self.level, self.wrapper, self.namespaces, home)
        except BaseException:
            self._leave_home(home)
            raise
        self._all.add(worker)
        return worker

    def _home(self) -> int | None:
        """A processor for one more worker, where there are workers enough to keep all busy: a worker, its zygote and
        its child take turns, and find their memory in the caches that they share. With fewer the kernel chooses."""
        processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if not processors or self.workers < len(processors):
            return None
        with self._choosing:
            home = min(processors, key=self._homes.count)
            self._homes.append(home)
        return home

    def _drop(self, worker: Worker) -> None:
        if worker in self._all:
            self._all.discard(worker)
            self._leave_home(worker.cpu)
        worker.close()

    def _leave_home(self, cpu: int | None) -> None:
        with self._choosing:
            if cpu in self._homes:
                self._homes.remove(cpu)

    def after_fork(self) -> None:
        """In a process forked from the pool's own: leave its workers alone, and begin without any."""
        for worker in self._all:
            worker.leave()
        self._begin()

    def close(self) -> None:
        """End all workers of this process."""
        for worker in list(self._all):
            self._drop(worker)  # its place in the queue is found dead, and filled, if the pool is used again

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _message(job: Job, limits: Limits) -> bytes:
    stdin = any(call.stdin is not None for call in job.calls)
    if not stdin and not job.entry:
        raise SandboxError("a job with function calls needs `entry`; give the function's name, or stdin to each call")
    try:
        calls = [wire.pack((job.entry, tuple(call.args), call.kwargs)) for call in job.calls]
    except wire.WireError as error:
        raise SandboxError(f"an argument cannot be sent to the program: {error}; use plain builtin values") from None
    return wire.pack(
        {
            "mode": "program" if stdin else "calls",
            "source": job.source,
            "entry": job.entry or "",
            "calls": calls,
            "inputs": [call.stdin or "" for call in job.calls],
            "limits": vars(limits),
        }
    )


def _outcome(row: list[Any], limits: Limits) -> Outcome:
    kind, body, printed, error, cpu = row
    stdout = printed.decode("utf-8", "replace")
    if kind == "refused":
        raise SandboxError(f"a child could not be locked down: {error}; run `parammem sandbox doctor`")
    value = None
    if kind == "value":
        try:
            value = wire.decode(body)
        except wire.WireError as why:
            kind, error = "undecodable", f"it returned {why}"
    return Outcome(kind=kind, value=value, stdout=stdout, error=error or _words(kind, limits), cpu_seconds=cpu)


def _words(kind: str, limits: Limits) -> str:
    """A limit's outcome in words a model can use."""
    return {
        "timeout": f"it did not finish within {limits.wall_seconds:g} seconds",
        "cpu": f"it used more than {limits.cpu_seconds:g} seconds of CPU time; it may loop for ever or be too slow",
        "memory": f"it used more than {limits.memory_mb} MB of memory",
        "output": f"it printed more than {limits.output_bytes} bytes",
        "files": f"it wrote more than {limits.file_bytes} bytes to files",
        "threads": f"it started more than {limits.threads} threads",
    }.get(kind, "")


_EASY = _message(Job(source="def f(): pass", entry="f", calls=[Call()]), Limits())
"""A run that no sound worker dies of."""

_shared: dict[tuple[int, int, Level], Pool] = {}
_lock = threading.Lock()


def shared_pool(workers: int, level: Level) -> Pool:
    """This process's pool of that size and level, made on first use and closed at exit."""
    with _lock:
        key: tuple[int, int, Level] = (os.getpid(), workers, level)
        pool = _shared.get(key) or Pool(workers, level)
        _shared[key] = pool
        return pool


@atexit.register
def close_shared() -> None:
    """End the shared pools of this process."""
    for pool in list(_shared.values()):
        pool.close()
    _shared.clear()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for pool in list(_pools):
        pool.after_fork()
    _shared.clear()


os.register_at_fork(after_in_child=_after_fork)
