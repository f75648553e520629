"""The pool of workers: each is a process of its own that forks a locked-down child per run. Safe to use from many
threads; a process that was forked from one with a pool makes its own."""

from __future__ import annotations

import atexit
import os
import queue
import signal
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from parammem.errors import SandboxError
from parammem.sandbox import asks
from parammem.sandbox.asks import EASY, Lost, WorkerRequest
from parammem.sandbox.jobs import CandidateJob, ExecutionOutcome, Level, Limits, ProgramCheck, Verdict
from parammem.sandbox.member import START_SECONDS, Died, Late, Worker

_BUNCH = 4
"""So many runs go to a worker at once at most. Who interrupts a call waits for those that were begun."""
_OVERRAN = {-signal.SIGXCPU, 128 + signal.SIGXCPU}
"""How a worker ends whose tests used up their CPU time; a wrapper may report it in the second way."""


class _Held:
    """A place in the pool that is taken, with its worker, if there is one."""

    def __init__(self, pool: Pool, found: Worker | None) -> None:
        self._pool, self.found = pool, found

    def worker(self) -> Worker:
        self.found = self.found or self._pool._start()
        return self.found

    def drop(self) -> None:
        found, self.found = self.found, None
        if found is not None:
            self._pool._drop(found)


class Pool:
    """Workers that live across calls. A context manager; started on first use, each when it is first needed.

    `wrapper` is an optional command put before each worker's own, e.g. a bubblewrap, gVisor or docker line; it
    must show the interpreter and this package at their own paths, and pass stdin and stdout through.
    `namespaces=False` leaves the second layer out. `preload`: modules that its zygotes import, of the standard library
    or numpy; a pool gives them to all it runs.
    """

    def __init__(
        self,
        workers: int = 1,
        level: Level = "strict",
        wrapper: Sequence[str] = (),
        namespaces: bool = True,
        preload: Sequence[str] = (),
    ) -> None:
        self.workers, self.wrapper, self.namespaces = workers, tuple(wrapper), namespaces
        self.preload = tuple(preload)
        self.level: Level = level
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        """Begin with no worker, and a place for each."""
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._idle.put(None)
        self._all: set[Worker] = set()
        self._choosing = threading.Lock()
        self._homes: list[int] = []
        """Processors that workers keep to."""

    def run(self, jobs: Sequence[CandidateJob], limits: Limits | None = None) -> list[list[ExecutionOutcome]]:
        """Return the outcomes of each job's calls, in order. A job that ended a worker twice is a `crash`.

        Raises:
            SandboxError: the level cannot be had here, or workers end whatever they are given.
        """
        limits = limits or Limits()
        outcomes = iter(self._spread([asks.of_job(job, limits) for job in jobs if job.calls]))
        return [next(outcomes) if job.calls else [] for job in jobs]

    def check(self, checks: Sequence[ProgramCheck], limits: Limits | None = None) -> list[Verdict]:
        """Return the verdict of each test program, in order. Raises as `run` does."""
        limits = limits or Limits()
        return self._spread([asks.of_check(check, limits) for check in checks])

    def layers(self) -> dict[str, Any]:
        """Return what a worker says it could set up: namespaces, hidden folders, Landlock version, user of its
        children."""
        with self._worker() as held:
            return dict(held.worker().layers)

    def members(self) -> list[int]:
        """Return process ids of the workers that are running."""
        return [worker.process.pid for worker in self._all]

    def _spread(self, wanted: Sequence[WorkerRequest]) -> list[Any]:
        """Return what each came to. Each worker's thread takes the next few when it is done with some; the first error
        ends all."""
        found: list[Any] = [None] * len(wanted)
        begun, choosing = 0, threading.Lock()

        def stop() -> None:
            nonlocal begun
            with choosing:
                begun = len(wanted)

        def take() -> None:
            nonlocal begun
            try:
                while begun < len(wanted):
                    with choosing:  # fewer at a time towards the end, so that all end together
                        start = begun
                        begun += min(_BUNCH, max(1, (len(wanted) - start) // (4 * self.workers)))
                        some = wanted[start:begun]
                    answers = self._some(some)
                    found[start : start + len(some)] = [
                        ask.read(answer) for ask, answer in zip(some, answers, strict=True)
                    ]
            except BaseException:
                stop()
                raise

        if self.workers == 1 or len(wanted) < 2:
            take()
            return found
        with ThreadPoolExecutor(self.workers) as threads:
            try:
                for done in [threads.submit(take) for _ in range(min(self.workers, len(wanted)))]:
                    done.result()
            finally:  # interrupted here: what runs is waited for, nothing more is begun
                stop()
        return found

    def _some(self, some: Sequence[WorkerRequest]) -> list[Any]:
        """Return their answers, in one exchange: this process wakes up once for all of them. If the worker ends early,
        each is tried by itself."""
        if len(some) > 1:
            with self._worker() as held:
                try:
                    return held.worker().ask([ask.message for ask in some], sum(ask.seconds for ask in some))
                except Died:
                    held.drop()
        return [self._one(ask) for ask in some]

    def _one(self, ask: WorkerRequest) -> Any:
        """Make one exchange with some idle worker; a worker that ends early is replaced and the run tried once more,
        but not if its tests took too long. Gives a Lost when it could not be carried out."""
        with self._worker() as held:
            for _ in range(2):
                worker = held.worker()
                try:
                    return worker.ask([ask.message], ask.seconds)[0]
                except Died as death:
                    held.drop()
                    if ask.tests and (isinstance(death, Late) or worker.process.returncode in _OVERRAN):
                        return Lost("timeout", "the tests took too long over what it returned")
            try:
                held.worker().ask([EASY.message], START_SECONDS)
            except Died:
                raise SandboxError(
                    "sandbox workers die whatever they are given; run `parammem sandbox doctor`, and see that the "
                    "machine has memory to spare"
                ) from None
            return Lost("crash", "the sandbox worker died twice on this program; others run")

    @contextmanager
    def _worker(self) -> Iterator[_Held]:
        """Yield an idle worker, or a place for one, for the time of an exchange."""
        held = _Held(self, self._idle.get())
        try:
            yield held
        finally:
            try:
                if held.found is not None and held.found.owes:  # its answer would be taken for the next one's
                    held.drop()
            finally:
                self._idle.put(held.found)

    def _start(self) -> Worker:
        home = self._home()
        try:
            worker = Worker(self.level, self.wrapper, self.namespaces, home, self.preload)
        except BaseException:
            self._leave_home(home)
            raise
        self._all.add(worker)
        return worker

    def _home(self) -> int | None:
        """Return a processor for one more worker, where there are workers enough to keep all busy: a worker, its zygote
        and its child take turns, and find their memory in the caches that they share. With fewer the kernel chooses."""
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
        """Leave the workers of the pool's own process alone, and begin without any; for a process forked from it."""
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


_shared: dict[tuple[int, int, Level, tuple[str, ...]], Pool] = {}
_lock = threading.Lock()


def shared_pool(workers: int, level: Level, preload: tuple[str, ...] = ()) -> Pool:
    """Return this process's pool of that size, level and preloaded modules, made on first use and closed at exit."""
    with _lock:
        key = (os.getpid(), workers, level, preload)
        pool = _shared.get(key) or Pool(workers, level, preload=preload)
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
