"""Equality of two mathematical answers: official string rules first, then math-verify in a process that can be killed.

math-verify's own time limit is an alarm that cannot interrupt a computation in C; a killed process can.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from parammem.core.record import Record
from parammem.domains.math_text import official_equal
from parammem.errors import EngineError

CPU_SECONDS = 5.0
WALL_SECONDS = 60.0
"""For a machine that is too busy to give the worker its CPU time."""
START_SECONDS = 180.0
MAX_CHARACTERS = 1000
"""Longer answers are not read: no answer of MATH is half as long."""
_WHOLE = re.compile(r"[+-]?\d{1,300}")
SOURCE = Path(__file__).resolve().parents[2]


class Equality(Record):
    """Whether two answers are the same, and who said so."""

    equal: bool
    by: str
    """string: the official rules; math-verify; or why it could not say."""


class MathGrader:
    """One worker process, started when it is first needed. Safe to use from many threads."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS) -> None:
        self._cpu, self._wall = cpu_seconds, wall_seconds
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._known: dict[tuple[str, str], dict] = {}
        self.killed = 0
        """How many workers had to be killed."""

    def compare(self, gold: str, answer: str) -> Equality:
        """Whether the answer is the gold one. An answer that cannot be read, or takes too long, is not.

        Raises:
            EngineError: the worker does not start.
        """
        if not answer.strip():
            return Equality(equal=False, by="no answer")
        if official_equal(gold, answer):
            return Equality(equal=True, by="string")
        if _WHOLE.fullmatch(gold.strip()) and _WHOLE.fullmatch(answer.strip()):
            return Equality(equal=int(gold) == int(answer), by="whole numbers")
        if max(len(gold), len(answer)) > MAX_CHARACTERS:
            return Equality(equal=False, by=f"an answer of more than {MAX_CHARACTERS} characters")
        with self._lock:  # many arms and draws give the same answer to the same task
            reply = self._known.get((gold, answer)) or self._ask(gold, answer)
            if reply is not None:
                self._known[gold, answer] = reply
        if reply is None:
            return Equality(equal=False, by=f"it took more than {self._cpu:g} s to compare")
        return Equality(equal=reply["equal"], by=reply["why"] or "math-verify")

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None and os.getpid() == self._pid:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _ask(self, gold: str, answer: str) -> dict | None:
        """The reply; None if the worker had to be killed, or died twice (of memory, say)."""
        for _ in range(2):
            process = self._worker()
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps({"gold": gold, "answer": answer}) + "\n")
                process.stdin.flush()
                line = self._read(process, self._cpu, self._wall)
            except (OSError, ValueError):
                line = ""
            if line:
                return json.loads(line)
            self.close()
            if line is None:
                self.killed += 1
                break
        return None

    def _worker(self) -> subprocess.Popen[str]:
        if self._process is not None and os.getpid() != self._pid:  # forked: the worker is the parent's
            self._process, self._pid = None, os.getpid()
        if self._process is None or self._process.poll() is not None:
            self._process = _start()
            if '"ready"' not in (self._read(self._process, START_SECONDS, START_SECONDS) or ""):
                self.close()
                raise EngineError("the process that compares answers does not start; is math-verify installed?")
        return self._process

    @staticmethod
    def _read(process: subprocess.Popen[str], cpu: float, wall: float) -> str | None:
        """The next line; "" when the process died, None when it used up its time."""
        assert process.stdout is not None
        started, spent = time.monotonic(), cpu_time(process.pid)
        while time.monotonic() - started < wall:
            if select.select([process.stdout], [], [], 0.1)[0]:
                return process.stdout.readline()
            now = cpu_time(process.pid)
            if now is not None and spent is not None and now - spent > cpu:
                break
        return None


def cpu_time(pid: int) -> float | None:
    """CPU seconds that a process has used; None where /proc does not tell, and then the wall clock decides."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start() -> subprocess.Popen[str]:
    """The worker, with nothing of this process's environment: it reads what models wrote."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "parammem.domains.math_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=kept | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
    )


_shared: MathGrader | None = None


def shared_grader() -> MathGrader:
    """This process's grader, closed at exit."""
    global _shared
    if _shared is None:
        _shared = MathGrader()
        atexit.register(_shared.close)
    return _shared
