"""`python -I -S .../inner/__main__.py LEVEL [namespaces]`: starts a worker.

Gives the package a name of its own, so that neither site-packages nor the folder of this file is ever on the import
path.
"""

from __future__ import annotations

import os
import sys
import types


def _start() -> None:
    # One fixed order of sets everywhere, and an empty environment whatever wrapper came before. Symbols are bound at
    # the start, not in each child anew.
    clean = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "LD_BIND_NOW": "1"}
    if sys.flags.hash_randomization or dict(os.environ) != clean:
        flags = ["-s", "-S", "-P", "-X", "utf8", "-X", "frozen_modules=on"]
        os.execve(sys.executable, [sys.executable, *flags, os.path.abspath(__file__), *sys.argv[1:]], clean)
    package = types.ModuleType("sandbox_inner")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules["sandbox_inner"] = package
    from sandbox_inner import worker  # type: ignore[import-not-found]

    worker.main(sys.argv[1], layered="namespaces" in sys.argv[2:])


_start()
