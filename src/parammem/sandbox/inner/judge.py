"""Tests that are not `call == literal`: they run here, in the trusted worker, against a proxy of the candidate.

Only inputs travel to the candidate's child. What comes back is decoded into exact builtin types, so no object of
the candidate ever takes part in a comparison. The test text is the benchmark's own, and trusted as such.
"""

from __future__ import annotations

import builtins
import dis
import importlib
import linecache
import sys
import traceback
import types
from typing import Any

from . import wire
from .conversation import Conversation, Row

_FILE = "<tests>"


class CandidateError(Exception):
    """The candidate raised something that is no builtin exception."""


class Opaque:
    """A returned object that is no plain value, e.g. a match of `re`. It has a truth, equals nothing but itself, and
    can do nothing: the candidate could have returned True or False as well."""

    def __init__(self, truth: bool) -> None:
        self._truth = truth

    def __bool__(self) -> bool:
        return self._truth


class _Stopped(BaseException):
    """The candidate can answer no more; no `except Exception` of a test may swallow this."""


class _Candidate:
    """Called like the candidate's function; the work is done in its child."""

    def __init__(self, talk: Conversation, name: str, first: _Candidate | None = None) -> None:
        self.talk, self.__name__, self._first = talk, name, first or self
        self.row: Row | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        row = self.talk.ask(wire.encode((self.__name__, args, kwargs)))
        last = self._first.row = row if row is not None else self.talk.last_row()
        if row is None or last[0] in ("output", "memory"):
            raise _Stopped
        if last[0] == "undecodable" and last[1]:
            return Opaque(last[1] == b"T")
        if last[0] != "value":
            raise _as_exception(last[3])
        try:
            return wire.decode(last[1])
        except wire.WireError as error:
            self._first.row = ["undecodable", b"", last[2], f"it returned {error}"]
            raise _Stopped from None


def _as_exception(error: str) -> Exception:
    """The builtin exception that the candidate says it raised, so that tests may expect it."""
    name, _, text = error.partition(": ")
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:
            return CandidateError(error)
    return CandidateError(error)


def judge(talk: Conversation, job: dict[str, Any]) -> dict[str, Any]:
    """Load the candidate, then run the tests. Gives passed, why not, and the candidate's last row."""
    loaded = talk.ask(wire.encode({"source": job["source"], "entry": job["entry"], "stdin": False}))
    if loaded is None or loaded[0] != "value":
        row = loaded or talk.last_row()
        return {"passed": False, "detail": row[3], "row": row}
    candidate = _Candidate(talk, job["entry"])
    detail = _run_tests(candidate, job)
    return {"passed": detail == "", "detail": detail, "row": candidate.row}


def _run_tests(candidate: _Candidate, job: dict[str, Any]) -> str:
    """Empty when they pass, else why not."""
    space: dict[str, Any] = {"__name__": "tests"}
    linecache.cache[_FILE] = (len(job["tests"]), None, job["tests"].splitlines(keepends=True), _FILE)
    try:
        exec(compile(job["preamble"], "<preamble>", "exec", dont_inherit=True), space)
        space[job["entry"]] = space["candidate"] = candidate
        tests = compile(job["tests"], _FILE, "exec", dont_inherit=True)
        known = space.keys() | vars(builtins).keys()
        if _all_names(tests) - known:  # the cheap look first: disassembling costs more than most tests
            for name in _names(tests) - known:
                space[name] = _outside(name, candidate)
        exec(tests, space)
        if callable(space.get("check")):
            space["check"](candidate)
    except _Stopped:
        return (candidate.row or ["", b"", b"", ""])[3] or "the candidate was stopped"
    except BaseException as error:
        return _where(error)
    return ""


def _all_names(code: types.CodeType) -> set[str]:
    """Global and attribute names in a piece of code and the functions in it, less those it stores itself."""
    found = set(code.co_names)
    for inner in code.co_consts:
        found |= _all_names(inner) if isinstance(inner, types.CodeType) else set()
    return found - {"check", "METADATA"}


def _names(code: types.CodeType) -> set[str]:
    """The global names that a piece of code and the functions in it may look up."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_NAME", "LOAD_GLOBAL")}
    for inner in code.co_consts:
        found |= _names(inner) if isinstance(inner, types.CodeType) else set()
    return found


def _outside(name: str, candidate: _Candidate) -> Any:
    """What a name means that the tests use and do not define: a standard module, or another of its functions."""
    if name in sys.stdlib_module_names:
        return importlib.import_module(name)
    return _Candidate(candidate.talk, name, candidate)


def _where(error: BaseException) -> str:
    """The exception with the line of the tests it came from."""
    lines = [frame for frame in traceback.extract_tb(sys.exc_info()[2]) if frame.filename == _FILE]
    place = f" at test line {lines[-1].lineno}: {lines[-1].line}" if lines else ""
    return f"{type(error).__name__}: {error}"[:500] + place[:500]
