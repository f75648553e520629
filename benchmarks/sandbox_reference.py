"""The harness of openai/human-eval rebuilt, as a yardstick for benchmarks/sandbox.py: a forked process per sample with
its guards, a manager's list for the result, solution and tests in one exec, its word believed. Standard library only.
NOT a sandbox: most hostile programs get past it.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SECONDS = 3.0


def main(programs: list[str], workers: int) -> int:
    """A process per sample, as human_eval.execution.check_correctness does it, from a pool of threads."""
    with ThreadPoolExecutor(workers) as threads:
        return sum(threads.map(_in_a_process, programs))


def _in_a_process(program: str) -> bool:
    manager = multiprocessing.Manager()
    result = manager.list()
    process = multiprocessing.Process(target=_guarded, args=(program, result))
    process.start()
    process.join(timeout=SECONDS + 1)
    if process.is_alive():
        process.kill()
    passed = list(result) == ["passed"]
    manager.shutdown()
    return passed


def _guarded(program: str, result: Any) -> None:
    """The guards of human-eval: a scratch folder, swallowed streams, an alarm, and dangerous functions taken away."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        kept = (os.chdir, os.rmdir, os.unlink, os.getcwd)
        for name in ("kill", "system", "fork", "forkpty", "killpg", "rename", "truncate", "chmod", "chown", "setuid"):
            setattr(os, name, None)
        setattr(subprocess, "Popen", None)  # noqa: B010
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                exec(program, {})
            result.append("passed")
        except BaseException as error:
            result.append(f"failed: {error}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.chdir, os.rmdir, os.unlink, os.getcwd = kept
            os.chdir("/")


if __name__ == "__main__":
    print(main(json.load(sys.stdin), int(sys.argv[1])))
