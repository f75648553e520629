"""The trusted side of one pool member: takes jobs on stdin, has its zygote fork a child for each, holds the
conversation with that child, and sends the outcomes back on stdout. Expectations never come here."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from . import wire, zygote


def main(level: str) -> None:
    """Serve jobs until stdin ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        try:
            zygote.main(theirs, level)
        finally:
            os._exit(0)
    theirs.close()
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    answers.write(wire.frame(ours.recv(65536) or wire.encode({"ready": False, "why": "the zygote died at once"})))
    answers.flush()
    while header := jobs.read(4):
        job = wire.decode(jobs.read(wire.frame_size(header)), time.monotonic() + 60)
        answers.write(wire.frame(wire.encode(_serve(ours, job))))
        answers.flush()


def _serve(control: socket.socket, job: dict[str, Any]) -> list[list[Any]]:
    """One job's outcomes as [kind, value bytes, stdout bytes, error, cpu seconds]."""
    if not job["stdin"]:
        return _with_child(control, job, "", job["calls"])
    return [_with_child(control, job, text, [call])[0] for text, call in zip(job["inputs"], job["calls"], strict=True)]


def _with_child(control: socket.socket, job: dict[str, Any], text: str, calls: list[bytes]) -> list[list[Any]]:
    limits = job["limits"]
    link, theirs = socket.socketpair()
    printed = os.memfd_create("stdout")
    given = os.memfd_create("stdin") if text else os.open(os.devnull, os.O_RDONLY)
    if text:
        os.write(given, text.encode())
        os.lseek(given, 0, os.SEEK_SET)
    fds = array.array("i", [theirs.fileno(), printed, given])
    control.sendmsg([wire.encode(limits)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    theirs.close()
    os.close(given)
    run = _Run(control, link, printed, limits)
    try:
        return run.converse(job, calls)
    finally:
        link.close()
        os.close(printed)


class _Run:
    """One conversation with one child."""

    def __init__(self, control: socket.socket, link: socket.socket, printed: int, limits: dict[str, Any]) -> None:
        self.control, self.link, self.printed, self.limits = control, link, printed, limits
        self.seen = 0
        self.deadline = time.monotonic() + limits["wall_seconds"] * zygote.PATIENCE + 10

    def converse(self, job: dict[str, Any], calls: list[bytes]) -> list[list[Any]]:
        rows: list[list[Any]] = []
        request = {"source": job["source"], "entry": job["entry"], "stdin": job["stdin"]}
        self._send(wire.frame(wire.encode(request)))
        for call in calls:
            if not job["stdin"]:
                self._send(wire.frame(call))
            answer = self._receive()
            if answer is None:
                break
            rows.append(self._row(answer))
            if rows[-1][0] in ("output", "undecodable-frame"):
                break
        report = self._end()
        self._fill(rows, report, len(calls), job["stdin"])
        for row in rows:
            row.append(report["cpu"])
        return rows

    def _send(self, data: bytes) -> None:
        try:
            self.link.sendall(data)
        except OSError:
            return  # the child is gone; reading finds out why

    def _receive(self) -> bytes | None:
        """The next frame of the child, or None when there is none to come."""
        data = bytearray()
        want = 4
        while len(data) < want:
            if not self._readable():
                return None
            try:
                part = self.link.recv(min(want - len(data), 1 << 20))
            except OSError:
                return None
            if not part:
                return None
            data += part
            if len(data) == 4 and want == 4:
                want = 4 + wire.frame_size(bytes(data))
                if want > self.limits["value_bytes"] + 1024:
                    return b"Xit sent more than it may return"
        return bytes(data[4:])

    def _readable(self) -> bool:
        """Wait for the child; ends this worker if the main process is gone or the zygote hangs."""
        poller = select.poll()
        poller.register(self.link.fileno(), select.POLLIN)
        poller.register(0, 0)
        events = poller.poll(max(0, int((self.deadline - time.monotonic()) * 1000)))
        ready = {fd for fd, _ in events}
        if not events or (0 in ready and self.link.fileno() not in ready):
            os._exit(3)
        return True

    def _row(self, answer: bytes) -> list[Any]:
        kind, body = answer[:1], answer[1:]
        text = self._stdout()
        if self._size() > self.limits["output_bytes"]:
            return ["output", b"", text, ""]
        if kind == b"V":
            return ["value", body, text, ""]
        name = _KINDS.get(kind, "undecodable")
        error = body.decode("utf-8", "replace")[:600]
        if name == "exception" and error.startswith("PermissionError"):
            name = "denied"
        return [name, b"", text, error]

    def _size(self) -> int:
        return os.fstat(self.printed).st_size

    def _stdout(self) -> bytes:
        """What was printed since the last call."""
        left = self.limits["output_bytes"] - self.seen
        text = os.pread(self.printed, max(0, left), self.seen) if left > 0 and self._size() > self.seen else b""
        self.seen += len(text)
        return text

    def _end(self) -> dict[str, Any]:
        """Stop the child and learn how it ended."""
        self.control.send(b"K")
        self.control.settimeout(max(1.0, self.deadline - time.monotonic()))
        try:
            return wire.decode(self.control.recv(65536))
        except (OSError, wire.WireError):
            os._exit(3)  # no zygote, no worker: the pool replaces both

    def _fill(self, rows: list[list[Any]], report: dict[str, Any], wanted: int, program: bool) -> None:
        """Outcomes for the calls that never answered."""
        if len(rows) == wanted:
            return
        kind, error = self._ending(report)
        if kind == "exit" and program and report["status"] == 0:
            rows.append(["value", wire.encode(None), self._stdout(), ""])
            return
        rows.append([kind, b"", self._stdout(), error])
        while len(rows) < wanted:
            rows.append([kind, b"", b"", f"not run, because an earlier call ended the program: {error or kind}"])

    def _ending(self, report: dict[str, Any]) -> tuple[str, str]:
        """Which limit or act ended the child."""
        if self._size() > self.limits["output_bytes"]:
            return "output", ""
        reason, status = report["reason"], report["status"]
        if reason in ("cpu", "wall", "threads", "files"):
            return ("timeout" if reason == "wall" else reason), ""
        if os.WIFSIGNALED(status):
            return self._signalled(os.WTERMSIG(status), report)
        return "exit", f"it ended its own process with code {os.waitstatus_to_exitcode(status)}"

    def _signalled(self, number: int, report: dict[str, Any]) -> tuple[str, str]:
        if report["reason"] == "stopped":
            return "undecodable", "it closed or broke its answer channel"
        if number == signal.SIGXCPU or report["cpu"] >= self.limits["cpu_seconds"]:
            return "cpu", ""
        if number == signal.SIGKILL:
            return "memory", "the kernel killed it, most likely for its memory"
        return "crash", f"the interpreter crashed ({signal.Signals(number).name})"


_KINDS = {b"E": "exception", b"M": "memory", b"U": "undecodable", b"S": "setup", b"X": "undecodable", b"!": "refused"}

if sys.platform != "linux":
    raise SystemExit("the sandbox needs Linux")
