"""Samples of an Inspect `.eval` file, which is a zip, each as one line of a source."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from parammem.core.jsonl import BLOCK, PACKED, RATIO, Line
from parammem.errors import DataError

MAGIC = b"PK\x03\x04"
SAMPLES = "samples/"
MOST = 200_000
"""Members that such a file may have."""


def is_zip(data: IO[bytes]) -> bool:
    """Return whether an open file is a zip; it is at its beginning afterwards."""
    data.seek(0)
    found = data.read(len(MAGIC)) == MAGIC
    data.seek(0)
    return found


def sample_lines(data: IO[bytes], path: Path, longest: int) -> Iterator[Line]:
    """Yield the samples of an open `.eval` file, in their order. `Line.offset` is the member's place in the zip.

    Raises:
        DataError: it is broken, no log of Inspect, or unpacks to many times its size.
    """
    try:
        with zipfile.ZipFile(data) as packed:
            members = packed.infolist()
            samples = [(at, one) for at, one in enumerate(members) if _is_sample(one.filename)]
            if not samples or len(members) > MOST:
                raise DataError(f"{path}: a zip without samples/*.json of Inspect, or of more than {MOST} files")
            whole = sum(member.file_size for _, member in samples)
            if whole > PACKED + RATIO * data.seek(0, os.SEEK_END):
                raise DataError(f"{path}: its samples unpack to {whole} bytes, many times its size; pack it again")
            for number, (at, member) in enumerate(samples, 1):
                if member.file_size > max(RATIO * member.compress_size, longest):
                    yield Line(number, b"", member.file_size or 1, path, at)
                    continue
                with packed.open(member) as sample:
                    text = sample.read(longest + 1)
                size = len(text) if len(text) <= longest else max(member.file_size, len(text))
                yield Line(number, text if len(text) <= longest else b"", size, path, at)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(
            f"{path}: this .eval file is broken ({type(error).__name__}); copy or write it again"
        ) from error


def _is_sample(name: str) -> bool:
    return name.startswith(SAMPLES) and name.endswith(".json")


def member_blocks(data: IO[bytes], place: int) -> Iterator[bytes]:
    """Yield the bytes of a member, by its place in the zip."""
    with zipfile.ZipFile(data) as packed, packed.open(packed.infolist()[place]) as member:
        while block := member.read(BLOCK):
            yield block
