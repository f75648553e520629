"""`python -I -S .../__main__.py LEVEL [namespaces] [cpu=N] [preload=A,B] [numpy=FOLDER]`: starts worker and zygote.

Gives the package a name of its own, so that neither site-packages nor the folder of this file is ever on the import
path.
"""

from __future__ import annotations

import _socket
import os
import sys
import types


def _start() -> None:
    # One fixed order of sets everywhere, and an empty environment whatever wrapper came before. Symbols are bound at
    # the start, not in each child anew. One heap for all threads: each of their own would take 64 MiB of address space.
    clean = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "LD_BIND_NOW": "1", "MALLOC_ARENA_MAX": "1"}
    if sys.flags.hash_randomization or dict(os.environ) != clean:
        flags = ["-s", "-S", "-P", "-X", "utf8", "-X", "frozen_modules=on"]
        os.execve(sys.executable, [sys.executable, *flags, os.path.abspath(__file__), *sys.argv[1:]], clean)
    package = types.ModuleType("sandbox_inner")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules["sandbox_inner"] = package
    _stay([int(option[4:]) for option in sys.argv[2:] if option.startswith("cpu=")])
    named = dict(option.split("=", 1) for option in sys.argv[2:] if "=" in option)
    preload, site = [name for name in named.get("preload", "").split(",") if name], named.get("numpy", "")
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    # Each imports what is its own after the fork: children inherit what the zygote has, and pay for it.
    if os.fork() == 0:
        ours.close()
        from sandbox_inner import zygote  # type: ignore[import-not-found]

        zygote.start(theirs, sys.argv[1], "namespaces" in sys.argv[2:], preload, site)
    theirs.close()
    from sandbox_inner import worker  # type: ignore[import-not-found]

    worker.main(ours, site)


def _stay(processors: list[int]) -> None:
    if processors:
        try:
            os.sched_setaffinity(0, processors)
        except OSError:  # a wrapper's machine may have others: then anywhere
            return


_start()
