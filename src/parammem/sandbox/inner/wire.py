"""The wire: plain builtin values as tagged bytes, and length-prefixed frames.

One value is a tag byte and a body; integers of any size travel as signed little-endian bytes, so that no decimal
conversion is ever needed. Decoding builds exact builtin types only, and is bounded in size, depth, count and time.

What the trusted side sends needs no such care and travels packed (`pack`), which costs a tenth.
"""

from __future__ import annotations

import marshal
import struct
import time
from typing import Any

from . import rich

MAX_DEPTH = 150
MAX_NODES = 2_000_000
_RUN = 32
"""A list of at least so many whole numbers, or of so many floats, travels as one piece."""
_LENGTH = struct.Struct(">I")
_FLOAT = struct.Struct(">d")
_COMPLEX = struct.Struct(">dd")


class WireError(ValueError):
    """A value cannot be carried, or bytes are not a value."""


def encode(value: Any) -> bytes:
    """Return the bytes of a plain value. Subclasses of builtin types travel as their base type's value.

    Raises:
        WireError: something in it is no plain value, or it is nested too deeply or too large.
    """
    out: list[bytes] = []
    _put(value, out, 0)
    return b"".join(out)


def _put(value: Any, out: list[bytes], depth: int) -> None:
    kind = type(value)
    if kind is int:
        body = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        out.append(b"i" + _LENGTH.pack(len(body)) + body)
    elif kind is str:
        body = value.encode("utf-8", "surrogatepass")
        out.append(b"s" + _LENGTH.pack(len(body)) + body)
    elif value is None or kind is bool:
        out.append(b"N" if value is None else b"T" if value else b"F")
    elif kind is float:
        out.append(b"f" + _FLOAT.pack(value))
    elif kind in _SEQUENCES:
        if len(value) >= _RUN and (kind is list or kind is tuple) and _put_run(_SEQUENCES[kind], value, out):
            return
        _put_items(_SEQUENCES[kind], value, len(value), out, depth)
    elif kind is dict:
        _put_items(b"d", (part for pair in value.items() for part in pair), len(value), out, depth)
    elif kind is bytes:
        out.append(b"b" + _LENGTH.pack(len(value)) + value)
    elif kind is complex:
        out.append(b"c" + _COMPLEX.pack(value.real, value.imag))
    else:
        _put_other(value, out, depth)


_SEQUENCES = {list: b"l", tuple: b"t", set: b"S", frozenset: b"Z"}


def _put_items(tag: bytes, items: Any, count: int, out: list[bytes], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise WireError(f"a value nested more than {MAX_DEPTH} deep")
    if len(out) + count > MAX_NODES:
        raise WireError(f"a value of more than {MAX_NODES} parts")
    out.append(tag + _LENGTH.pack(count))
    for item in items:
        _put(item, out, depth + 1)


def _put_run(tag: bytes, items: Any, out: list[bytes]) -> bool:
    """Put many numbers of one type at once; False where they are not that, and nothing was put."""
    code = {int: "q", float: "d"}.get(type(items[0]), "")
    if not code or len(items) > MAX_NODES or set(map(type, items)) != {type(items[0])}:
        return False
    try:
        numbers = struct.pack(f"<{len(items)}{code}", *items)
    except struct.error:  # one of more than 64 bits
        return False
    out.append((b"q" if code == "q" else b"g") + tag + _LENGTH.pack(len(items)) + numbers)
    return True


def _put_other(value: Any, out: list[bytes], depth: int) -> None:
    parts = rich.parts_of(value)
    if parts is None:
        _put(_as_base(value), out, depth)
    elif parts[0] == "plain":
        _put(parts[1], out, depth)
    elif depth >= MAX_DEPTH:
        raise WireError(f"a value nested more than {MAX_DEPTH} deep")
    else:
        name, contents = parts
        out.append(b"x" + bytes([len(name)]) + name.encode())
        _put(contents, out, depth + 1)


def _as_base(value: Any) -> Any:
    """Return an instance of a subclass as its exact builtin base (Counter → dict, IntEnum → int, namedtuple →
    tuple)."""
    if isinstance(value, int):
        return int.__add__(value, 0)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dict):
        return dict(dict.items(value))
    base: Any
    for base in (list, tuple, set, frozenset):
        if isinstance(value, base):
            return base(base.__iter__(value))
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(memoryview(value))
    raise WireError(f"a {type(value).__name__}, which is not a plain value")


def decode(data: bytes | memoryview, deadline: float | None = None) -> Any:
    """Return the value in `data`, of exact builtin types and those of `rich`. `deadline` is on time.monotonic().

    Raises:
        WireError: these bytes are not exactly one value, or decoding them took too long or too much.
    """
    if len(data) == 1 and data[0] in _CONSTANTS:
        return _CONSTANTS[data[0]]
    reader = _Reader(bytes(data), time.monotonic() + _DECODING + len(data) / _PACE if deadline is None else deadline)
    try:
        value = reader.take(0)
    except WireError:
        raise
    except (
        struct.error,
        LookupError,
        ValueError,
        TypeError,
        ArithmeticError,
        AttributeError,
        MemoryError,
        ImportError,
    ) as error:
        raise WireError(f"not a value: {type(error).__name__}") from None
    if reader.at != len(reader.data):
        raise WireError("bytes left over after a value")
    return value


_NO_VALUE = (
    ArithmeticError, AttributeError, ImportError, LookupError, MemoryError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What bytes that are no value raise."""
_DECODING, _PACE = 2.0, 4e6
"""Seconds for any value, and bytes for which there is a second more."""


class _Reader:
    def __init__(self, data: bytes, deadline: float) -> None:
        self.data, self.deadline, self.at, self.nodes = data, deadline, 0, 0

    def take(self, depth: int) -> Any:
        self.nodes += 1
        if not self.nodes & 63:
            self._check()
        tag = self.data[self.at]
        self.at += 1
        if tag == 0x69:  # i
            return int.from_bytes(self._body(), "little", signed=True)
        if tag == 0x73:  # s
            return self._body().decode("utf-8", "surrogatepass")
        if tag in _CONTAINERS:
            return self._container(tag, depth)
        if tag == 0x66:  # f
            return _FLOAT.unpack(self._chunk(8))[0]
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag == 0x62:  # b
            return self._body()
        if tag == 0x63:  # c
            return complex(*_COMPLEX.unpack(self._chunk(16)))
        if tag == 0x71 or tag == 0x67:  # q, g
            return self._run("q" if tag == 0x71 else "d")
        if tag == 0x78:  # x
            return self._rich(depth)
        raise WireError(f"unknown tag {tag}")

    def _run(self, code: str) -> Any:
        kind, count = self._chunk(1), _LENGTH.unpack(self._chunk(4))[0]
        self.nodes += count
        self._check()
        numbers = struct.unpack(f"<{count}{code}", self._chunk(8 * count))
        return list(numbers) if kind == b"l" else numbers

    def _rich(self, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            raise WireError("a value that is nested too deeply")
        name = self._chunk(self._chunk(1)[0]).decode("ascii")
        return rich.built(name, self.take(depth + 1))

    def _check(self) -> None:
        if self.nodes > MAX_NODES:
            raise WireError(f"a value of more than {MAX_NODES} parts")
        if time.monotonic() > self.deadline:
            raise WireError("a value that took too long to decode")

    def _chunk(self, size: int) -> bytes:
        chunk = self.data[self.at : self.at + size]
        if len(chunk) != size:
            raise WireError("a value that ends too early")
        self.at += size
        return chunk

    def _body(self) -> bytes:
        start = self.at + 4
        end = start + int.from_bytes(self.data[self.at : start], "big")
        if end > len(self.data):  # so it is, too, where less than a length is left
            raise WireError("a value that ends too early")
        self.at = end
        return self.data[start:end]

    def _container(self, tag: int, depth: int) -> Any:
        count = _LENGTH.unpack(self._chunk(4))[0]
        if depth >= MAX_DEPTH or count > len(self.data) - self.at:  # every item takes a byte or more
            raise WireError("a container that is too deep or promises too much")
        if tag == 0x6C:  # l
            return [self.take(depth + 1) for _ in range(count)]
        if tag == 0x74:  # t
            return tuple([self.take(depth + 1) for _ in range(count)])
        if tag == 0x64:  # d
            table = {}
            for _ in range(count):
                key = self.take(depth + 1)
                table[key] = self.take(depth + 1)
            return table
        items: set[Any] = set()
        for _ in range(count):  # one by one: the deadline stops colliding hashes
            items.add(self.take(depth + 1))
        return items if tag == 0x53 else frozenset(items)


_CONSTANTS = {0x4E: None, 0x54: True, 0x46: False}
_CONTAINERS = frozenset(b"ltdSZ")


def pack(value: Any) -> bytes:
    """Return the bytes of a plain value for a reader that trusts the writer; `marshal.loads` reads them.

    Equal values give equal bytes (up to the order of sets and dicts), and no part is shared with another.

    Raises:
        WireError: something in it is no plain value, or it is nested too deeply or too large.
    """
    try:
        return marshal.dumps(value, 2)  # later versions keep track of shared parts, and bytes would depend on it
    except (ValueError, RecursionError):
        plain = decode(encode(value), time.monotonic() + 60)
    try:
        return marshal.dumps(plain, 2)
    except ValueError:
        raise WireError("a value that is no plain one") from None


_EXACT = frozenset((type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset))
"""What marshal keeps as it is; of a bytearray it would make bytes."""


def pack_call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return a call for a child, which reads it with `unpack_call`. Equal calls give equal bytes, as `pack` does.

    Raises:
        WireError: an argument can neither be packed nor encoded.
    """
    if _EXACT.issuperset(map(type, args)) and _EXACT.issuperset(map(type, kwargs.values())):
        try:
            return marshal.dumps((name, args, kwargs), 2)
        except (ValueError, RecursionError):  # something of another type, or deep, inside
            pass
    return marshal.dumps((name, encode((args, kwargs)), None), 2)


def unpack_call(call: bytes) -> tuple[str, Any, Any]:
    """Return name, positional and named arguments of a packed call."""
    name, args, kwargs = marshal.loads(call)
    return (name, *decode(args, time.monotonic() + 60)) if kwargs is None else (name, args, kwargs)


def frame(payload: bytes) -> bytes:
    """Return a payload with its length before it."""
    return _LENGTH.pack(len(payload)) + payload


def frame_size(header: bytes) -> int:
    """Return length of the payload that follows these four bytes."""
    return _LENGTH.unpack(header)[0]
