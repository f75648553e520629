"""One member of a pool: a worker process, as seen from the process that asks it."""

from __future__ import annotations

import importlib.util
import marshal
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parammem.errors import SandboxError
from parammem.sandbox.inner import wire
from parammem.sandbox.jobs import Level

_MAIN = Path(__file__).parent / "inner" / "__main__.py"
START_SECONDS = 60.0


class Died(Exception):
    """The worker or its zygote went away in the middle of a run."""


class Late(Died):
    """The worker did not answer in time."""


class Worker:
    """One worker process and its pipe ends."""

    def __init__(
        self,
        level: Level,
        wrapper: Sequence[str],
        namespaces: bool,
        cpu: int | None,
        preload: Sequence[str] = (),
    ) -> None:
        """`cpu`: the processor that it and its children keep to; None to let the kernel choose. `preload`: modules that
        its zygote imports."""
        self.cpu = cpu
        self.owes = False
        """Whether an answer is pending: whoever reads next would take it for their own."""
        further = [
            *(["namespaces"] if namespaces else []),
            *([] if cpu is None else [f"cpu={cpu}"]),
            *_preloaded(preload),
        ]
        command = [*wrapper, sys.executable, "-I", "-S", str(_MAIN), level, *further]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # a buffer would be flushed by a process forked from this one
                env={"PATH": os.defpath},  # for the wrapper; the worker drops it
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"the sandbox worker did not start: {error}; see that {command[0]!r} is there") from None
        assert self.process.stdin is not None
        os.set_blocking(self.process.stdin.fileno(), False)
        try:
            hello = marshal.loads(self._receive(time.monotonic() + START_SECONDS))
        except Died:
            self.close()
            raise SandboxError(
                f"the sandbox worker did not start ({' '.join([*wrapper, sys.executable])}); "
                "run `parammem sandbox doctor`"
            ) from None
        except BaseException:
            self.close()
            raise
        self.layers: dict[str, Any] = hello
        if not hello["ready"]:
            self.close()
            raise SandboxError(
                f"untrusted code cannot be run safely here at level {level!r}: {hello['why']}; "
                "`parammem sandbox doctor` shows what is missing"
            )

    def ask(self, jobs: Sequence[bytes], seconds: float) -> list[Any]:
        """Send jobs and return what each came to. Raises Died."""
        deadline = time.monotonic() + seconds
        self.owes = True
        self._send(wire.frame(wire.pack(list(jobs))), deadline)
        answers = [self._receive(deadline) for _ in jobs]
        self.owes = False
        return [marshal.loads(answer) for answer in answers]  # a worker is trusted; what children say is bytes in it

    def _send(self, data: bytes, deadline: float) -> None:
        assert self.process.stdin is not None
        try:
            handle = self.process.stdin.fileno()
            poller = select.poll()
            poller.register(handle, select.POLLOUT)
            rest = memoryview(data)
            while rest:
                if not poller.poll(_milliseconds(deadline)):
                    raise Late
                rest = rest[os.write(handle, rest[: 1 << 20]) :]
        except (OSError, ValueError):
            raise Died from None

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
            if not poller.poll(_milliseconds(deadline)):
                raise Late
            part = os.read(handle, min(size - len(data), 1 << 20))
            if not part:
                raise Died
            data += part
        return bytes(data)

    def close(self) -> None:
        """End the worker; its zygote and child end with it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (OSError, PermissionError):
            self.process.kill()
        self.process.wait()
        self.leave()

    def leave(self) -> None:
        """Close this process's ends of the pipes, no more: in a forked process the worker is the other one's."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


def _preloaded(names: Sequence[str]) -> list[str]:
    """Return the worker's options for these modules. numpy is left out where it is not installed: then a candidate that
    imports it fails as it does under that interpreter. Raises SandboxError for modules that are neither."""
    wrong = [name for name in names if name != "numpy" and name not in sys.stdlib_module_names]
    if wrong:
        raise SandboxError(f"no module {wrong[0]!r} can be preloaded; give modules of the standard library, or numpy")
    spec = importlib.util.find_spec("numpy") if "numpy" in names else None
    known = [name for name in names if name != "numpy" or spec is not None]
    site = [f"numpy={Path(spec.origin).parent.parent}"] if spec is not None and spec.origin else []
    return [f"preload={','.join(known)}", *site] if known else []


def _milliseconds(deadline: float) -> int:
    """Return the time from now to a time on time.monotonic(), as poll(2) takes it."""
    return min(2**30, max(0, int((deadline - time.monotonic()) * 1000)))
