"""The header of a GGUF file, read within bounds before a library sees it: one number in it can ask for an endless loop.

Layout: magic, version, numbers of tensors and settings; settings (name, kind, value); tensors (name, sides, kind,
place); then their data. Nothing here reads the data.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO, Any, NamedTuple

from parammem.engines.loading import MOST_LAYERS

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SIMPLE = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Kinds of values of a fixed size → their form for `struct`."""
TEXT, ARRAY = 8, 9
MOST_SETTINGS, MOST_TENSORS, MOST_ITEMS = 10_000, 200_000, 4_000_000
"""Of a file; of all its arrays together. The largest vocabularies have some 300,000 tokens, each in three arrays."""
LONGEST_NAME, LONGEST_TEXT = 65_535, 16 << 20
"""Bytes."""
COUNTS = ("block_count", "expert_count", "layer_count")
"""Ends of the names of settings by which a library builds parts of a model one by one."""


class GgufHeader(NamedTuple):
    """What a file's header says."""

    settings: dict[str, Any]
    """Simple values and texts; of an array its length."""
    numbers: int
    """In all tensors together."""


def read_header(file: Path) -> GgufHeader:
    """Return a file's header. Raises ValueError, in words, where it is broken or out of bounds."""
    with file.open("rb") as data:
        return _Header(data, file.stat().st_size).read()


class _Header:
    def __init__(self, data: IO[bytes], size: int) -> None:
        self._data, self._left, self._items = data, size, 0

    def read(self) -> GgufHeader:
        magic, version, tensors, settings = self._unpack("4sIQQ")
        if magic != MAGIC or version not in VERSIONS:
            raise ValueError(
                f"its version is none of {', '.join(map(str, VERSIONS))}, or its bytes are in another order"
            )
        if tensors > MOST_TENSORS or settings > MOST_SETTINGS:
            raise ValueError(f"it says that it has {tensors} tensors and {settings} settings")
        found = dict(self._setting() for _ in range(settings))
        return GgufHeader(found, sum(self._tensor() for _ in range(tensors)))

    def _setting(self) -> tuple[str, Any]:
        name, kind = self._text(LONGEST_NAME), self._unpack("I")[0]
        if kind == TEXT:
            return name, self._text(LONGEST_TEXT)
        if kind == ARRAY:
            return name, self._array()
        value = self._unpack(self._form(kind))[0]
        if name.endswith(COUNTS) and not 0 <= value <= MOST_LAYERS:
            raise ValueError(f"it asks for {value} of {name.rpartition('.')[2]}, and {MOST_LAYERS} are allowed")
        return name, value

    def _array(self) -> int:
        kind, length = self._unpack("IQ")
        self._items += length
        if self._items > MOST_ITEMS:
            raise ValueError(f"its arrays have more than {MOST_ITEMS} items")
        if kind == TEXT:
            for _ in range(length):
                self._skip(self._unpack("Q")[0])
        else:
            self._skip(length * struct.calcsize(f"<{self._form(kind)}"))
        return length

    def _tensor(self) -> int:
        """Return how many numbers are in a tensor."""
        self._text(LONGEST_NAME)
        many = self._unpack("I")[0]
        if many > 8:
            raise ValueError(f"a tensor has {many} sides")
        sides = self._unpack(f"{many}Q")
        self._unpack("IQ")
        return math.prod(sides)

    def _form(self, kind: int) -> str:
        if kind not in SIMPLE:
            raise ValueError("a setting is of a kind that is not known, or an array of arrays")
        return SIMPLE[kind]

    def _text(self, most: int) -> str:
        size = self._unpack("Q")[0]
        if size > most:
            raise ValueError(f"a text has {size} bytes, and {most} are allowed")
        return self._take(size).decode("utf-8", "replace")

    def _unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))

    def _take(self, size: int) -> bytes:
        self._count(size)
        found = self._data.read(size)
        if len(found) < size:
            raise ValueError("it ends in the middle of its header")
        return found

    def _skip(self, size: int) -> None:
        self._count(size)
        self._data.seek(size, 1)

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("it ends in the middle of its header")
