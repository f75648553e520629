"""The pool of workers: each is a process of its own that forks a locked-down child per run. Safe to use from many
threads; a process that was forked from one with a pool makes its own."""

from __future__ import annotations

import atexit
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from parammem.errors import SandboxError
from parammem.sandbox.inner import wire
from parammem.sandbox.records import Check, Job, Level, Limits, Outcome, Verdict

_MAIN = Path(__file__).parent / "inner" / "__main__.py"
_START_SECONDS = 60.0
_PATIENCE = 10


class _Died(Exception):
    """The worker or its zygote went away in the middle of a run."""


class _Worker:
    """One worker process and its pipe ends."""

    def __init__(self, level: Level, wrapper: Sequence[str], namespaces: bool, cpu: int | None) -> None:
        """`cpu`: the processor that it and its children keep to; None to let the kernel choose."""
        self.cpu = cpu
        further = [*(["namespaces"] if namespaces else []), *([] if cpu is None else [f"cpu={cpu}"])]
        command = [*wrapper, sys.executable, "-I", "-S", str(_MAIN), level, *further]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.defpath},  # for the wrapper; the worker drops it
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"the sandbox worker did not start: {error}; see that {command[0]!r} is there") from None
        try:
            hello = wire.decode(self._receive(time.monotonic() + _START_SECONDS))
        except _Died:
            self.close()
            raise SandboxError(
                f"the sandbox worker did not start ({' '.join([*wrapper, sys.executable])}); "
                "run `parammem sandbox doctor`"
            ) from None
        self.layers: dict[str, Any] = hello
        if not hello["ready"]:
            self.close()
            raise SandboxError(
                f"untrusted code cannot be run safely here at level {level!r}: {hello['why']}; "
                "`parammem sandbox doctor` shows what is missing"
            )

    def ask(self, job: bytes, seconds: float) -> Any:
        """Send one job and return the rows of its outcomes. Raises _Died."""
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(wire.frame(job))
            self.process.stdin.flush()
        except (OSError, ValueError):
            raise _Died from None
        return wire.decode(self._receive(time.monotonic() + seconds), time.monotonic() + 60)

    def _receive(self, deadline: float) -> bytes:
        size = wire.frame_size(self._exactly(4, deadline))
        return self._exactly(size, deadline)

    def _exactly(self, size: int, deadline: float) -> bytes:
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        data = bytearray()
        while len(data) < size:
            if not poller.poll(max(0, int((deadline - time.monotonic()) * 1000))):
                raise _Died
            part = os.read(handle, min(size - len(data), 1 << 20))
            if not part:
                raise _Died
            data += part
        return bytes(data)

    def close(self) -> None:
        """End the worker; its zygote and child die with it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (OSError, PermissionError):
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


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
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._pid = os.getpid()
        self._all: set[_Worker] = set()
        self._choosing = threading.Lock()
        self._homes: list[int] = []
        """Processors that workers keep to."""

    def run(self, jobs: Sequence[Job], limits: Limits | None = None) -> list[list[Outcome]]:
        """The outcomes of each job's calls, in order.

        Raises:
            SandboxError: the level cannot be had here, or a worker died twice on one job.
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
            for done in [threads.submit(take) for _ in range(min(self.workers, len(items)))]:
                done.result()
        return results

    def _run(self, job: Job, limits: Limits) -> list[Outcome]:
        if not job.calls:
            return []
        message = _message(job, limits)
        inputs = len(job.calls) if any(call.stdin is not None for call in job.calls) else 1
        rows = self._ask(message, (limits.wall_seconds * _PATIENCE + 30) * inputs)
        return [_outcome(row, limits) for row in rows]

    def _check(self, check: Check, limits: Limits) -> Verdict:
        message = wire.pack({"mode": "check", **vars(check), "limits": vars(limits)})
        answer = self._ask(message, limits.wall_seconds * _PATIENCE + 30)
        outcome = None if answer["row"] is None else _outcome([*answer["row"], answer["cpu"]], limits)
        detail = answer["detail"] or ("" if answer["passed"] or outcome is None else outcome.error)
        return Verdict(passed=answer["passed"], detail=detail, outcome=outcome, cpu_seconds=answer["cpu"])

    def _ask(self, message: bytes, seconds: float) -> Any:
        """One exchange with some idle worker; a worker that dies is replaced and the run tried once more."""
        worker = self._idle.get()
        try:
            for _ in range(2):
                worker = worker or self._start()
                try:
                    return worker.ask(message, seconds)
                except _Died:
                    self._drop(worker)
                    worker = None
            raise SandboxError(
                "the sandbox worker died twice on one program; run `parammem sandbox doctor`, and see that the "
                "machine has memory to spare"
            )
        finally:
            self._idle.put(worker)

    def _start(self) -> _Worker:
        worker = _Worker(self.level, self.wrapper, self.namespaces, self._home())
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

    def _drop(self, worker: _Worker) -> None:
        self._all.discard(worker)
        if worker.cpu in self._homes:
            self._homes.remove(worker.cpu)
        worker.close()

    def close(self) -> None:
        """End all workers. Does nothing in a process forked from the pool's own."""
        if os.getpid() != self._pid:
            return
        for worker in list(self._all):
            self._drop(worker)  # its place in the queue is found dead, and filled, if the pool is used again

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
    _shared.clear()


os.register_at_fork(after_in_child=_after_fork)
