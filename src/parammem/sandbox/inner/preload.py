"""The modules that the zygote imports before its first fork, so that no child has to."""

from __future__ import annotations

import os
import sys

from . import semlock

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


def load(everything: bool, modules: list[str], site: str) -> None:
    """Import what candidates import most, so that children share it. Runs once, in the zygote.

    Every module more makes every fork dearer, so what few programs use is left to them.
    `everything`: nearly all of the standard library, for children that can open no file. `modules`: what the runs of
    this zygote are known to use; `site`: the folder where numpy is installed, or "".
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
        import_modules(modules, site)
    finally:
        os.register_at_fork = register
    _be_a_script()
    _look_up()
    sys.modules["random"].seed(0)  # every child starts from the same state: verdicts repeat


def import_modules(modules: list[str], site: str) -> None:
    """Import modules, numpy from its folder: nothing else that is installed there can be imported afterwards."""
    # One thread: a forked child has no others, and starting them would cost it its address space.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if site else {}
    sys.path.extend([site] if site else [])
    try:
        for name in modules:
            __import__(name)
        if site:
            for name in ("numpy", "numpy.linalg", "numpy.random"):
                __import__(name)
            sys.modules["numpy.random"].seed(0)
    finally:
        if site:
            sys.path.remove(site)


def reach(folder: str) -> str:
    """Return a path to a folder of modules that stays open when its parents are closed or hidden; modules are imported
    over it from then on. It was opened with this process's rights and needs no search right on its parents."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    open_path = f"/proc/self/fd/{handle}"
    sys.path[:] = [p.replace(folder, open_path) if p.startswith(folder) else p for p in sys.path]
    for module in list(sys.modules.values()):
        folders = getattr(module, "__path__", None)
        if isinstance(folders, list):
            folders[:] = [p.replace(folder, open_path) if p.startswith(folder) else p for p in folders]
    sys.path_importer_cache.clear()
    return open_path


SCRIPT = "solution.py"


def _be_a_script() -> None:
    """Set up what a plain script finds: its own name as the only argument, and `exit` and `quit`, which `site`
    brings."""
    import builtins
    from _sitebuiltins import Quitter  # type: ignore[import-not-found]

    sys.argv[:] = [SCRIPT]
    sys.orig_argv[:] = ["python", SCRIPT]
    for name in ("exit", "quit"):
        setattr(builtins, name, Quitter(name, "Ctrl-D (i.e. EOF)"))
    sys.meta_path.insert(0, semlock.Finder)  # type: ignore[arg-type]


def _look_up() -> None:
    """Have the interpreter remember where builtin types keep their methods: a first look costs each child a page."""
    for kind in (int, float, str, bytes, list, tuple, dict, set, frozenset, bool, range, type, object, type(len)):
        for name in dir(kind):
            getattr(kind, name, None)
