"""Read and write any record as JSON Lines: atomic, in stable order, with errors that name the line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from parammem.core.record import Record
from parammem.errors import DataError, RecordError

R = TypeVar("R", bound=Record)


def iter_jsonl(path: Path | str, kind: type[R]) -> Iterator[R]:
    """Yield the records of a file, one at a time (memory stays flat).

    Raises:
        DataError: there is no such file.
        RecordError: a line is not valid JSON or not a record of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}; the stage that writes it has not run: try `dvc repro`")
    with path.open("rb") as lines:  # as bytes: a line that is not UTF-8 is reported like any other broken line
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                first = error.errors(include_url=False, include_context=False)[0]
                where = ".".join(str(part) for part in first["loc"]) or "the line"
                raise RecordError(
                    f"{path}:{number}: not a {kind.__name__}: {where}: {first['msg']}; "
                    "mend or remove this line, nothing was changed"
                ) from error


def read_jsonl(path: Path | str, kind: type[R]) -> list[R]:
    """All records of a file. Raises as `iter_jsonl` does."""
    return list(iter_jsonl(path, kind))


def write_jsonl(path: Path | str, records: Iterable[Record]) -> None:
    """Write records so that the file is either the old one or the whole new one, also after a crash."""
    write_text(path, "".join(record.line() + "\n" for record in records))


def write_text(path: Path | str, text: str) -> None:
    """Write a text file atomically: a temporary file beside it, flushed to disk, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
