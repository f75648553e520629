"""YAML as plain data within bounds: what is too large, too deep, says a key twice or refers to itself is an error.

The bounds are held before any value is made: aliases and merge keys can stand for a billion values, and a number
written in base 60 takes quadratic time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

LARGEST = 2**20
"""Characters of a file."""
MOST, DEEPEST = 100_000, 64
"""Values in all, with what aliases stand for counted each time; and nested in each other."""
LONGEST_NUMBER = 400
"""Characters of it. Base 60 (`1:30:59`) is read in quadratic time."""
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"


class _Unfit(ValueError):
    """What the bounds say, in words that are told as they are."""


_DEEP = f"it is nested more than {DEEPEST} deep, or refers to itself"
_MANY = f"it has more than {MOST:,} values, aliases counted each time"


def plain_yaml(text: str | bytes) -> Any:
    """Return the data in a YAML text.

    Raises:
        ValueError: says what is wrong with it. YAML's own constructors raise a dozen kinds of error for wrong values.
    """
    if len(text) > LARGEST:
        raise _Unfit(f"it has {len(text):,} characters, more than {LARGEST:,}")
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        _bound(text)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _weigh(node, {}, 0)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError(_DEEP) from None
    except _Unfit:
        raise
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"a value cannot be read ({type(error).__name__}: {str(error)[:200]})") from None


def plain_mapping(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a YAML or JSON file; None if there is no such file.

    Raises:
        ValueError: says what is wrong with the file, as the rest of a sentence that begins with its name.
    """
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text) if path.suffix == ".json" else plain_yaml(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("holds no mapping of names to values")
    return value


def _bound(text: str) -> None:
    """Refuse a text with too many values or too deep ones. Counts while reading, with nothing kept: reading one inside
    the other uses the stack."""
    depth = count = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        count += isinstance(event, yaml.NodeEvent)
        if depth > DEEPEST:
            raise _Unfit(_DEEP)
        if count > MOST:
            raise _Unfit(_MANY)


def _weigh(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Return how many values a node stands for. Raises ValueError: too many or too deep, as one that contains itself
    is, a number that is too long, or a key that is there twice."""
    if depth > DEEPEST:
        raise _Unfit(_DEEP)
    if isinstance(node, yaml.ScalarNode):
        if node.tag in (f"{_TAG}int", f"{_TAG}float") and len(node.value) > LONGEST_NUMBER:
            raise _Unfit(f"it holds a number of more than {LONGEST_NUMBER} digits, {_place(node)}")
        return 1
    if id(node) not in known:
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        if isinstance(node, yaml.MappingNode):
            _refuse_doubled(node)
        total = 1
        for one in inner:
            total += _weigh(one, known, depth + 1)
            if total > MOST:
                raise _Unfit(_MANY)
        known[id(node)] = total
    return known[id(node)]


def _refuse_doubled(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in seen:
            raise _Unfit(f"it says {key.value[:100]!r} twice, {_place(key)}; only one can be meant")
        seen.add((key.tag, key.value))


def _place(node: yaml.Node) -> str:
    mark = node.start_mark
    return f"line {mark.line + 1}" if mark else "somewhere"
