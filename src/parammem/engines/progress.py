"""How far the work of this process is: runs that ended, tokens written, and what is left, for people who wait.

One `Progress` for a process, since one terminal or log shows it. On a terminal it is a bar; in a log a line now and
then, the first after some seconds. Nothing here changes what is computed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from parammem.core.words import count

FIRST_LINE = 10.0
"""Seconds until a log says something for the first time."""
NEXT_LINE = 30.0


@dataclass
class Progress:
    """The piece of work that is being done now."""

    clock: Callable[[], float] = time.monotonic
    tokens: int = 0
    """Written by models in this process since it began."""
    what: str = ""
    done: int = 0
    total: int = 0
    most_tokens: int = 0
    """What the piece can write at most; 0: not known."""
    bar: Any = None
    _began: float = 0.0
    _tokens_before: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, what: str, total: int, most_tokens: int = 0) -> None:
        """Turn to a new piece of work, of so many runs, rows or steps."""
        with self._lock:
            self.what, self.done, self.total, self.most_tokens = what, 0, total, most_tokens
            self._began, self._tokens_before = self.clock(), self.tokens

    def line(self) -> str:
        """Return what is done and what is left in a line, such as `collect code: 40 of 200 (20%), about 6 min left`."""
        with self._lock:
            seconds = max(1e-9, self.clock() - self._began)
            written = self.tokens - self._tokens_before
            parts = [f"{self.done:,} of {self.total:,} ({self.done / self.total:.0%})"] if self.total else []
            if written:
                parts.append(f"{count(written, 'token', form=',')} written, {written / seconds:.0f} a second")
            left = self._left(seconds, written)
            return f"{self.what or 'working'}: {', '.join([*parts, *([left] if left else [])]) or 'at work'}"

    def _left(self, seconds: float, written: int) -> str:
        if self.done and self.total:
            return f"about {_minutes(seconds * (self.total - self.done) / self.done)} left"
        if written and self.most_tokens:
            return f"at most about {_minutes(seconds * max(0, self.most_tokens - written) / written)} left"
        return ""


PROGRESS = Progress()


def progress_bar(total: int, what: str, most_tokens: int = 0) -> Callable[[int], None]:
    """Begin a piece of work, and return what is to be told how many of its parts are done."""
    from tqdm import tqdm

    PROGRESS.begin(what, total, most_tokens)
    bar: Any = tqdm(total=total, desc=what, mininterval=1, leave=False, disable=not sys.stderr.isatty())
    PROGRESS.bar = bar

    def show(done: int) -> None:
        PROGRESS.done = done
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
            PROGRESS.bar = None

    return show


@contextmanager
def progress_shown(what: str, first: float = FIRST_LINE, every: float = NEXT_LINE) -> Iterator[None]:
    """Show how far the work in the block is: a bar's figures each second, or a line on stderr now and then."""
    PROGRESS.begin(what, 0)
    stop = threading.Event()
    told = threading.Thread(target=_tell, args=(stop, first, every), daemon=True)
    told.start()
    try:
        yield
    finally:
        stop.set()
        told.join(timeout=5)
        PROGRESS.bar = None


def _tell(stop: threading.Event, first: float, every: float) -> None:
    if sys.stderr.isatty():
        while not stop.wait(1):
            if (bar := PROGRESS.bar) is not None:
                bar.set_postfix_str(PROGRESS.line().partition(": ")[2].partition(", ")[2], refresh=True)
        return
    wait = first
    while not stop.wait(wait):
        print(PROGRESS.line(), file=sys.stderr, flush=True)
        wait = every


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
