"""Values of the standard library that travel by their contents: the other side builds them anew from plain data.

A tagged pair goes over the wire: the name of a kind and plain data. What arrives is an object of the standard library's
own class (or of one here), never of the sender's, so that comparing it asks no code of the candidate.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

MOST_ITEMS = 20_000
"""So many items of an iterator are taken; one that goes on after them may be endless."""
_MOST_DIGITS = 20_000
"""Digits of a decimal, and bits of a fraction's parts: more would make comparing slow."""
_MOST_LETTERS = 4_000_000
_FACTORIES: dict[str, Any] = {kind.__name__: kind for kind in (int, float, str, bool, list, dict, set, tuple)}
_TYPES = _FACTORIES | {
    kind.__name__: kind for kind in (bytes, complex, frozenset, bytearray, range, object, type(None))
}


class Row(tuple):
    """A named tuple: equal to a plain one, with its fields as attributes."""

    _name: str
    _fields: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", ())
        if name in fields:
            return self[fields.index(name)]
        raise AttributeError(f"{self._name!r} object has no attribute {name!r}")

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=False))

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{k}={v!r}' for k, v in self._asdict().items())})"


class Stream:
    """An iterator whose items were taken beforehand; equal to nothing but itself, like every iterator."""

    def __init__(self, items: list[Any], end: str) -> None:
        self._items, self._end = iter(items), end

    def __repr__(self) -> str:
        return "<an iterator>"  # without an address: feedback repeats

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        for item in self._items:
            return item
        if self._end:
            raise RuntimeError(self._end)
        raise StopIteration


def parts_of(value: Any) -> tuple[str, Any] | None:
    """Return the kind and the plain contents of a value; None where it has none that are known."""
    kind = type(value)
    for base, name, contents in _CONTENTS:
        if isinstance(value, base):
            return name, contents(value)
    fields = getattr(kind, "_fields", None)
    if issubclass(kind, tuple) and isinstance(fields, tuple):
        return "namedtuple", (kind.__name__, [str(name) for name in fields], list(tuple.__iter__(value)))
    if kind is type and value.__module__ == "builtins" and value.__name__ in _TYPES:
        return "type", value.__name__
    for module, read in _LOADED.items():
        if module in sys.modules:
            found = read(sys.modules[module], value)
            if found is not None:
                return found
    return ("iterator", _taken(value)) if hasattr(kind, "__next__") and hasattr(kind, "__iter__") else None


_CONTENTS: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (Counter, "Counter", lambda v: dict(dict.items(v))),
    (OrderedDict, "OrderedDict", lambda v: dict(OrderedDict.items(v))),
    (defaultdict, "defaultdict", lambda v: (getattr(v.default_factory, "__name__", ""), dict(dict.items(v)))),
    (deque, "deque", lambda v: (list(v), v.maxlen)),
    (range, "range", lambda v: (v.start, v.stop, v.step)),
    (bytearray, "bytearray", lambda v: bytes(memoryview(v))),
    (memoryview, "plain", lambda v: v.tobytes()),
    (type({}.keys()), "keys", dict.fromkeys),
    (type({}.items()), "items", dict),
    (type({}.values()), "values", lambda v: dict(enumerate(v))),
    (type(OrderedDict().keys()), "keys", dict.fromkeys),
    (type(OrderedDict().items()), "items", dict),
    (type(OrderedDict().values()), "values", lambda v: dict(enumerate(v))),
    (type(...), "Ellipsis", lambda v: None),
)


def _taken(value: Any) -> tuple[list[Any], str]:
    """Return the items of an iterator, and why there are no more of them here; "": because it ended."""
    items: list[Any] = []
    try:
        for item in value:
            if len(items) == MOST_ITEMS:
                return items, f"the iterator gave more than {MOST_ITEMS} items"
            items.append(item)
    except MemoryError:
        raise
    except Exception as error:
        return items, f"{type(error).__name__}: {error}"[:500]
    return items, ""


def _decimal(module: Any, value: Any) -> Any:
    return ("Decimal", str(value)) if isinstance(value, module.Decimal) else None


def _fraction(module: Any, value: Any) -> Any:
    return ("Fraction", (value.numerator, value.denominator)) if isinstance(value, module.Fraction) else None


def _moment(module: Any, value: Any) -> Any:
    if isinstance(value, module.datetime):
        zone = value.utcoffset()
        seconds = None if zone is None else zone.total_seconds()
        return "datetime", (*value.timetuple()[:6], value.microsecond, seconds)
    if isinstance(value, module.date):
        return "date", (value.year, value.month, value.day)
    if isinstance(value, module.time):
        return "time", (value.hour, value.minute, value.second, value.microsecond)
    if isinstance(value, module.timedelta):
        return "timedelta", (value.days, value.seconds, value.microseconds)
    return None


def _array(module: Any, value: Any) -> Any:
    return ("array", (value.typecode, value.tolist())) if isinstance(value, module.array) else None


def _numpy(module: Any, value: Any) -> Any:
    if isinstance(value, module.ndarray) and value.dtype.kind in "biufcU":
        return "ndarray", (list(value.shape), value.dtype.kind, value.dtype.itemsize, value.ravel().tolist())
    if isinstance(value, module.generic) and value.dtype.kind in "biufcU":
        plain = value.item()
        return "plain", plain if not isinstance(plain, module.generic) else float(plain)
    return None


_LOADED: dict[str, Callable[[Any, Any], Any]] = {
    "decimal": _decimal,
    "fractions": _fraction,
    "datetime": _moment,
    "array": _array,
    "numpy": _numpy,
}
"""Module → what of it has contents. Looked at only where the sender has it loaded."""


def built(name: str, contents: Any) -> Any:
    """Return the value of a kind with these contents. Raises ArithmeticError, AttributeError, ImportError, LookupError,
    TypeError or ValueError on contents that are none."""
    wanted, build = _BUILDERS[name]
    if type(contents) is not wanted:  # `bytearray(10**12)` would be a flood
        raise ValueError(f"no contents of a {name}")
    return build(contents)


def _built_decimal(text: Any) -> Any:
    from decimal import Decimal

    if len(text) > _MOST_DIGITS:
        raise ValueError("no decimal")
    return Decimal(text)


def _built_fraction(parts: Any) -> Any:
    from fractions import Fraction

    if any(type(part) is not int or part.bit_length() > _MOST_DIGITS for part in parts):
        raise ValueError("no fraction")
    return Fraction(*parts)


def _built_moment(parts: Any) -> Any:
    import datetime

    *fields, seconds = parts
    zone = None if seconds is None else datetime.timezone(datetime.timedelta(seconds=seconds))
    return datetime.datetime(*fields, tzinfo=zone)


def _from_datetime(name: str) -> Callable[[Any], Any]:
    def build(parts: Any) -> Any:
        import datetime

        return getattr(datetime, name)(*parts)

    return build


def _built_array(parts: Any) -> Any:
    import array

    code, items = parts
    return array.array(code, [*items])


def _built_ndarray(parts: Any) -> Any:
    import numpy  # where candidates may have it, the trusted side has it too

    shape, kind, size, flat = parts
    if type(flat) is not list or kind not in ("b", "i", "u", "f", "c", "U") or size not in (1, 2, 4, 8, 16, 32):
        kind = "U" if kind == "U" and type(flat) is list else ""
    if kind == "U" and len(flat) * max((len(text) for text in flat), default=0) > _MOST_LETTERS:
        raise ValueError("too large an array of texts: each takes as much as the longest")
    kinds = {"": "", "b": "?", "U": "U"}.get(kind, f"{kind}{size}")
    return numpy.array(flat, dtype=kinds).reshape(shape)


def _built_deque(parts: Any) -> Any:
    items, most = parts
    return deque([*items], most)


def _built_stream(parts: Any) -> Stream:
    items, end = parts
    return Stream([*items], str(end))


def _built_row(parts: Any) -> Row:
    name, fields, values = parts
    row = Row([*values])
    row.__dict__.update(_name=str(name), _fields=tuple(map(str, fields)))
    return row


def _built_default(parts: Any) -> Any:
    factory, contents = parts
    return defaultdict(_FACTORIES.get(factory), dict.items(contents))


_BUILDERS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "Counter": (dict, Counter),
    "OrderedDict": (dict, OrderedDict),
    "defaultdict": (tuple, _built_default),
    "deque": (tuple, _built_deque),
    "range": (tuple, lambda parts: range(*parts)),
    "bytearray": (bytes, bytearray),
    "keys": (dict, dict.keys),
    "items": (dict, dict.items),
    "values": (dict, dict.values),
    "Ellipsis": (type(None), lambda _: ...),
    "namedtuple": (tuple, _built_row),
    "type": (str, lambda name: _TYPES[name]),
    "Decimal": (str, _built_decimal),
    "Fraction": (tuple, _built_fraction),
    "datetime": (tuple, _built_moment),
    "date": (tuple, _from_datetime("date")),
    "time": (tuple, _from_datetime("time")),
    "timedelta": (tuple, _from_datetime("timedelta")),
    "array": (tuple, _built_array),
    "ndarray": (tuple, _built_ndarray),
    "iterator": (tuple, _built_stream),
}
