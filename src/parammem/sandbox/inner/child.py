"""The candidate's own process: locks itself down, then loads the source and answers calls. Its word is only data."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import random
import resource
import socket
import sys
import types
from dataclasses import dataclass
from typing import Any

from . import landlock, seccomp, wire

_libc = ctypes.CDLL(None, use_errno=True)
_FILE = "<solution>"


@dataclass(frozen=True)
class Cage:
    """Everything that locks a child, prepared once in the zygote."""

    filter: seccomp.Program | None
    rules: int | None
    """Descriptor of the Landlock rules."""
    uid: int | None
    """The user to become; None to stay."""
    count_threads: bool
    """Whether the kernel's process limit counts this child's threads alone, so that it can be set."""
    base_memory: int
    """Address space of the bare interpreter, in bytes."""


def lock_down(cage: Cage, limits: dict[str, Any]) -> None:
    """Give up every right for good (at level none: nothing). Raises OSError, and then the candidate is never run."""
    if cage.filter is None:  # level none
        _libc.prctl(1, 9, 0, 0, 0)
        return
    _limit(limits, cage)
    if cage.uid is not None:
        os.setgroups([])
        os.setresgid(cage.uid, cage.uid, cage.uid)
        os.setresuid(cage.uid, cage.uid, cage.uid)
    _libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL: cleared by the change of user, so set after it
    if _libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "no_new_privs refused")
    if cage.rules is not None:
        landlock.restrict(cage.rules)
        os.close(cage.rules)
    seccomp.install(cage.filter.bound_to(os.getpid()))


def _limit(limits: dict[str, Any], cage: Cage) -> None:
    wanted = [
        (resource.RLIMIT_AS, cage.base_memory + limits["memory_mb"] * 2**20),
        (resource.RLIMIT_FSIZE, max(limits["output_bytes"] + 1, limits["file_bytes"])),
        (resource.RLIMIT_CPU, int(limits["cpu_seconds"]) + 2),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ]
    if cage.count_threads:
        wanted.append((resource.RLIMIT_NPROC, limits["threads"] + 3))  # the zygote and its kin count too
    for what, most in wanted:
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def main(channel: int, cage: Cage, limits: dict[str, Any]) -> None:
    """Serve one run over the channel; returns when there is nothing left to do."""
    link = socket.socket(fileno=channel)
    try:
        lock_down(cage, limits)
    except BaseException as error:
        _send(link, b"!", f"{type(error).__name__}: {error}".encode())
        return
    _send(link, b"R", b"")  # sent before the candidate exists: what comes after it is not believed about the cage
    random.seed(0)  # every child starts from the same state: verdicts repeat
    request = wire.decode(_receive(link))
    if request["stdin"]:
        _serve_program(link, request["source"])
    else:
        _serve_calls(link, request["source"], request["entry"])


def _serve_program(link: socket.socket, source: str) -> None:
    kind, body = b"V", wire.encode(None)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)
    except SystemExit:
        pass
    except BaseException as error:
        kind, body = _said(error)
    _finish()
    _send(link, kind, body)


def _finish() -> None:
    """What an interpreter does at its end: wait for threads, run exit handlers, flush."""
    import atexit
    import threading

    for step in (threading._shutdown, atexit._run_exitfuncs, _flush):  # type: ignore[attr-defined]
        try:
            step()
        except BaseException:
            continue


def _serve_calls(link: socket.socket, source: str, entry: str) -> None:
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)
        _find(module, entry)
    except BaseException as error:
        kind, body = _said(error)
        _flush()
        _send(link, *((kind, b"") if kind == b"M" else (b"S", b"the program does not load: " + body)))
        return
    _flush()
    _send(link, b"V", b"N")
    while True:
        name, args, kwargs = wire.decode(_receive(link))
        try:
            answer = _encoded(_find(module, name)(*args, **kwargs))
        except BaseException as error:
            answer = _said(error)
        _flush()
        _send(link, *answer)


def _find(module: types.ModuleType, entry: str) -> Any:
    """A function of the module, or a method by its dotted name (`Solution.solve`), bound to a fresh instance."""
    found: Any = module
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


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BaseException:
        return


def _send(link: socket.socket, kind: bytes, body: bytes) -> None:
    link.sendall(wire.frame(kind + body))


def _receive(link: socket.socket) -> bytes:
    size = wire.frame_size(_exactly(link, 4))
    return _exactly(link, size)


def _exactly(link: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = link.recv(min(size, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


_USUAL = """abc array ast atexit bisect calendar cmath collections collections.abc contextlib copy dataclasses
datetime decimal enum fractions functools hashlib heapq inspect io itertools json math numbers operator queue random re
statistics string struct textwrap threading time traceback types typing unicodedata warnings"""
_FURTHER = """argparse asyncio base64 binascii bz2 codecs colorsys concurrent.futures configparser contextvars copyreg
csv ctypes difflib email encodings.ascii encodings.idna encodings.latin_1 encodings.utf_16 errno fnmatch getopt glob
graphlib gzip hmac html html.parser http imaplib importlib.util ipaddress keyword linecache locale logging lzma mailbox
mimetypes multiprocessing opcode optparse pathlib pickle pkgutil platform posixpath pprint profile reprlib sched secrets
select selectors shelve shlex shutil signal socket sqlite3 ssl stat stringprep subprocess symtable tarfile tempfile
timeit token tokenize tracemalloc unittest unittest.mock urllib.parse urllib.request uuid weakref xml.dom.minidom
xml.etree.ElementTree zipfile zlib zoneinfo"""


def warm(everything: bool) -> None:
    """Import what candidates usually import, so that children share it. Runs once, in the zygote.

    `everything`: nearly all of the standard library, for children that can open no file.
    """
    for name in _USUAL.split() + (_FURTHER.split() if everything else []):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    gc.collect()
    gc.freeze()
