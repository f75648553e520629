"""What the command line makes of an exception: ours, one that the world can cause, or a bug.

The packages below turn what they foresee into errors of ours, which say most. This is the last net: errors of files,
disks, memory and libraries that got through become one line with what to do next. Anything else is a bug, says so, and
names the file with its traceback.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from parammem.checkout.places import CACHE
from parammem.core.extras import install_command
from parammem.errors import ConfigError, DataError, EngineError, ParamMemError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "a file grew too large"}
"""Errors of the disk that any command may have; files are written beside the old ones first, so these stay whole."""
CRASHES = CACHE / "crashes"
LONGEST = 500
"""Characters of an exception's own words in a message."""


class End(NamedTuple):
    """How a command ends."""

    message: str
    code: int


WEIGHTS = "a file of weights is damaged, or is none; fetch or train it again"
FORESEEN: dict[str, tuple[type[ParamMemError], str]] = {
    "safetensors_rust.SafetensorError": (EngineError, WEIGHTS),
    "safetensors.SafetensorError": (EngineError, WEIGHTS),
    "_pickle.UnpicklingError": (EngineError, WEIGHTS),
    "zipfile.BadZipFile": (DataError, "an archive is damaged; make or fetch it again"),
    "jinja2.TemplateError": (EngineError, "a model's chat template cannot be used; take another model"),
    "torch.OutOfMemoryError": (EngineError, "the GPU's memory is used up; lower engine.batch or train.micro_batch"),
    "yaml.YAMLError": (DataError, "a YAML file cannot be read; mend it, or check it out again"),
    "json.JSONDecodeError": (DataError, "a JSON file cannot be read; mend it, or check it out again"),
    "pydantic_core.ValidationError": (DataError, "a record has another form than this version reads"),
    "gzip.BadGzipFile": (DataError, "a compressed file is damaged; make or fetch it again"),
    "builtins.EOFError": (DataError, "a file ends too soon; make or fetch it again"),
    "builtins.UnicodeDecodeError": (DataError, "a file is no UTF-8 text; convert it (`iconv -t utf-8`)"),
    "sqlite3.Error": (EngineError, "a database file cannot be used; see that the disk has room and nobody holds it"),
    "builtins.RecursionError": (DataError, "something that was read is nested too deep; look at the newest file"),
    "builtins.MemoryError": (ParamMemError, "memory is used up; lower engine.batch or sandbox.workers"),
    "builtins.ConnectionError": (EngineError, "a connection broke; see that the other side runs, and run again"),
}
"""Exceptions by package and name of a class among their ancestors, so that no library is imported for it; with the
branch of our tree whose exit code fits, and what to do."""


def ending(error: Exception) -> End:
    """Return how the command ends that was stopped by an error. A bug's traceback is written down."""
    if isinstance(error, ParamMemError):
        return End(str(error), error.exit_code)
    said = f"{type(error).__name__}: {str(error)[:LONGEST]}".rstrip(": ")
    for ancestor in type(error).__mro__:
        found = FORESEEN.get(f"{ancestor.__module__.partition('.')[0]}.{ancestor.__qualname__}")
        if found:
            kind, advice = found
            return End(f"{advice} ({said}; `parammem --debug …` shows where)", kind.exit_code)
    if isinstance(error, OSError):
        return _of_the_disk(error)
    if isinstance(error, ModuleNotFoundError) and _is_foreign(error.name):
        command = install_command(str(error.name))
        return End(f"this needs the library {error.name}, which is not installed; run: {command}", 1)
    return End(f"this is a bug of parammem: {said}; {_kept(error)}, please report it", ParamMemError.exit_code)


def _is_foreign(module: str | None) -> bool:
    """Return whether a module that is missing is a package of others, and not one that this package should have."""
    top = (module or "parammem").partition(".")[0]
    return top != "parammem" and top not in sys.stdlib_module_names


def _of_the_disk(error: OSError) -> End:
    if error.errno in FULL:
        words = f"{FULL[error.errno]} ({error}); files are as they were: make room, then run the same again"
        return End(words, ParamMemError.exit_code)
    if error.filename is None:
        return End(f"this is a bug of parammem: {error}; {_kept(error)}, please report it", ParamMemError.exit_code)
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    kind = ConfigError if Path(name).name == "params.yaml" else DataError
    words = f"{name!r} cannot be used: {error.strerror}; see that it is there, of the right kind, and yours to use"
    return End(words, kind.exit_code)


def _kept(error: Exception) -> str:
    """Write the traceback down; says where."""
    text = "".join(traceback.format_exception(error))
    try:
        CRASHES.mkdir(exist_ok=True)  # in the project's own cache, where there is one
        folder = CRASHES
    except OSError:
        folder = Path(tempfile.gettempdir())
    try:
        number, name = tempfile.mkstemp(".txt", f"parammem-{time.strftime('%Y%m%d-%H%M%S')}-", folder, text=True)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return f"its traceback:\n{text}\n(it could not be written down)"
    return f"its traceback is in {name!r}"
