"""A source: one file, or the small reports of an inbox taken together. Read line by line, whatever its size."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from parammem.core.escape import shown
from parammem.core.jsonl import BLOCK, Line, lines_of, unpacked
from parammem.errors import DataError, ParamMemError
from parammem.experience.zipped import is_zip, member_blocks, sample_lines
from parammem.validation.private import find_private

LONGEST_LINE = 4 << 20
"""Bytes of a row of lines. A run is some kilobytes; beyond this a line is something else, and is set aside unread."""
LONGEST_DOCUMENT = 32 << 20
"""Bytes of a row in a file that holds one run, or a sample of Inspect's, whole."""
DOCUMENTS = (".traj", ".traj.gz", ".json", ".json.gz", ".eval")
SUFFIXES = (".jsonl", ".jsonl.gz", *DOCUMENTS)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that concern every source, and not the one at hand."""


@dataclass(frozen=True)
class Source:
    """Files that are ingested as one batch."""

    name: str
    """For people; printable, whatever the file is called."""
    files: tuple[Path, ...]
    device: int | None = None
    """The file system that they must be on, with no link to them followed; None: a person named the file."""

    @classmethod
    def of(cls, file: Path) -> Source:
        """Return a file that a person names; links are followed. Raises DataError when it is no regular file."""
        if not file.exists():
            raise DataError(f"no file {str(file)!r}; give a file of trajectories or transcripts")
        source = cls(name_for_people(file.name), (file,))
        source.opened(file).close()
        return source

    def opened(self, file: Path) -> IO[bytes]:
        """Return a file of the source, open for reading.

        Raises:
            DataError: it is no regular file, a link, or on another file system; it cannot be read.
        """
        return open_regular(file, self.device, self._shown(file))

    def digest(self) -> str:
        """Return SHA-256 of the files' bytes, one after the other, in blocks. Raises DataError as `opened`."""
        hasher = hashlib.sha256()
        for file in self.files:
            with self.opened(file) as data:
                while block := data.read(BLOCK):
                    hasher.update(block)
        return hasher.hexdigest()

    def lines(self) -> Iterator[Line]:
        """Yield every line that is not blank, numbered over all files. Memory holds one line, and never more than
        LONGEST_LINE of it. Raises DataError as `opened`, and where gzip data is broken."""
        before = 0
        for file in self.files:
            number = 0
            with self.opened(file) as data:
                for line in self._named(_lines(data, file), file):
                    number = line.number
                    yield line._replace(number=before + number)
            before += number

    def _named(self, lines: Iterator[Line], file: Path) -> Iterator[Line]:
        """Yield the lines; what is wrong with the file is said of its name as it may be shown."""
        try:
            yield from lines
        except DataError as error:
            raise DataError(str(error).replace(str(file), self._shown(file))) from error.__cause__

    def _shown(self, file: Path) -> str:
        return self.name if len(self.files) == 1 else name_for_people(file.name)

    def copy_line(self, line: Line, out: IO[bytes]) -> str:
        """Copy a line's bytes as they came, in blocks. Returns their SHA-256."""
        if not line.too_long:
            out.write(line.data)
            return hashlib.sha256(line.data).hexdigest()
        hasher = hashlib.sha256()
        left = line.size
        with self.opened(line.file) as file:
            if is_zip(file):
                for block in member_blocks(file, line.offset):
                    hasher.update(block)
                    out.write(block)
                return hasher.hexdigest()
            data = unpacked(file)
            data.seek(line.offset)
            while left:
                block = data.read(min(left, BLOCK))
                if not block:
                    raise DataError(f"{self.name} was changed while it was being read; ingest it again")
                hasher.update(block)
                out.write(block)
                left -= len(block)
        return hasher.hexdigest()


def longest_of(file: Path) -> int:
    """Return how many bytes a row of a file may have, by the file's name."""
    return LONGEST_DOCUMENT if file.name.endswith(DOCUMENTS) else LONGEST_LINE


def _lines(data: IO[bytes], file: Path) -> Iterator[Line]:
    if is_zip(data):
        return sample_lines(data, file, longest_of(file))
    return lines_of(data, file, longest_of(file))


def name_for_people(name: str) -> str:
    """Return a file's name as one printable line; without its words where it holds a secret or personal data: the
    ledger and commit messages keep it, and both are pushed."""
    bare = name.removesuffix(".gz").rpartition(".")[0]
    if find_private(f"{bare}\n{name}"):
        return f"a file with private data in its name ({hashlib.sha256(os.fsencode(name)).hexdigest()[:8]})"
    return shown(name)


def open_regular(file: Path, device: int | None = None, name: str = "") -> IO[bytes]:
    """Return a file, open for reading if it is a regular one. Never waits for a writer, as opening a FIFO would.

    Args:
        device: the file system that it must be on, with no link followed; None: links are followed.
        name: of the file, for people; empty: its own.

    Raises:
        DataError: it is something else, or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if device is None else os.O_NOFOLLOW)
    try:
        handle = os.open(file, flags)
    except OSError as error:
        link = " (a link is not followed)" if error.errno == errno.ELOOP else ""
        raise DataError(f"{name or name_for_people(file.name)} cannot be read: {error.strerror}{link}") from error
    try:
        why = fault_of_file(os.fstat(handle), device)
        if why:
            raise DataError(f"{name or name_for_people(file.name)} is {why}")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def fault_of_file(found: os.stat_result, device: int | None) -> str:
    """Return in words what a file is if it is none that is ingested; empty if it is."""
    if stat.S_ISLNK(found.st_mode):
        return "a link, which is not followed; copy the file itself"
    if not stat.S_ISREG(found.st_mode):
        return "no regular file"
    if device is not None and found.st_dev != device:
        return "on another file system; copy it into the inbox"
    if device is not None and found.st_nlink > 1:
        return "a hard link to a file that has another name too; copy it into the inbox"
    return ""


def words_of(error: Exception) -> str:
    """Return what was raised, for people: our own words, or the kind of any other error."""
    if isinstance(error, ParamMemError):
        return str(error)
    said = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return f"it cannot be ingested ({type(error).__name__}{said}); look at the file, and report the error"


def concerns_all(error: Exception) -> bool:
    """Return whether an error is no fault of the source at hand: a full disk, say."""
    return isinstance(error, OSError) and error.errno in FULL
