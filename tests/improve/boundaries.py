"""Where a turn can be killed: before every step, and before and after every write, flush, rename, removal and command.

`Watch` listens to the interpreter's own audit events, so it hears of every file and every process, whoever opens them.
A point is "<step>: <what>", with names that differ from run to run taken out; what a step does again is numbered.
Before a command that only reads there is no point: nothing has changed since the one before. The table of all points of
a turn that promotes lies in boundaries.txt; a test compares it with what a turn really does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("boundaries.txt")
HEX = re.compile(r"[0-9a-f]{8,}")
READS = tuple(f"git {word}" for word in "diff for-each-ref log ls-files merge-base rev-parse show var".split())
UNIMPORTANT = ("/.git/", "__pycache__", "/.cache/locks/")


def table() -> list[str]:
    """Every point, in the order of a turn."""
    return [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


class Watch:
    """Notes the points of a turn and kills the process, as `kill -9` does, when it comes to the wanted one."""

    def __init__(self, root: Path, wanted: str, log: str = "") -> None:
        self.root, self.wanted, self.log = str(root.resolve()), wanted, log
        self.step = "start"
        self.times: Counter[str] = Counter()
        self.busy = False
        sys.addaudithook(self._hear)
        self._after(os, "fsync", lambda *_: "flushed")
        self._after(subprocess.Popen, "__init__", lambda _self, command, *_: f"runs {name_of(command)}")

    def around(self, step: Any, turn: Any) -> None:
        self.step = step.name
        self.point("begins")
        step.run(turn)

    def point(self, what: str) -> None:
        if self.busy:
            return
        self.busy = True
        text = f"{self.step}: {what}"
        self.times[text] += 1
        text += f" ({self.times[text]})" if self.times[text] > 1 else ""
        if self.log:
            with open(self.log, "a", encoding="utf-8") as out:
                out.write(text + "\n")
        if text == self.wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        self.busy = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.busy:
            return
        if event == "subprocess.Popen":
            name = name_of(arguments[1])
            if name not in READS:
                self.point(f"before {name}")
        elif event == "open" and isinstance(arguments[0], str) and writes(arguments[1], arguments[2]):
            self._file("opens", arguments[0])
        elif event in ("os.rename", "os.remove", "shutil.rmtree"):
            self._file(event.split(".")[1], os.fsdecode(arguments[1 if event == "os.rename" else 0]))

    def _file(self, what: str, path: str) -> None:
        whole = os.path.abspath(path)
        if whole.startswith(self.root) and not any(part in whole for part in UNIMPORTANT):
            inner = whole.removeprefix(self.root).lstrip("/")
            inner = re.sub(r"^\.cache/improve/trees/[^/]+", "TREE", inner)
            inner = re.sub(r"(^|/)\.[^/]*\.[a-z0-9_]{8}$", r"\1TEMPORARY", inner)
            self.point(f"{what} {HEX.sub('DIGEST', inner)}")

    def _after(self, owner: Any, name: str, word: Callable[..., str]) -> None:
        """Note a point after each call of a function: it has done its work, or its process is at work."""
        real = getattr(owner, name)

        def called(*arguments: Any, **named: Any) -> Any:
            result = real(*arguments, **named)
            text = word(*arguments)
            if text.removeprefix("runs ") not in READS or f"{self.step}: {text}" not in self.times:
                self.point(text)
            return result

        setattr(owner, name, called)


def writes(mode: Any, flags: Any) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def name_of(command: Any) -> str:
    """A command in two words: its program and what it is told to do."""
    words = [str(word) for word in (command if isinstance(command, list | tuple) else [command])]
    if "git" in words[:1]:
        rest = iter(words[1:])
        for word in rest:
            if word in ("-c", "-C"):
                next(rest)
            elif not word.startswith("-"):
                return f"git {word}"
    told = [os.path.basename(word) for word in words if not word.startswith("-")]
    told = [word for word in told if not word.startswith("python") and word != "guard.py"]
    return " ".join(told[:2])
