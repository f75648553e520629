"""Tests that are not `call == literal`: they run here, in the trusted worker, against a proxy of the candidate.

Only inputs travel to the candidate's child. What comes back is decoded into exact builtin types, so no object of
the candidate ever takes part in a comparison. The test text is the benchmark's own, and trusted as such.
"""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import importlib
import random
import sys
import types
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from . import bounds, notes, planned_calls, watchdog, wire
from .conversation import Conversation, Row

_FILE = "<tests>"
_ROOM = 64
"""MiB that tests may use beyond the memory limit of a candidate: what it returned is decoded in them."""
_LONG = 200_000
"""Characters of a test program that is not kept for the next candidate."""


class Opaque:
    """A returned object that is no plain value, e.g. a match of `re`. It has a truth, equals nothing but itself, and
    can do nothing: the candidate could have returned True or False as well."""

    def __init__(self, truth: bool) -> None:
        self._truth = truth

    def __bool__(self) -> bool:
        return self._truth


class _Stopped(BaseException):
    """The candidate can answer no more; no `except Exception` of a test may swallow this."""


class _Unplanned(BaseException):
    """The tests made another call than was planned."""


class _Candidate:
    """Called like the candidate's function; the work is done in its child, or has been done there ahead."""

    def __init__(
        self, talk: Conversation, name: str, planned: deque[bytes], all_are: bool, first: _Candidate | None = None
    ) -> None:
        self.talk, self.__name__, self.planned, self.all_are = talk, name, planned, all_are
        self._first = first or self
        self.row: Row | None = None
        self.stopped = self.unplanned = False  # the tests may have swallowed what was raised

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = wire.pack_call(self.__name__, args, kwargs)
        if not self.planned and not self.all_are:
            self.talk.call([call], alone=True)
        elif not self.planned or self.planned.popleft() != call:
            self._first.unplanned = True
            raise _Unplanned
        row = self.talk.listen(notes=True)
        note: dict[str, Any] = {}
        if row is not None and row[0] == "note":
            note, row = self._note(row[1], args, kwargs), self.talk.listen()
        last = self._first.row = row if row is not None else self.talk.last_row()
        if row is None or last[0] in ("output", "memory"):
            self._first.stopped = True
            raise _Stopped
        if last[0] == "undecodable" and last[1]:
            return Opaque(last[1] == b"T")
        if last[0] != "value":
            raise note.get("raised") or notes.CandidateError(last[3])
        try:
            return wire.decode(last[1])
        except wire.WireError as error:
            self._first.row = ["undecodable", b"", last[2], f"it returned {error}"]
            self._first.stopped = True
            raise _Stopped from None

    def _note(self, body: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return what a note says: arguments are changed as they were in the child, an exception is made anew."""
        try:
            said = wire.decode(body)
            if "args" in said:
                theirs, named = said["args"]
                for mine, their in zip((args, kwargs), (theirs, named), strict=True):
                    notes.put_back(mine, their)
            return {"raised": notes.exception_of(said["raised"])} if "raised" in said else {}
        except (wire.WireError, TypeError, ValueError, LookupError, AttributeError):  # no note of ours
            return {}

    def other(self, name: str) -> _Candidate:
        """Return another function of the same candidate."""
        return _Candidate(self.talk, name, self.planned, self.all_are, self)


def judge(start: Callable[[], Conversation], job: dict[str, Any]) -> dict[str, Any]:
    """Load the candidate in a child that `start` asks for, then run the tests.

    Gives passed, why not (detail), the candidate's last row, and the CPU seconds of the child.
    """
    try:
        return _judge(start(), job, plan=True)
    except _Unplanned:
        return _judge(start(), job, plan=False)


def _judge(talk: Conversation, job: dict[str, Any], plan: bool) -> dict[str, Any]:
    with talk:
        talk.load(job["source"], job["entry"], judged=True)
        try:
            prepare = _prepared if len(job["tests"]) < _LONG else _prepared.__wrapped__
            tests: _Tests | BaseException = prepare(job["tests"], job["preamble"], job["entry"])
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            tests = error
        planned, all_are = (tests.calls, tests.all_are) if plan and isinstance(tests, _Tests) else ([], False)
        if planned or all_are:
            talk.call(planned, last=all_are)
        loaded = talk.listen()
        if loaded is None or loaded[0] != "value":
            row = loaded or talk.last_row()
            return {"passed": False, "detail": row[3], "row": row, "cpu": talk.cpu}
        candidate = _Candidate(talk, job["entry"], deque(planned), all_are)
        if isinstance(tests, _Tests):
            limits = job["limits"]
            try:
                with (
                    bounds.cpu(limits["cpu_seconds"] * watchdog.PATIENCE + 1),
                    bounds.memory(limits["memory_mb"] + _ROOM),
                ):
                    detail = _run_tests(candidate, job, tests)
            except MemoryError:  # also where what went wrong was put into words
                detail = "MemoryError: the tests needed more memory than they may have over what it returned"
        else:
            detail = _where(tests, job["tests"])
        if candidate.unplanned or (candidate.planned and not detail):
            raise _Unplanned
        spoilt = talk.spoilt()
        row = [spoilt, b"", b"", ""] if spoilt else candidate.row
        return {"passed": detail == "" and not spoilt, "detail": detail, "row": row, "cpu": talk.cpu}


class _Tests(NamedTuple):
    """A test program, ready to run."""

    preamble: types.CodeType
    code: types.CodeType
    calls: list[bytes]
    """What is planned of its calls."""
    all_are: bool
    """Whether it makes no others."""
    names: frozenset[str]
    """The global names that it looks up, less builtins and the candidate's."""
    chance: bool
    """Whether it may draw random numbers."""


@functools.lru_cache(maxsize=256)  # many candidates are tried on one problem
def _prepared(tests: str, preamble: str, entry: str) -> _Tests:
    before = compile(preamble, "<preamble>", "exec", dont_inherit=True)
    tree = ast.parse(tests, _FILE)
    code = compile(tree, _FILE, "exec", dont_inherit=True)
    known = {entry, "candidate", *vars(builtins)}
    # The cheap look first: disassembling costs more than most tests.
    names = _names(code) - known if _all_names(code) - known - _defined(tree) else set()
    return _Tests(before, code, *planned_calls.calls(tree, entry), frozenset(names), "random" in preamble + tests)


def _defined(tree: ast.Module) -> set[str]:
    """Return names that the tests give a meaning to themselves."""
    found = {statement.name for statement in tree.body if isinstance(statement, ast.FunctionDef)}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            found |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return found


def _all_names(code: types.CodeType) -> set[str]:
    """Return global and attribute names in a piece of code and the functions in it."""
    found = set(code.co_names)
    for inner in code.co_consts:
        found |= _all_names(inner) if isinstance(inner, types.CodeType) else set()
    return found


def _run_tests(candidate: _Candidate, job: dict[str, Any], tests: _Tests) -> str:
    """Return empty when they pass, else why not."""
    space: dict[str, Any] = {"__name__": "tests"}
    if tests.chance:
        random.seed(0)  # every candidate gets the same numbers: verdicts repeat
    try:
        exec(tests.preamble, space)
        space[job["entry"]] = space["candidate"] = candidate
        for name in tests.names:
            if name not in space:
                space[name] = _outside(name, candidate)
        exec(tests.code, space)
        check = space.get("check")
        if callable(check) and not isinstance(check, _Candidate):
            check(candidate)
    except _Stopped:
        pass
    except BaseException as error:
        return _where(error, job["tests"])
    return ((candidate.row or ["", b"", b"", ""])[3] or "the candidate was stopped") if candidate.stopped else ""


def _names(code: types.CodeType) -> set[str]:
    """Return the global names that a piece of code and the functions in it may look up."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_NAME", "LOAD_GLOBAL")}
    for inner in code.co_consts:
        found |= _names(inner) if isinstance(inner, types.CodeType) else set()
    return found


def _outside(name: str, candidate: _Candidate) -> Any:
    """Return what a name means that the tests use and do not define: a standard module, or another of its functions."""
    if name in sys.stdlib_module_names:
        return importlib.import_module(name)
    return candidate.other(name)


def _where(error: BaseException, tests: str) -> str:
    """Return the exception with the line of the tests it came from."""
    try:
        said = f"{type(error).__name__}: {error}"
    except BaseException:  # an integer too long for decimal digits, or an error of the tests' own
        said = f"{type(error).__name__} (its text cannot be shown)"
    line, step = 0, error.__traceback__
    while step is not None:
        line = step.tb_lineno if step.tb_frame.f_code.co_filename == _FILE else line
        step = step.tb_next
    text = "".join(tests.splitlines()[line - 1 : line]).strip()
    place = f" at test line {line}: {text}" if line else ""
    return (said[:500] + place[:500]).encode("utf-8", "backslashreplace").decode()
