"""Equality of two mathematical answers: what is written, then kind and value, each exactly; and who said so.

What needs sympy is asked of a process that can be killed: an alarm cannot interrupt a computation in C.
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

from parammem.domains.answers import Equality
from parammem.domains.math_same import AnswerComparison
from parammem.domains.math_text import official_equal
from parammem.errors import EngineError

CPU_SECONDS = 2.0
"""For all that one pair of answers needs."""
WALL_SECONDS = 30.0
"""For a machine that is too busy to give the worker its CPU time."""
START_SECONDS = 180.0
MAX_CHARACTERS = 1000
"""Longer answers are not read: no answer of MATH is half as long."""
QUESTIONS = 60
"""Of one pair of answers, for sympy; more take too long."""
_DROPPED = re.compile(r"\\text\{ |\\\\|\s(?:and|or)\s")
"""What MATH's official form drops, and could tell two answers apart."""
SOURCE = Path(__file__).resolve().parents[2]


class MathGrader:
    """One worker process, started when it is first needed. Safe to use from many threads."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS) -> None:
        self._cpu, self._wall = cpu_seconds, wall_seconds
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._known: dict[tuple[str, str, str], dict | None] = {}
        self.killed = 0
        """How many workers had to be killed."""

    def compare(self, gold: str, answer: str) -> Equality:
        """Return whether the answer is the gold one. An answer that cannot be read, or takes too long, is not.

        In this order: the same text; the same kind of answer with the same members and values (`math_same`); where
        these cannot tell, MATH's official string rule, of both answers as they were written.

        Raises:
            EngineError: the worker does not start.
        """
        if not answer.strip():
            return Equality(equal=False, by="no answer")
        if gold.strip() == answer.strip():
            return Equality(equal=True, by="the same text")
        if max(len(gold), len(answer)) > MAX_CHARACTERS:
            return Equality(equal=False, by=f"an answer of more than {MAX_CHARACTERS} characters")
        turn = _Turn(self, self._cpu)
        comparison = AnswerComparison(turn.ask)
        try:
            told = comparison.same(gold, answer)
        except RecursionError:
            return Equality(equal=False, by="brackets too deep to read")
        if told is not None:
            return Equality(equal=told, by=comparison.rule)
        if not _DROPPED.search(gold) and not _DROPPED.search(answer) and official_equal(gold, answer):
            return Equality(equal=True, by="MATH's official rule")
        return Equality(equal=False, by=turn.why or comparison.rule)

    def told(self, question: str, left: str, right: str, cpu: float) -> dict | None:
        """Return the worker's reply, once per question (many arms and draws give the same answer to the same task);
        None if it took more CPU seconds than these."""
        asked = (question, left, right)
        with self._lock:
            if asked not in self._known:
                reply = self._ask({"question": question, "left": left, "right": right}, cpu)
                if reply is None and cpu < self._cpu / 2:
                    return None  # less time than another pair would give it
                self._known[asked] = reply
            return self._known[asked]

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None and os.getpid() == self._pid:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _ask(self, request: dict, cpu: float) -> dict | None:
        """Return the reply; None if the worker had to be killed, or ended twice (out of memory, say)."""
        try:
            return self._reply(request, cpu)
        except BaseException:  # an interrupt: the reply to come must not be taken for that to the next question
            self.close()
            raise

    def _reply(self, request: dict, cpu: float) -> dict | None:
        for _ in range(2):
            process = self._worker()
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                line = self._read(process, cpu, self._wall)
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
        """Return the next line; "" when the process ended, None when it used up its time."""
        assert process.stdout is not None
        started, spent = time.monotonic(), cpu_time(process.pid)
        while time.monotonic() - started < wall:
            if select.select([process.stdout], [], [], 0.1)[0]:
                return process.stdout.readline()
            now = cpu_time(process.pid)
            if now is not None and spent is not None and now - spent > cpu:
                break
        return None


class _Turn:
    """What one pair of answers may ask: a number of questions, and CPU seconds for all of them."""

    def __init__(self, grader: MathGrader, cpu: float) -> None:
        self._grader, self._left, self._whole = grader, cpu, cpu
        self._questions = QUESTIONS
        self.why = ""
        """Why the last question had no answer."""

    def ask(self, question: str, left: str, right: str) -> bool | int | None:
        if self._left <= 0 or self._questions <= 0:
            self.why = self.why or f"more than {QUESTIONS} parts to compare"
            return None
        self._questions -= 1
        started = time.monotonic()
        reply = self._grader.told(question, left, right, self._left)
        self._left -= min(time.monotonic() - started, self._left) if reply else self._left
        if reply is None:
            self.why = f"it took more than {self._whole:g} s to compare"
            return None
        self.why = reply["why"]
        return reply["told"]


def cpu_time(pid: int) -> float | None:
    """Return CPU seconds that a process has used; None where /proc does not tell, and then the wall clock decides."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start() -> subprocess.Popen[str]:
    """Return the worker, with nothing of this process's environment: it reads what models wrote."""
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
    """Return this process's grader, closed at exit."""
    global _shared
    if _shared is None:
        _shared = MathGrader()
        atexit.register(_shared.close)
    return _shared
