"""What a child says beside an answer: the arguments that were changed in place, and the kinds of what was raised.

A note is plain data like the answer itself: the tests see what they would see of a candidate in their own process, and
no object of it.
"""

from __future__ import annotations

import builtins
from marshal import dumps
from typing import Any

from . import wire

_MUTABLE = (list, dict, set, bytearray)
_SILENT = (StopIteration, StopAsyncIteration)
"""What ends a loop without a word: `all(map(candidate, ...))` would pass. Every other builtin exception has to be
caught by the tests' own text, or by a method that they define and that says so (`__getattr__`, `__getitem__`)."""
_STANDARD = {
    "binascii": ("Error", "Incomplete"),
    "decimal": ("DecimalException", "DivisionByZero", "InvalidOperation", "Overflow"),
    "json.decoder": ("JSONDecodeError",),
    "queue": ("Empty", "Full"),
    "re": ("error",),
    "statistics": ("StatisticsError",),
    "struct": ("error",),
    "zlib": ("error",),
}
"""Modules whose exceptions tests may expect; nothing else is imported on a child's word."""


class CandidateError(Exception):
    """The candidate raised something that is no builtin exception, or one of those that end loops."""


def of(raised: BaseException | None, call: bytes, name: str, args: Any, kwargs: Any, alone: bool) -> bytes:
    """Return the note that goes with an answer; empty where there is nothing to say."""
    note: dict[str, Any] = {}
    if raised is not None:
        note["raised"] = _kinds(raised)
    if alone and _changed(call, name, args, kwargs):
        note["args"] = (args, kwargs)
    if not note:
        return b""
    try:
        return wire.encode(note)
    except Exception:  # an argument or message that cannot travel: the rest may
        note.pop("args", None)
    try:
        if raised is not None:
            note["raised"] = (*note["raised"][:3], None)
        return wire.encode(note) if note else b""
    except Exception:
        return b""


def _changed(call: bytes, name: str, args: Any, kwargs: Any) -> bool:
    if kwargs is None or not (any(not isinstance(arg, (int, float, str)) for arg in (*args, *kwargs.values()))):
        return False
    try:
        return dumps((name, args, kwargs), 2) != call
    except (ValueError, RecursionError):
        return True


def _kinds(error: BaseException) -> tuple[str, list[tuple[str, str]], str, Any]:
    """Return an error's name, the classes that it is of (module, name), its text, and its arguments."""
    kind = type(error)
    try:
        text = str(error)
    except BaseException:
        text = ""
    return kind.__name__, [(str(base.__module__), base.__qualname__) for base in kind.__mro__][:20], text, error.args


def exception_of(said: Any) -> Exception:
    """Return the exception that the candidate says it raised, so that tests may expect it: of the nearest class that is
    builtin or in `_STANDARD`, under its own name, with its own text."""
    name, bases, text, args = said
    silent = {kind.__name__ for kind in _SILENT}
    found = [_class_of(str(module), str(base)) for module, base in bases]
    known = next((kind for kind in found if kind is not None), None)
    if known is None or any(base in silent for _, base in bases):
        return CandidateError(f"{name}: {text}")
    kind = known
    if found[0] is None:  # a subclass of the candidate's own
        kind = type(str(name)[:100], (known,), {"__module__": "solution", "__str__": lambda self: text})
    try:
        made = kind.__new__(kind, *(args or (text,)))
        made.args = tuple(args) if isinstance(args, tuple) else (text,)
    except Exception:
        return CandidateError(f"{name}: {text}")
    return made


def _class_of(module: str, name: str) -> type[Exception] | None:
    if module == "builtins":
        found = getattr(builtins, name, None)
    elif name in _STANDARD.get(module, ()):
        found = getattr(__import__(module, fromlist=[name]), name, None)
    else:
        return None
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def put_back(mine: Any, theirs: Any) -> Any:
    """Return the caller's object with the contents that it has in the child now: lists, sets, dicts and what they hold
    keep their identity where they keep their type."""
    kind = type(mine)
    if kind is not type(theirs):
        return theirs
    if kind is list:
        mine[:] = [*(put_back(a, b) for a, b in zip(mine, theirs, strict=False)), *theirs[len(mine) :]]
    elif kind is tuple and len(mine) == len(theirs):
        new = tuple([put_back(a, b) for a, b in zip(mine, theirs, strict=True)])
        return mine if all(a is b for a, b in zip(mine, new, strict=True)) else new
    elif isinstance(mine, dict):
        new = {key: put_back(mine[key], value) if key in mine else value for key, value in theirs.items()}
        mine.clear()
        mine.update(new)
    elif kind is set:
        mine.clear()
        mine.update(theirs)
    elif kind is bytearray:
        mine[:] = theirs
    elif hasattr(mine, "maxlen") and hasattr(mine, "extend"):  # a deque
        mine.clear()
        mine.extend(theirs)
    else:
        return theirs
    return mine
