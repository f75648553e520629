"""The connection of a worker to its zygote: it orders runs there, and reads how they ended."""

from __future__ import annotations

import _socket
import os
import select
import struct
import time

from . import forks


class ZygoteLink:
    """The connection of a worker to its zygote, and the child that waits at its other end for a run like the last."""

    def __init__(self, control: _socket.socket, jobs: int) -> None:
        """`jobs`: the descriptor that hangs up when the main process goes away."""
        self.control, self.jobs = control, jobs
        self.order = b""
        self.waiting: list[int] = []
        self.ahead = False
        """Whether the child of the present run was forked before the run was known."""
        self.poller = select.poll()
        self.poller.register(control, select.POLLIN)
        self.poller.register(jobs, 0)

    def child(self, order: bytes, deadline: float) -> list[int]:
        """Start a run; gives the descriptors of its child: the channel, what it prints, and for a program what it
        reads. A child that was forked ahead for a run like this one is taken."""
        waiting, self.waiting = self.waiting, []
        self.control.send(order)
        self.ahead = bool(waiting) and order == self.order
        if self.ahead:
            return waiting
        for descriptor in waiting:
            os.close(descriptor)
        self.order = order
        _, given = self._receive(deadline)
        if not given:
            os._exit(3)
        return given

    def _receive(self, deadline: float) -> tuple[bytes, list[int]]:
        """A word of the zygote, and descriptors. No zygote, no worker: the pool replaces both."""
        if not self.says(max(1000, int((deadline - time.monotonic()) * 1000))):
            os._exit(3)
        word, ancillary, _, _ = self.control.recvmsg(64, forks.RIGHTS_SPACE)
        data = ancillary[0][2] if ancillary else b""
        return word, list(struct.unpack(f"{len(data) // 4}i", data))

    def says(self, milliseconds: int) -> bool:
        """Whether the zygote says something in this time. Ends this worker if the main process is gone."""
        ready = self.poller.poll(milliseconds)
        if ready and all(fd == self.jobs for fd, _ in ready):
            os._exit(3)
        return bool(ready)

    def ended(self, deadline: float) -> tuple[str, int, float]:
        """How the child ended: reason, wait status, CPU seconds."""
        report, self.waiting = self._receive(deadline)
        if len(report) != forks.REPORT.size:
            os._exit(3)
        reason, status, cpu = forks.REPORT.unpack(report)
        return forks.REASONS[reason], status, cpu
