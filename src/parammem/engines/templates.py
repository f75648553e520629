"""Chat messages → the text of a prompt, by the chat template of a tokenizer.

A chat template is a program (Jinja) that came with the model. It is run in a process of its own with bounds on time and
memory (template_worker.py), which renders as transformers does; a test compares the two. Where a template has no place
for a system turn, because it refuses it or leaves it out, the system's words go before the user's first words.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from parammem.engines import template_worker
from parammem.engines.base import Message
from parammem.errors import EngineError

CPU_SECONDS = 2.0
"""Of one rendering; an honest one takes a ten-thousandth."""
MEMORY_MB = 512
LARGEST_TEXT = 4 << 20
"""Characters that a template may add to twice the messages."""
CHATS_AT_ONCE = 32
WALL_SECONDS = 120.0
"""For the chats of one call, on however busy a machine."""
SYSTEM, USER = "Words of the system's turn.", "Words of the user's turn."
BROKE_A_BOUND = (0, -signal.SIGPROF, -signal.SIGSEGV, -signal.SIGABRT)
"""How the process ends: by itself where memory ran out, by the kernel where time did."""
_Chat = list[dict[str, str]]


def render(tokenizer: Any, chats: Sequence[Sequence[Message]], model: str = "the tokenizer") -> list[str]:
    """Return the text of each chat with the assistant's turn opened, in order.

    Args:
        model: how errors name the model.

    Raises:
        EngineError: there is no template, or it cannot be used: what it says, or which bound it broke.
    """
    template, variables = _template(tokenizer, model), _variables(tokenizer)
    plain = [[{"role": turn.role, "content": turn.content} for turn in chat] for chat in chats]
    if any(turn["role"] == "system" for chat in plain for turn in chat) and not _has_system(template, variables, model):
        plain = [system_first(chat) for chat in plain]
    elif not chats:
        return []
    return _asked(template, variables, plain, model)


def system_first(chat: Sequence[dict[str, str]]) -> _Chat:
    """Return the chat without system turns: their words stand before the first words of the user."""
    words = "\n\n".join(turn["content"] for turn in chat if turn["role"] == "system")
    rest = [dict(turn) for turn in chat if turn["role"] != "system"]
    place = next((number for number, turn in enumerate(rest) if turn["role"] == "user"), None)
    if place is None:
        return [{"role": "user", "content": words}, *rest]
    rest[place]["content"] = f"{words}\n\n{rest[place]['content']}" if words else rest[place]["content"]
    return rest


def _template(tokenizer: Any, model: str) -> str:
    if not tokenizer.chat_template:
        raise EngineError(f"the tokenizer in {model!r} has no chat template; add chat_template.jinja to the folder")
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:
        raise EngineError(f"the tokenizer in {model!r} has no default chat template: {error}") from error
    if not isinstance(template, str):
        raise EngineError(f"the chat template in {model!r} is no text; fetch the model again")
    return template


def _variables(tokenizer: Any) -> str:
    """Return what a template sees besides the messages, as JSON: the special tokens."""
    return json.dumps(tokenizer.special_tokens_map, default=str)


@cache
def _has_system(template: str, variables: str, model: str) -> bool:
    """Return whether the words of a system turn come out of the template. It must let the user's words through.

    Raises:
        EngineError: it does not.
    """
    probe = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    try:
        if SYSTEM in _asked(template, variables, [probe], model)[0]:
            return True
    except EngineError:  # with a system turn; whether it works without, the next line tells
        pass
    text = _asked(template, variables, [system_first(probe)], model)[0]
    if SYSTEM not in text or USER not in text:
        raise EngineError(f"the chat template in {model!r} leaves out what the user says; mend chat_template.jinja")
    return False


def _asked(template: str, variables: str, chats: list[_Chat], model: str) -> list[str]:
    texts: list[str] = []
    for start in range(0, len(chats), CHATS_AT_ONCE):
        part = chats[start : start + CHATS_AT_ONCE]
        answer = _worker().ask({"template": template, "variables": variables, "chats": part})
        if answer is None and len(part) > 1:  # which one it was is seen one by one
            answer = {"texts": [text for chat in part for text in _asked(template, variables, [chat], model)]}
        if answer is None:
            raise EngineError(
                f"the chat template in {model!r} took more than {CPU_SECONDS:.0f} s of CPU or {MEMORY_MB} MB for one "
                "prompt, and was stopped; an honest template takes a thousandth of that: look at chat_template.jinja"
            )
        if "error" in answer:
            raise EngineError(
                f"the chat template in {model!r} refuses these messages ({answer['error']}); mend chat_template.jinja, "
                "or take a model whose template has these roles"
            )
        texts += answer["texts"]
    return texts


class _Worker:
    """The process that renders. One at a time asks it; one that ended is started again by the next question."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer; None: the process was stopped for breaking a bound."""
        with self._lock:
            for _ in range(2):  # one that another process ended is no fault of the template's
                line = self._answer(json.dumps(question).encode() + b"\n")
                if line.endswith(b"\n"):
                    return json.loads(line)
                if self.end() in BROKE_A_BOUND:
                    return None
        return None

    def _answer(self, question: bytes) -> bytes:
        process = self._running()
        timer = threading.Timer(WALL_SECONDS, process.send_signal, [signal.SIGPROF])
        timer.daemon = True  # an interrupt while it starts must not keep this process until the time is over
        try:
            timer.start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(question)
            process.stdin.flush()
            return process.stdout.readline()
        except BrokenPipeError:
            return b""
        except BaseException:  # an interrupt: its answer must not be taken for the next one's
            self.stop()
            raise
        finally:
            timer.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            bounds = [CPU_SECONDS, MEMORY_MB, LARGEST_TEXT]
            command = [sys.executable, "-I", "-S", str(template_worker.__file__), json.dumps([_libraries(), bounds])]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/", env={}, start_new_session=True
            )
        return self._process

    def stop(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self.end()

    def end(self) -> int | None:
        """Stop the process. Returns its exit code, if it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            code = None
        with suppress(OSError):
            process.communicate()
        return code


_workers: dict[int, _Worker] = {}


def _worker() -> _Worker:
    """Return this process's own: a forked process must not read its parent's answers."""
    if os.getpid() not in _workers:
        worker = _workers[os.getpid()] = _Worker()
        atexit.register(worker.stop)
    return _workers[os.getpid()]


def _libraries() -> list[str]:
    """Return where Jinja and what it needs are."""
    import jinja2
    import markupsafe

    return sorted({str(Path(str(module.__file__)).parents[1]) for module in (jinja2, markupsafe)})
