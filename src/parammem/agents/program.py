"""Calling a program of the user's: one JSON object in, one out, within a time limit, whatever it does.

It is trusted: it runs with this account's rights, outside the sandbox, where and how the user says. What it does wrong
(hangs, ends early, prints no JSON, answers too much) harms the one call.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import IO, Any

from parammem.checkout.processes import ends_with_us
from parammem.core.escape import shown
from parammem.core.words import count
from parammem.domain_params import ProgramParams

SAID = 300
"""Characters of what a program wrote to its standard error that a message shows."""
LOOK_SECONDS = 0.02
TOO_MUCH = "it wrote more than output_mb allows"


class ProgramFailed(Exception):
    """A call that came to nothing: why, in words."""


class BudgetSpent(ProgramFailed):
    """The stage has made as many calls as params allow."""


@dataclass
class UserProgram:
    """A program that is called for many items. Threads may share it."""

    params: ProgramParams
    root: Path
    """Where commands and entries run; relative paths of theirs are seen from here."""
    calls: int = 0
    _lock: Lock = field(default_factory=Lock)
    _interrupted: Event = field(default_factory=Event)
    """Set by Ctrl-C during `each`: calls that are under way are ended."""

    def each(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | ProgramFailed]:
        """Return the answer to each item, or why there is none; several at a time, in the order of the items."""
        with ThreadPoolExecutor(self.params.concurrency) as threads:
            try:
                return list(threads.map(self._or_failure, items))
            except BaseException:  # Ctrl-C: the pool would wait until every call has ended by itself
                self._interrupted.set()
                raise

    def call(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to one item.

        Raises:
            ProgramFailed: after all retries there is none.
        """
        for left in range(self.params.retries, -1, -1):
            self._count()
            try:
                return _parsed(self._once(json.dumps(item).encode()))
            except ProgramFailed:
                if not left or self._interrupted.is_set():
                    raise
        raise AssertionError("unreachable")

    def _or_failure(self, item: Mapping[str, Any]) -> dict[str, Any] | ProgramFailed:
        try:
            return self.call(item)
        except ProgramFailed as error:
            return error

    def _count(self) -> None:
        with self._lock:
            if self.params.budget_calls and self.calls >= self.params.budget_calls:
                raise BudgetSpent(f"not run: budget_calls allows {count(self.params.budget_calls, 'call')}")
            self.calls += 1

    def _once(self, data: bytes) -> bytes:
        p = self.params
        if p.url:
            return _posted(p.url, data, p.timeout_seconds, p.output_mb << 20)
        command = p.command or (sys.executable, "-m", "parammem.agents.entry_process", p.entry)
        return self._ran(command, data)

    def _ran(self, command: Sequence[str], data: bytes) -> bytes:
        """Run a command; return what it wrote to its standard output. Files take what it writes: a child that it leaves
        behind could hold a pipe open for ever. It and its process group are killed when its time is up, and when we
        end."""
        most = self.params.output_mb << 20
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(data)
            given.seek(0)
            try:
                child = subprocess.Popen(
                    command, stdin=given, stdout=out, stderr=err, cwd=self.root, start_new_session=True,
                    preexec_fn=ends_with_us(),
                )  # fmt: skip
            except OSError as error:
                raise ProgramFailed(f"{shown(command[0])} cannot be started: {error.strerror}") from None
            try:
                files = (out.fileno(), err.fileno())
                self._wait(child, lambda: any(os.fstat(file).st_size > most for file in files))
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if child.returncode:
                raise ProgramFailed(f"it ended with exit code {child.returncode} and wrote: {_ending(err)}")
            if os.fstat(out.fileno()).st_size > most:
                raise ProgramFailed(TOO_MUCH)
            out.seek(0)
            return out.read(most)

    def _wait(self, child: subprocess.Popen[bytes], too_much: Callable[[], bool]) -> None:
        end = time.monotonic() + self.params.timeout_seconds
        while child.poll() is None:
            if self._interrupted.is_set():
                raise ProgramFailed("the stage was interrupted")
            if time.monotonic() > end:
                raise ProgramFailed(f"it did not answer within {self.params.timeout_seconds:g} seconds")
            if too_much():
                raise ProgramFailed(TOO_MUCH)
            time.sleep(LOOK_SECONDS)


def _ending(file: IO[bytes]) -> str:
    """Return the last characters of what a program wrote to its standard error, in one line: a traceback's end says
    most."""
    file.seek(max(0, os.fstat(file.fileno()).st_size - SAID))
    return shown(" ".join(file.read(SAID).decode("utf-8", "replace").split()), SAID) or "nothing"


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ProgramFailed(f"it answered no JSON: {shown(data[:80].decode('utf-8', 'replace'))}") from None
    if not isinstance(found, dict):
        raise ProgramFailed("it answered JSON that is no object")
    try:
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, RecursionError):
        raise ProgramFailed("it answered text that no UTF-8 file can hold: half a surrogate pair") from None
    except ValueError:
        raise ProgramFailed("it answered a number that is too large for JSON's readers, such as 1e999") from None
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _posted(url: str, data: bytes, seconds: float, most: int) -> bytes:
    import httpx

    end, parts, size = time.monotonic() + seconds, [], 0
    try:
        headers = {"content-type": "application/json"}
        with httpx.stream("POST", url, content=data, headers=headers, timeout=seconds) as response:
            if response.status_code >= 400:
                raise ProgramFailed(f"it answered with status {response.status_code}")
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise ProgramFailed(TOO_MUCH)
                if time.monotonic() > end:
                    raise ProgramFailed(f"it did not answer within {seconds:g} seconds")
    except httpx.TimeoutException:
        raise ProgramFailed(f"it did not answer within {seconds:g} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProgramFailed(f"it cannot be reached: {type(error).__name__}") from None
    return b"".join(parts)
