"""The candidate's own process: locks itself down, then loads the source and answers calls. Its word is only data.

A child is forked from the zygote, and every page that it touches costs a fault: so what can be worked out before the
fork is, and what is left is done by plain means (no attribute looked up, no object made that is not needed).
"""

from __future__ import annotations

import _socket
import io
import os
import sys
from marshal import dumps, loads
from os import SEEK_CUR, close, dup2, getpid, lseek, read, write
from typing import Any

from . import notes, wire
from .cage import Seal, Step
from .wire import unpack_call

_FILE = "<solution>"
_modules = sys.modules
_exit = os._exit
_solution: Any = None
_stdout: Any = None
_flush: Any = None

LOCKED = b"\0\0\0\x09R" + bytes(8)
"""The frame that says that the candidate may come."""


def refused(error: BaseException) -> bytes:
    """Return the frame that says that it may not, and why."""
    body = b"!%b%b" % (bytes(8), f"{type(error).__name__}: {error}".encode()[:1000])
    return wire.frame(body)


def live(link: int, given: list[int], unwanted: list[int], steps: list[Step], seal: Seal | None, folder: str) -> None:
    """Run a child's whole life, from right after the fork. Never returns.

    link: its end of the channel; given: what is the worker's, its end of the channel, what is printed, and for a
    program what is read; unwanted: descriptors to close; folder: its scratch folder, or "".
    """
    code = 1
    try:
        for descriptor in unwanted:
            close(descriptor)
        close(given[0])
        dup2(given[1], 1)
        close(given[1])
        if len(given) > 2:
            dup2(given[2], 0)
            close(given[2])
        if folder:
            os.chdir(folder)
            os.environ["TMPDIR"] = folder
        try:
            lock_down(steps, seal)
        except BaseException as error:
            write(link, refused(error))  # said before the candidate is within reach
            return
        serve(link)
        code = 0
    finally:
        _exit(code)


def lock_down(steps: list[Step], seal: Seal | None) -> None:
    """Give up every right for good (at level none: nothing). Raises OSError, and then the candidate is never run."""
    for step in steps:
        if step[0](*step[1]):
            raise OSError(f"{step[2]} refused")
    if seal is not None:
        words, places, step, args = seal
        own = getpid()
        for place in places:
            words[place] = own
        if step(*args):
            raise OSError("the seccomp filter was refused")


def serve(link: int) -> None:
    """Serve one run over a descriptor, in a process that is locked down."""
    write(link, LOCKED)
    frame, rest = _receive(link, b"")
    source, entry, stdin, judged = loads(frame)
    if stdin:
        _serve_program(link, source)
    else:
        _serve_calls(link, source, entry, judged, rest)


def _serve_program(link: int, source: str) -> None:
    kind, body = b"V", wire.encode(None)
    del _modules["solution"]
    module = _modules["__main__"] = type(sys)("__main__")
    module.__file__ = sys.argv[0]
    try:
        exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as error:
        kind, body = _left(error)
    except BaseException as error:
        kind, body = _said(error)
    _finish()
    _send(link, kind, body)


def _left(error: SystemExit) -> tuple[bytes, bytes]:
    """Return what `sys.exit` was given, as the code of a process: none is 0, words are 1."""
    code = error.code
    number = 0 if code is None else code & 255 if isinstance(code, int) else 1
    return (b"Q", b"%d" % number) if number else (b"V", wire.encode(None))


def _finish() -> None:
    """Do what an interpreter does at its end: wait for threads, run exit handlers, flush all files that are open."""
    import atexit
    import gc

    threads = sys.modules.get("threading")
    for step in (threads and threads._shutdown, atexit._run_exitfuncs, lambda: sys.stdout.flush(), _flush):
        try:
            if step:
                step()
        except BaseException:
            continue
    for kind in (io.TextIOWrapper, io.BufferedWriter):  # a text file flushes into a buffer of its own
        for file in gc.get_objects():
            try:
                if isinstance(file, kind):
                    file.flush()
            except BaseException:
                continue


def _serve_calls(link: int, source: str, entry: str, judged: bool, rest: bytes) -> None:
    module = _solution
    try:
        exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)
        _find(module, entry)
    except BaseException as error:
        kind, body = _said(error)
        _send(link, *((kind, b"") if kind == b"M" else (b"S", b"the program does not load: " + body)))
        return
    _send(link, b"V", b"N")
    last = False
    while not last:
        frame, rest = _receive(link, rest)
        calls, last, alone = loads(frame)
        for call in calls:
            name, args, kwargs = unpack_call(call)
            raised = None
            try:
                answer = _encoded(_find(module, name)(*args, **kwargs))
            except BaseException as error:
                answer, raised = _said(error), error
            if judged and (raised is not None or alone):
                note = notes.of(raised, call, name, args, kwargs, alone)
                if note:
                    _send(link, b"N", note)
            _send(link, *answer)
    close(link)  # the worker reads on while this process is torn down


def _find(module: Any, entry: str) -> Any:
    """Return a function of the module, or a method by its dotted name (`Solution.solve`), bound to a fresh instance."""
    found = module.__dict__.get(entry)
    if found is not None:
        return found
    found = module
    for name in entry.split("."):
        found = found() if isinstance(found, type) else found
        if not hasattr(found, name):
            raise NameError(f"it defines no {entry!r}")
        found = getattr(found, name)
    return found


def _encoded(value: Any) -> tuple[bytes, bytes]:
    try:
        return b"V", wire.encode(value)
    except wire.WireError as error:
        return b"U", (b"T" if value else b"F") + f"it returned {error}".encode()
    except RecursionError:
        return b"U", b"Tit returned a value nested too deeply"


def _said(error: BaseException) -> tuple[bytes, bytes]:
    """Return an exception as its kind and a short text with the line of the source it came from."""
    if isinstance(error, MemoryError):
        return b"M", b""
    try:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    except BaseException:
        text = type(error).__name__
    line, step = None, error.__traceback__
    while step is not None:
        line = step.tb_lineno if step.tb_frame.f_code.co_filename == _FILE else line
        step = step.tb_next
    where = f" (line {line})" if line else ""
    return b"E", (text[:500] + where).encode("utf-8", "replace")


def _printed() -> int:
    """Return how many bytes were printed so far, this program says: the worker may read several answers at once."""
    try:
        _flush()
        if sys.stdout is not _stdout:
            sys.stdout.flush()
    except BaseException:  # a candidate's own stdout may raise anything
        pass
    try:
        return min(lseek(1, 0, SEEK_CUR), 2**62)
    except OSError:
        return 0


def _send(link: int, kind: bytes, body: bytes) -> None:
    data = b"%b%b%b%b" % ((9 + len(body)).to_bytes(4, "big"), kind, _printed().to_bytes(8, "big"), body)
    sent = write(link, data)
    while sent < len(data):
        sent += write(link, data[sent : sent + (1 << 20)])


def _receive(link: int, data: bytes) -> tuple[bytes, bytes]:
    """Return the next frame, and what has come after it; `data` is what had come after the last."""
    while len(data) < 4:
        part = read(link, 65536)
        if not part:
            _exit(0)
        data += part
    want = 4 + int.from_bytes(data[:4], "big")
    if len(data) < want:
        data += _exactly(link, want - len(data))
    return data[4:want], data[want:]


def _exactly(link: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = read(link, min(size, 1 << 20))
        if not part:
            _exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _run_sample() -> None:
    """Do what a child does with a short program, but for giving up rights."""
    ours, theirs = _socket.socketpair()
    ours.sendall(_SAMPLE)
    lock_down([], None)
    serve(theirs.detach())
    ours.close()


_PROGRAM = "from typing import List\ndef f(x: List[int]) -> list:\n    'A list.'\n    return [i for i in x]\n"
_CALL = wire.pack_call("f", ([1, "a", 0.5, None, (True, {})],), {})
_SAMPLE = wire.frame(dumps((_PROGRAM, "f", False, True), 2)) + wire.frame(dumps(([_CALL, _CALL], True, False), 2))


def rehearse() -> None:
    """Do a sample run in this process, so that what an interpreter sets up at first use (a hundred types at the first
    `compile`) is there before the fork."""
    _prepare()
    for _ in range(20):  # so often, that the interpreter has adapted the code by then
        _run_sample()
        _said(ValueError("no"))
        try:
            lock_down([(int, (), "nothing")] * 5, (memoryview(bytearray(8)).cast("I"), [0, 1], int, (1,)))
        except OSError:
            continue
    _prepare()


def _prepare() -> None:
    """Make the module that a candidate with functions becomes, and what it prints to."""
    global _solution, _stdout, _flush
    _solution = sys.modules["solution"] = type(sys)("solution")
    raw = io.FileIO(1, "w", closefd=False)
    _stdout = io.TextIOWrapper(io.BufferedWriter(raw), sys.stdout.encoding, sys.stdout.errors)
    _stdout.mode = "w"
    _flush = _stdout.flush
    sys.stdout = sys.__stdout__ = _stdout
