"""One conversation of the trusted worker with one child: send a request, read a bounded answer, learn how it ended."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import time
from typing import Any

from . import wire, zygote

Row = list[Any]
"""[kind, value bytes, stdout bytes, error]; the pool turns it into an Outcome."""

_KINDS = {b"E": "exception", b"M": "memory", b"S": "setup", b"X": "undecodable"}
_BETTER_NAMES = (
    ("PermissionError", "denied"),
    ("OSError: [Errno 27]", "files"),
    ("RuntimeError: can't start new thread", "threads"),
)

_LAST_WORDS = 0.3
"""Seconds that a child may take to die after it closed its channel."""


class Conversation:
    """A context manager around one child, from its start to the report of its end."""

    def __init__(self, control: socket.socket, jobs: int, limits: dict[str, Any], text: str = "") -> None:
        self.control, self.limits = control, limits
        self.seen = 0
        self.hung_up = self.locked = False
        self.report: dict[str, Any] | None = None
        self.deadline = time.monotonic() + limits["wall_seconds"] * zygote.PATIENCE + 10
        self.link, theirs = socket.socketpair()
        self.buffer = bytearray()
        self.poller = select.poll()
        self.poller.register(self.link.fileno(), select.POLLIN)
        self.poller.register(jobs, 0)  # tells only of its hanging up
        self.printed = os.memfd_create("stdout")
        given = _input(text)
        fds = array.array("i", [theirs.fileno(), self.printed, given])
        control.sendmsg([wire.encode(limits)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        theirs.close()
        os.close(given)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.link.close()
        os.close(self.printed)

    def ask(self, payload: bytes) -> Row | None:
        """Send one frame and read the answer to it; None when the child will never answer again."""
        try:
            self.link.sendall(wire.frame(payload))
        except OSError:
            self.hung_up = True
            return None
        return self.listen()

    def listen(self) -> Row | None:
        """Read one answer."""
        if not self.locked:
            first = self._receive() or b"!it died while it was locking itself down"
            if first[:1] != b"R":
                return ["refused", b"", b"", first[1:600].decode("utf-8", "replace")]
            self.locked = True
        data = self._receive()
        return None if data is None else self._row(data)

    def overdrawn(self) -> bool:
        """Whether, when all was said, it had written more to its scratch folder than it may."""
        return self.end()["reason"] == "files"

    def _receive(self) -> bytes | None:
        """The next frame; bytes that came after it wait for the next call."""
        want = 4
        while len(self.buffer) < want or want == 4:
            if len(self.buffer) >= 4:
                want = 4 + wire.frame_size(bytes(self.buffer[:4]))
                if want > self.limits["value_bytes"] + 1024:
                    return b"Xit returned more than it may"
                if len(self.buffer) >= want:
                    break
            part = self._part(1 << 18)
            if not part:
                self.hung_up = True
                return None
            self.buffer += part
        frame = bytes(self.buffer[4:want])
        del self.buffer[:want]
        return frame

    def _part(self, size: int) -> bytes:
        """Some bytes of the child. Ends this worker if the main process is gone or the zygote hangs."""
        ready = {fd for fd, _ in self.poller.poll(max(0, int((self.deadline - time.monotonic()) * 1000)))}
        if self.link.fileno() not in ready:
            os._exit(3)
        try:
            return self.link.recv(size)
        except OSError:
            return b""

    def _row(self, answer: bytes) -> Row:
        kind, body = answer[:1], answer[1:]
        text = self._stdout()
        if self.flooded():
            return ["output", b"", text, ""]
        if kind == b"V":
            return ["value", body, text, ""]
        if kind == b"U":  # the value's truth goes along: `assert f(x)` needs no more
            return ["undecodable", body[:1], text, body[1:601].decode("utf-8", "replace")]
        error = body[:600].decode("utf-8", "replace")
        return [_name(_KINDS.get(kind, "undecodable"), error), b"", text, error]

    def flooded(self) -> bool:
        """Whether it printed more than it may."""
        return os.fstat(self.printed).st_size > self.limits["output_bytes"]

    def _stdout(self) -> bytes:
        """What was printed since the last answer."""
        left = self.limits["output_bytes"] - self.seen
        text = os.pread(self.printed, left, self.seen) if left > 0 else b""
        self.seen += len(text)
        return text

    def end(self) -> dict[str, Any]:
        """Stop the child and learn how it ended; asked again, the same report."""
        if self.report is None:
            if self.hung_up:  # most likely it is dying: let it, so that the report says of what
                select.select([self.control], [], [], _LAST_WORDS)
            self.control.send(b"K")
            self.control.settimeout(max(1.0, self.deadline - time.monotonic()))
            try:
                self.report = wire.decode(self.control.recv(65536))
            except (OSError, wire.WireError):
                os._exit(3)  # no zygote, no worker: the pool replaces both
            self.control.settimeout(None)
        assert self.report is not None
        return self.report

    def last_row(self, program: bool = False) -> Row:
        """The outcome of a call that was never answered: which limit or act ended the child."""
        kind, error = self._ending(self.end())
        if kind == "exit" and program and self.end()["status"] == 0:
            return ["value", wire.encode(None), self._stdout(), ""]
        return [kind, b"", self._stdout(), error]

    def _ending(self, report: dict[str, Any]) -> tuple[str, str]:
        reason, status = report["reason"], report["status"]
        if self.flooded():
            return "output", ""
        if reason in ("cpu", "threads", "files", "timeout"):
            return reason, ""
        if not os.WIFSIGNALED(status):
            return "exit", f"it ended its own process with code {os.waitstatus_to_exitcode(status)}"
        number = os.WTERMSIG(status)
        if reason == "stopped" and number == signal.SIGKILL:
            return "undecodable", "it closed or broke its answer channel"
        if number == signal.SIGXCPU or report["cpu"] >= self.limits["cpu_seconds"]:
            return "cpu", ""
        if number == signal.SIGKILL:
            return "memory", "the kernel killed it, most likely for its memory"
        return "crash", f"the interpreter crashed ({signal.Signals(number).name})"


def _input(text: str) -> int:
    """A descriptor that reads as the text."""
    if not text:
        return os.open(os.devnull, os.O_RDONLY)
    given = os.memfd_create("stdin")
    with os.fdopen(os.dup(given), "wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
    os.lseek(given, 0, os.SEEK_SET)
    return given


def _name(kind: str, error: str) -> str:
    """A better name for an exception that speaks of a limit."""
    if kind != "exception":
        return kind
    return next((name for start, name in _BETTER_NAMES if error.startswith(start)), kind)
