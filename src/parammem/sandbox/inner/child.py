"""The candidate's own process, once it is locked down: loads the source and answers calls. Its word is only data.

A child is forked from the zygote, and every page that it touches costs a fault: so what can be worked out before the
fork is, and what is left is done by plain means (no attribute looked up, no object made that is not needed).
"""

from __future__ import annotations

import gc
import marshal
import os
import sys
from typing import Any

from . import wire
from .cage import lock_down

_FILE = "<solution>"

LOCKED = b"\0\0\0\x09R" + bytes(8)
"""The frame that says that the candidate may come."""


def refused(error: BaseException) -> bytes:
    """The frame that says that it may not, and why."""
    body = b"!%b%b" % (bytes(8), f"{type(error).__name__}: {error}".encode()[:1000])
    return wire.frame(body)


def serve(link: int) -> None:
    """Serve one run over a descriptor, in a process that is locked down."""
    os.write(link, LOCKED)
    frame, rest = _receive(link, b"")
    source, entry, stdin = marshal.loads(frame)
    if stdin:
        _serve_program(link, source)
    else:
        _serve_calls(link, source, entry, rest)


def _module(name: str) -> Any:
    module = sys.modules[name] = type(sys)(name)
    return module


def _serve_program(link: int, source: str) -> None:
    kind, body = b"V", wire.encode(None)
    try:
        exec(compile(source, _FILE, "exec", dont_inherit=True), _module("__main__").__dict__)
    except SystemExit:
        pass
    except BaseException as error:
        kind, body = _said(error)
    _finish()
    _send(link, kind, body)


def _finish() -> None:
    """What an interpreter does at its end: wait for threads, run exit handlers, flush."""
    import atexit

    threads = sys.modules.get("threading")
    for step in (threads and threads._shutdown, atexit._run_exitfuncs, sys.stdout.flush):
        try:
            if step:
                step()
        except BaseException:
            continue


def _serve_calls(link: int, source: str, entry: str, rest: bytes) -> None:
    module = _module("solution")
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
        calls, last = marshal.loads(frame)
        for call in calls:
            name, args, kwargs = marshal.loads(call)
            try:
                answer = _encoded(_find(module, name)(*args, **kwargs))
            except BaseException as error:
                answer = _said(error)
            _send(link, *answer)
    os.close(link)  # the worker reads on while this process is torn down


def _find(module: Any, entry: str) -> Any:
    """A function of the module, or a method by its dotted name (`Solution.solve`), bound to a fresh instance."""
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
    """An exception as its kind and a short text with the line of the source it came from."""
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
    """How many bytes were printed so far, this program says: the worker may read several answers at once."""
    try:
        sys.stdout.flush()
    except BaseException:  # a candidate's own stdout may raise anything
        pass
    try:
        return min(os.lseek(1, 0, os.SEEK_CUR), 2**62)
    except OSError:
        return 0


def _send(link: int, kind: bytes, body: bytes) -> None:
    data = b"%b%b%b%b" % ((9 + len(body)).to_bytes(4, "big"), kind, _printed().to_bytes(8, "big"), body)
    sent = os.write(link, data)
    while sent < len(data):
        sent += os.write(link, data[sent : sent + (1 << 20)])


def _receive(link: int, data: bytes) -> tuple[bytes, bytes]:
    """The next frame, and what has come after it; `data` is what had come after the last."""
    while len(data) < 4:
        part = os.read(link, 65536)
        if not part:
            os._exit(0)
        data += part
    want = 4 + int.from_bytes(data[:4], "big")
    if len(data) < want:
        data += _exactly(link, want - len(data))
    return data[4:want], data[want:]


def _exactly(link: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(link, min(size, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


USUAL = "bisect collections collections.abc copy functools heapq itertools math operator random re string types typing"
_FURTHER = """abc argparse array ast asyncio atexit base64 binascii bz2 calendar cmath codecs colorsys
concurrent.futures
configparser contextlib contextvars copyreg csv ctypes dataclasses datetime decimal difflib email encodings.ascii
encodings.idna encodings.latin_1 encodings.utf_16 enum errno fnmatch fractions getopt glob graphlib gzip hashlib
hmac html html.parser http imaplib importlib.util inspect io ipaddress json keyword linecache locale logging lzma
mailbox mimetypes multiprocessing numbers opcode optparse pathlib pickle pkgutil platform posixpath pprint profile
queue reprlib resource sched secrets select selectors shelve shlex shutil signal socket sqlite3 ssl stat statistics
stringprep struct subprocess symtable tarfile tempfile textwrap threading time timeit token tokenize traceback
tracemalloc unicodedata unittest unittest.mock urllib.parse urllib.request uuid warnings weakref xml.dom.minidom
xml.etree.ElementTree zipfile zlib zoneinfo"""


def warm(everything: bool) -> None:
    """Import what candidates import most, so that children share it. Runs once, in the zygote.

    Every module more makes every fork dearer, so what few programs use is left to them.
    `everything`: nearly all of the standard library, for children that can open no file.
    """
    register = os.register_at_fork
    # Handlers would run in each child: `random` seeds itself anew there, where verdicts must repeat; locks of other
    # threads are mended, and there are none.
    os.register_at_fork = lambda **_: None  # type: ignore[assignment]
    try:
        for name in USUAL.split() + (_FURTHER.split() if everything else []):
            try:
                __import__(name)
            except ImportError:
                continue
    finally:
        os.register_at_fork = register
    _look_up()
    _rehearse()
    sys.modules["random"].seed(0)  # every child starts from the same state: verdicts repeat
    gc.collect()
    gc.freeze()


def _look_up() -> None:
    """Have the interpreter remember where builtin types keep their methods: a first look costs each child a page."""
    for kind in (int, float, str, bytes, list, tuple, dict, set, frozenset, bool, range, type, object, type(len)):
        for name in dir(kind):
            getattr(kind, name, None)


def _rehearse() -> None:
    """What an interpreter sets up at first use (a hundred types at the first `compile`) is there before the fork."""
    source = "from typing import List\ndef f(x: List[int]) -> list:\n    'A list.'\n    return [i for i in x]\n"
    for _ in range(20):  # so often, that the interpreter has adapted the code by then
        module = type(sys)("rehearsal")
        exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)
        name, args, kwargs = marshal.loads(wire.pack(("f", ([1, "a", 0.5, None, (True, {})],), {})))
        _encoded(_find(module, name)(*args, **kwargs))
        _said(ValueError("no"))
        try:
            lock_down([("nothing", int, ())] * 5, (memoryview(bytearray(8)).cast("I"), [0, 1], None))
        except OSError:
            continue
