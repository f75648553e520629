"""One conversation of the trusted worker with one child: send a request, read a bounded answer, learn how it ended."""

from __future__ import annotations

import _socket
import marshal
import os
import select
import time
from typing import Any

from . import watchdog, wire
from .zygote_link import ZygoteLink

Row = list[Any]
"""[kind, value bytes, stdout bytes, error]; the pool turns it into an Outcome."""

_KINDS = {b"E": "exception", b"M": "memory", b"S": "setup", b"X": "undecodable"}
_BETTER_NAMES = (
    ("PermissionError", "denied"),
    ("OSError: [Errno 27]", "files"),
    ("RuntimeError: can't start new thread", "threads"),
)

_SIGKILL, _SIGXCPU = 9, 24  # the same on every architecture that is served

_LAST_WORDS = 300
"""Milliseconds that a child may take to end after it closed its channel."""
_ONE_GO = 4
"""Milliseconds in which a child may give all its answers before they are looked at."""


class Conversation:
    """A context manager around one child, from its start to the report of its end."""

    def __init__(self, link: ZygoteLink, limits: dict[str, Any], text: str | None = None) -> None:
        """`text`: what a stdin program reads; None for functions."""
        self.zygote, self.limits = link, limits
        self.program = text is not None
        self.seen = 0
        self.hung_up = self.patient = False
        self.refused = ""
        self.report: tuple[str, int, float] | None = None
        self.deadline = time.monotonic() + limits["wall_seconds"] * watchdog.PATIENCE + 10
        channel, self.printed, *read = link.child(marshal.dumps((limits, self.program), 2), self.deadline)
        if text is not None:
            _fill(read[0], text)
        self.link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, channel)
        self.data: bytes | bytearray = b""
        self.at = 0
        """How much of the data is read."""
        self.poller = select.poll()
        self.poller.register(channel, select.POLLIN)
        self.poller.register(link.jobs, 0)  # tells only of its hanging up
        self.hanging = select.poll()
        self.hanging.register(channel, 0)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.link.close()
        os.close(self.printed)

    def load(self, source: str, entry: str, judged: bool = False) -> None:
        """Send the candidate, once its child is locked down; `listen` hears whether it loads. No entry: a stdin
        program. `judged`: tests look at the answers, so exceptions and changed arguments come with notes."""
        said = self._receive() or b""
        if self._hangs_up() if said[:1] == b"R" else not said and self.zygote.ahead:
            os._exit(3)  # it was killed while it waited: the pool replaces us all, and tries the run once more
        if said[:1] != b"R":
            self.refused = said[9:].decode("utf-8", "replace") or "it died while it was locking itself down"
            return
        self.send(marshal.dumps((source, entry, not entry, judged), 2))

    def call(self, calls: list[bytes], last: bool = False, alone: bool = False) -> None:
        """Send packed calls; each has an answer to `listen` to. After the last ones the child ends by itself.
        `alone`: whoever calls holds the arguments, and wants to know when they were changed."""
        self.send(marshal.dumps((calls, last, alone), 2))
        self.patient = last

    def send(self, payload: bytes) -> None:
        """Send one frame. That the child is gone is noticed by the `listen` that finds nothing more to read."""
        try:
            self.link.sendall(wire.frame(payload))
        except OSError:
            return

    def listen(self, notes: bool = False) -> Row | None:
        """Read one answer, or the note that may come before it; None when the child will never answer again."""
        data = self._receive()
        if data is not None and notes and data[:1] == b"N":
            return ["note", data[9:], b"", ""]
        return None if data is None else self._row(data)

    def spoilt(self) -> str:
        """Return which limit it turned out to have passed when all was said and it was stopped: "files", "output" or
        ""."""
        return "files" if self.end()[0] == "files" else "output" if self.flooded() else ""

    def _receive(self) -> bytes | None:
        """Return the next frame; bytes that came after it wait for the next call."""
        while True:
            data, at = self.data, self.at
            if len(data) >= at + 4:
                end = at + 4 + int.from_bytes(data[at : at + 4], "big")
                if end - at > self.limits["value_bytes"] + 1024:
                    return b"X" + bytes(8) + b"it returned more than it may"
                if len(data) >= end:
                    self.at = end
                    return bytes(data[at + 4 : end])
            part = self._part(1 << 16)
            if not part:
                self.hung_up = True
                return None
            if at < len(data):  # a frame in pieces
                data = data if isinstance(data, bytearray) else bytearray(data)
                del data[:at]
                data += part
                part = data
            self.data, self.at = part, 0

    def _part(self, size: int) -> bytes:
        """Return some bytes of the child. Ends this worker if the main process is gone or the zygote hangs."""
        if self.patient:  # all answers are on their way: better one wake-up than one for each, unless it takes long
            self.patient = False
            self._hangs_up(_ONE_GO)
        if not self.hung_up:
            ready = self.poller.poll(max(0, int((self.deadline - time.monotonic()) * 1000)))
            if all(fd != self.link.fileno() for fd, _ in ready):
                os._exit(3)
        try:
            return self.link.recv(size)
        except OSError:
            return b""

    def _row(self, answer: bytes) -> Row:
        kind, claimed, body = answer[:1], int.from_bytes(answer[1:9], "big"), answer[9:]
        claimed = os.fstat(self.printed).st_size if self.program else claimed  # one answer only: no need to ask it
        text = self._stdout(claimed)
        if claimed > self.limits["output_bytes"]:
            return ["output", b"", text, ""]
        if kind == b"V":
            return ["value", body, text, ""]
        if kind == b"U":  # the value's truth goes along: `assert f(x)` needs no more
            return ["undecodable", body[:1], text, body[1:601].decode("utf-8", "replace")]
        if kind == b"Q" and body.isdigit():
            return ["exit", body[:3], text, f"it ended with exit code {body[:3].decode()}"]
        error = body[:600].decode("utf-8", "replace")
        return [_name(_KINDS.get(kind, "undecodable"), error), b"", text, error]

    def flooded(self) -> bool:
        """Return whether it printed more than it may, whatever it says."""
        return os.fstat(self.printed).st_size > self.limits["output_bytes"]

    def _stdout(self, until: int) -> bytes:
        """Return what was printed since the last answer, up to a place the child names; at most what there is and may
        be."""
        size = min(until, self.limits["output_bytes"]) - self.seen
        text = os.pread(self.printed, size, self.seen) if size > 0 else b""
        self.seen += len(text)
        return text

    def end(self) -> tuple[str, int, float]:
        """Stop the child and learn how it ended: reason, wait status, CPU seconds."""
        if self.report is None:
            # If it hung up it is most likely dying: let it, so that the report says of what.
            if not (self._hangs_up() and self.zygote.says(_LAST_WORDS)):
                self.zygote.control.send(b"K")
            self.report = self.zygote.ended(self.deadline)
        return self.report

    def _hangs_up(self, wait: int = 0) -> bool:
        """Return whether the child closes its channel in so many milliseconds, though there may be answers left to
        read."""
        if not self.hung_up:
            self.hung_up = bool(self.hanging.poll(wait))
        return self.hung_up

    @property
    def cpu(self) -> float:
        """CPU seconds of the child, which is stopped for it."""
        return self.end()[2]

    def last_row(self, program: bool = False) -> Row:
        """Return the outcome of a call that was never answered: which limit or act ended the child."""
        kind, error = self._ending()
        text = self._stdout(self.limits["output_bytes"])
        if kind == "exit" and program and self.end()[1] == 0:
            return ["value", wire.encode(None), text, ""]
        return [kind, b"", text, error]

    def _ending(self) -> tuple[str, str]:
        reason, status, cpu = self.end()
        if self.refused:
            return "refused", self.refused
        if self.flooded():
            return "output", ""
        if reason in ("cpu", "threads", "files", "timeout", "memory"):
            return reason, ""
        if not os.WIFSIGNALED(status):
            return "exit", f"it ended its own process with code {os.waitstatus_to_exitcode(status)}"
        number = os.WTERMSIG(status)
        if reason == "stopped" and number == _SIGKILL:
            return "undecodable", "it closed or broke its answer channel"
        if number == _SIGXCPU or cpu >= self.limits["cpu_seconds"]:
            return "cpu", ""
        if number == _SIGKILL:
            return "memory", "the kernel killed it, most likely for its memory"
        return "crash", f"the interpreter crashed ({_signal(number)})"


def _signal(number: int) -> str:
    """Return a signal's name; real-time ones have none."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _fill(descriptor: int, text: str) -> None:
    """Have a descriptor read as the text from where it stands; closes it here."""
    data, at = text.encode("utf-8", "surrogatepass"), 0
    while at < len(data):
        at += os.pwrite(descriptor, data[at : at + (1 << 24)], at)
    os.close(descriptor)


def _name(kind: str, error: str) -> str:
    """Return a better name for an exception that speaks of a limit."""
    if kind != "exception":
        return kind
    return next((name for start, name in _BETTER_NAMES if error.startswith(start)), kind)
