"""A source: one file, or the small reports of an inbox taken together. Read line by line, whatever its size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from parammem.errors import DataError

LONGEST_LINE = 4 << 20
"""Bytes. A trajectory is some kilobytes; beyond this a line is something else, and is set aside unread."""
BLOCK = 1 << 20


class Line(NamedTuple):
    """One line, without its end."""

    number: int
    """From 1, over all files of the source."""
    data: bytes
    """Its bytes; only the first LONGEST_LINE of a longer one."""
    size: int
    """Bytes that it really has."""
    file: Path
    offset: int
    """Where it begins in that file."""

    @property
    def too_long(self) -> bool:
        return self.size > len(self.data)


@dataclass(frozen=True)
class Source:
    """Files that are ingested as one batch."""

    name: str
    """For people."""
    files: tuple[Path, ...]

    @classmethod
    def of(cls, file: Path) -> Source:
        """Raises DataError when there is no such file."""
        if not file.is_file():
            raise DataError(f"no file {str(file)!r}; give a .jsonl file of trajectories or transcripts")
        return cls(file.name, (file,))

    def digest(self) -> str:
        """SHA-256 of the files' bytes, one after the other, in blocks."""
        hasher = hashlib.sha256()
        for file in self.files:
            with file.open("rb") as data:
                while block := data.read(BLOCK):
                    hasher.update(block)
        return hasher.hexdigest()

    def lines(self) -> Iterator[Line]:
        """Every line that is not blank. Memory holds one line, and never more than LONGEST_LINE of it."""
        number = 0
        for file in self.files:
            with file.open("rb") as data:
                while True:
                    offset = data.tell()
                    start = data.readline(LONGEST_LINE)
                    if not start:
                        break
                    number += 1
                    size = len(start) + _rest(data, start)
                    if start.strip():
                        kept = start.rstrip(b"\r\n") if size == len(start) else start
                        yield Line(number, kept, len(kept) if size == len(start) else size, file, offset)


def _rest(data, start: bytes) -> int:
    """Reads on to the end of a line that was longer than what was read of it; how many bytes that were."""
    size = 0
    last = start
    while not last.endswith(b"\n"):
        last = data.readline(BLOCK)
        if not last:
            break
        size += len(last)
    return size


def copy_line(line: Line, to: Path) -> str:
    """Copy a line's bytes as they came, in blocks. Returns their SHA-256."""
    hasher = hashlib.sha256()
    left = line.size
    with line.file.open("rb") as data, to.open("wb") as out:
        data.seek(line.offset)
        while left:
            block = data.read(min(left, BLOCK))
            if not block:
                raise DataError(f"{line.file} was changed while it was being read; ingest it again")
            hasher.update(block)
            out.write(block)
            left -= len(block)
    return hasher.hexdigest()
