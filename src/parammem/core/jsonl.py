"""Read and write any record as JSON Lines: atomic, in stable order, with errors that name the line.

The one reader of JSON lines. Lines end at newline bytes and nowhere else: `str.splitlines` also ends them at U+2028,
U+2029, U+0085, form feeds and others that JSON text may hold as they are, and `bytes.splitlines` at a lone CR.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar, cast

from pydantic import ValidationError

from parammem.core.record import Record
from parammem.errors import DataError, RecordError

R = TypeVar("R", bound=Record)

LONGEST = 256 << 20
"""Bytes of a line in files of our own. The longest known ones, keys of a benchmark with large tests, have a tenth."""
BLOCK = 1 << 20
PACKED, RATIO = 64 << 20, 100
"""Bytes that gzip data may always unpack to, and how many times its size beyond them: a bomb has a thousand times."""
BOM = b"\xef\xbb\xbf"
NOT_TEXT = {
    b"\xff\xfe": "it is UTF-16 text; convert it: `iconv -f UTF-16 -t UTF-8`",
    b"\xfe\xff": "it is UTF-16 text; convert it: `iconv -f UTF-16 -t UTF-8`",
    b"PAR1": "it is a Parquet file; give JSON lines: `pandas.read_parquet(…).to_json(…, orient='records', lines=True)`",
    b"\x28\xb5\x2f\xfd": "it is packed with zstd; unpack it first, or pack it with gzip",
    b"BZh": "it is packed with bzip2; unpack it first, or pack it with gzip",
    b"\xfd7zXZ": "it is packed with xz; unpack it first, or pack it with gzip",
    b"PK\x03\x04": "it is a zip archive; unpack it first",
    b"version https://git-lfs": "it is a git-lfs pointer, not the file itself; run `git lfs pull` where it is from",
}
"""How files begin that are no JSON, and what to do with each."""
_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE = re.compile(rb'["\\]')


class Line(NamedTuple):
    """One line, or one element of a JSON array, without its end."""

    number: int
    """From 1."""
    data: bytes
    """Its bytes; only the first ones of a line that is too long."""
    size: int
    """Bytes that it really has."""
    file: Path
    offset: int
    """Where it begins in the file, once that is unpacked."""

    @property
    def too_long(self) -> bool:
        return self.size > len(self.data)


def text_lines(text: str) -> list[str]:
    """Return the lines of a text that a program printed, without their ends: split at newlines only."""
    return text.removesuffix("\n").split("\n") if text else []


def byte_lines(data: bytes) -> list[bytes]:
    """Return the lines of a file's bytes that are not blank, without byte order mark and line ends."""
    lines = (line.removesuffix(b"\r") for line in data.removeprefix(BOM).split(b"\n"))
    return [line for line in lines if line.strip()]


def iter_lines(path: Path | str, longest: int = LONGEST) -> Iterator[Line]:
    """Yield every line of a file that is not blank, or every element of the JSON array that it holds.

    A byte order mark, CR LF and gzip are read through. Memory holds one line, and never more than `longest` of it.

    Raises:
        DataError: there is no such file, its gzip data is broken, or it is no JSON but of a form that is known.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}; the stage that writes it has not run: try `dvc repro`")
    with path.open("rb") as file:
        yield from lines_of(file, path, longest)


def lines_of(file: IO[bytes], path: Path, longest: int = LONGEST) -> Iterator[Line]:
    """Yield the same of a file that is open for reading, at its beginning. `path` is for errors and for `Line.file`."""
    try:
        stream = unpacked(file)
        start, first = _beginning(stream)
        for begins, said in NOT_TEXT.items():
            if first.startswith(begins):
                raise DataError(said)
        stream.seek(start)
        if first.startswith(b"["):
            yield from _elements(stream, path, longest, start, floor=1)
        elif path.name.removesuffix(".gz").endswith((".json", ".traj")) and not _is_json(first):
            yield from _elements(stream, path, longest, start, floor=0)  # objects written over several lines
        else:
            yield from _plain_lines(stream, path, longest, start)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: its gzip data is broken ({error}); fetch or pack the file again") from error
    except DataError as error:  # it unpacks to too much, or is of another form
        raise DataError(f"{path}: {error}") from error


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """Return the file itself, or what is packed in it if it begins as gzip data does.

    Reading more of it than PACKED and RATIO allow raises DataError.
    """
    packed = file.read(2) == b"\x1f\x8b"
    most = PACKED + RATIO * file.seek(0, os.SEEK_END)
    file.seek(0)
    return cast("IO[bytes]", _Unpacked(gzip.GzipFile(fileobj=file), most)) if packed else file


class _Unpacked:
    """Gzip data that is read up to a bound."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream, self._most = stream, most

    def read(self, size: int = -1) -> bytes:
        return self._bounded(self._stream.read(size if size >= 0 else self._most + 1))

    def readline(self, size: int) -> bytes:
        return self._bounded(self._stream.readline(size))

    def peek(self) -> bytes:
        return self._stream.peek(BLOCK)

    def seek(self, offset: int) -> int:
        return self._stream.seek(offset)

    def _bounded(self, data: bytes) -> bytes:
        if self._stream.tell() > self._most:
            raise DataError(f"its gzip data unpacks to more than {self._most} bytes; unpack the file first")
        return data


def _beginning(stream: IO[bytes]) -> tuple[int, bytes]:
    """Return where the text begins, behind a byte order mark, and its first line that is not blank (at most BLOCK of
    it)."""
    start = len(BOM) if stream.read(len(BOM)) == BOM else 0
    stream.seek(start)
    while line := stream.readline(BLOCK):
        if line.strip():
            return start, line.strip()
        _skip_blank(stream)
    return start, b""


def _skip_blank(stream: Any) -> tuple[int, int]:
    """Pass over the blank lines that come next and are in the buffer already, all at once: a small gzip file can hold
    a hundred million. Returns how many lines and bytes."""
    ahead = stream.peek()
    end = ahead.rfind(b"\n", 0, len(ahead) - len(ahead.lstrip())) + 1
    return ahead.count(b"\n", 0, end), len(stream.read(end))


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _plain_lines(stream: IO[bytes], path: Path, longest: int, offset: int) -> Iterator[Line]:
    number = 0
    while start := stream.readline(longest):
        number += 1
        size = len(start)
        last = start
        while not last.endswith(b"\n") and (last := stream.readline(BLOCK)):  # the rest of a line that is too long
            size += len(last)
        if start.strip():
            data = start.rstrip(b"\r\n") if size == len(start) else start
            yield Line(number, data, len(data) if size == len(start) else size, path, offset)
        offset += size
        if last.endswith(b"\n") and not last.strip():
            lines, passed = _skip_blank(stream)
            number, offset = number + lines, offset + passed


def _elements(stream: IO[bytes], path: Path, longest: int, offset: int, floor: int) -> Iterator[Line]:
    """Yield the elements of an array (floor 1), or values one after the other (floor 0); what stands behind comes last.

    Brackets are counted, and not whether they match: a broken element does not parse, and its neighbours do.
    """
    scan = _Scan(path, longest, offset, floor)
    while block := stream.read(BLOCK):
        yield from scan.feed(block)
    yield from scan.end()


class _Scan:
    """What is known of an array in the middle of a block."""

    def __init__(self, path: Path, longest: int, offset: int, floor: int) -> None:
        self.path, self.longest, self.floor = path, longest, floor
        self.number = self.depth = 0
        self.quoted = self.skip = False
        self.begin, self.size, self.kept = offset, 0, bytearray()

    def feed(self, block: bytes) -> Iterator[Line]:
        at, taken = int(self.skip), 0  # the byte behind a backslash is passed over
        self.skip = False
        while found := (_INSIDE if self.quoted else _OUTSIDE).search(block, at):
            mark, at = found[0], found.end()
            if mark == b"\\":
                self.skip = at == len(block)
                at += not self.skip
            elif mark == b'"':
                self.quoted = not self.quoted
            elif ends := self._is_end(mark):
                keep = at if ends == "with it" else at - 1
                yield from self._flush(block[taken:keep], at - keep)
                taken = at
        self._keep(block[taken:])

    def _is_end(self, mark: bytes) -> str:
        """Return whether an element ends at this mark, with it or before it; empty: it does not."""
        before = self.depth
        self.depth = max(0, before + (mark in b"[{") - (mark in b"]}"))
        if self.floor:
            outer = before == 0 and mark == b"["
            return "before" if outer or (mark == b"," and before == 1) or self.depth == 0 < before else ""
        return "with it" if self.depth == 0 and mark in b"]}" else ""

    def _keep(self, data: bytes) -> None:
        if not self.size:  # blanks before an element are none of it
            whole = len(data)
            data = data.lstrip()
            self.begin += whole - len(data)
        self.size += len(data)
        self.kept += data[: max(0, self.longest - len(self.kept))]

    def _flush(self, data: bytes, behind: int) -> Iterator[Line]:
        self._keep(data)
        yield from self.end()
        self.begin += self.size + behind
        self.size, self.kept = 0, bytearray()

    def end(self) -> Iterator[Line]:
        """Yield the element that was begun, if there is one."""
        if self.kept.strip():
            self.number += 1
            data = bytes(self.kept) if self.size > len(self.kept) else bytes(self.kept).rstrip()
            size = self.size if self.size > len(self.kept) else len(data)
            yield Line(self.number, data, size, self.path, self.begin)


def iter_values(path: Path | str) -> Iterator[tuple[int, Any]]:
    """Yield (line, parsed JSON) of a file of any JSON lines, whatever they hold. Raises as `iter_jsonl` does."""
    for line in iter_lines(path):
        _refuse_too_long(line, "JSON")
        try:
            yield line.number, json.loads(line.data)
        except (ValueError, RecursionError) as error:
            said = str(error) if isinstance(error, ValueError) else "nested too deep"
            raise RecordError(
                f"{path}:{line.number}: not JSON: {said}; mend or remove this line, nothing was changed"
            ) from error


def iter_jsonl(path: Path | str, kind: type[R]) -> Iterator[R]:
    """Yield the records of a file, one at a time (memory stays flat).

    Raises:
        DataError: there is no such file.
        RecordError: a line is not valid JSON, not a record of this kind, or longer than LONGEST.
    """
    for line in iter_lines(path):  # as bytes: a line that is not UTF-8 is reported like any other broken line
        _refuse_too_long(line, f"a {kind.__name__}")
        try:
            yield kind.model_validate_json(line.data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            raise RecordError(
                f"{path}:{line.number}: not a {kind.__name__}: {where}: {first['msg']}; "
                "mend or remove this line, nothing was changed"
            ) from error


def _refuse_too_long(line: Line, what: str) -> None:
    if line.too_long:
        raise RecordError(
            f"{line.file}:{line.number}: not {what}: the line has {line.size} bytes, and at most {len(line.data)} are "
            "read; mend or remove this line, nothing was changed"
        )


def read_jsonl(path: Path | str, kind: type[R]) -> list[R]:
    """Return all records of a file. Raises as `iter_jsonl` does."""
    return list(iter_jsonl(path, kind))


def write_jsonl(path: Path | str, records: Iterable[Record]) -> None:
    """Write records so that the file is either the old one or the whole new one, also after a crash."""
    write_text(path, "".join(record.line() + "\n" for record in records))


def write_text(path: Path | str, text: str, mode: int = 0o644) -> None:
    """Write a text file atomically: a temporary file beside it, flushed to disk, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
