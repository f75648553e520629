"""How two files differ, in one sentence: the first tensor, line, key or byte, and by how much."""

from __future__ import annotations

import json
from typing import Any

from parammem.core.jsonl import byte_lines
from parammem.core.record import Record
from parammem.core.words import count


class Difference(Record):
    """The first place in which a rebuild differs from what was recorded."""

    stage: str
    path: str
    """The file."""
    tensor: str | None
    """Of weights, the first tensor that differs."""
    largest: float | None
    """Of weights, the largest absolute difference in that tensor."""
    detail: str


def compare_files(stage: str, path: str, old: bytes | None, new: bytes | None) -> Difference:
    """Return the first difference between a recorded and a rebuilt file; None: the file is not there, or not here."""
    tensor = largest = None
    if old is None or new is None:
        detail = (
            "it was not recorded here, so only its hash is known" if old is None else "the rebuild did not write it"
        )
    elif path.endswith(".safetensors"):
        tensor, largest, detail = _tensors(old, new)
    elif path.endswith(".jsonl"):
        detail = _lines(old, new)
    elif path.endswith(".json"):
        detail = _keys(old, new)
    else:
        detail = _bytes(old, new)
    return Difference(stage=stage, path=path, tensor=tensor, largest=largest, detail=detail)


def _tensors(old: bytes, new: bytes) -> tuple[str | None, float | None, str]:
    import numpy as np
    from safetensors.numpy import load

    try:
        before, after = load(old), load(new)
    except Exception:  # a damaged header, or a type that numpy has not: the bytes still differ somewhere
        return None, None, _bytes(old, new)
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())[0]
        return odd, None, f"tensor {odd} is in one of them only"
    differ = [name for name in sorted(before) if not np.array_equal(before[name], after[name], equal_nan=True)]
    if not differ:
        return None, None, "equal tensors in files of unequal bytes (header or order)"
    name = differ[0]
    one, other = before[name], after[name]
    if one.shape != other.shape or one.dtype != other.dtype:
        return name, None, f"tensor {name}: {one.dtype}{list(one.shape)} became {other.dtype}{list(other.shape)}"
    gaps = np.abs(one.astype(np.float64) - other.astype(np.float64))
    largest = float(gaps.max())
    detail = (
        f"tensor {name}: {int((gaps > 0).sum())} of {gaps.size} values differ, by at most {largest:.3g} "
        f"(mean size {float(np.abs(one).mean()):.3g}); {len(differ)} of {count(len(before), 'tensor')} changed"
    )
    return name, largest, detail


def _lines(old: bytes, new: bytes) -> str:
    before, after = byte_lines(old), byte_lines(new)
    for number, (one, other) in enumerate(zip(before, after, strict=False), 1):
        if one != other:
            return f"line {number}: {_keys(one, other)}"
    return f"{count(len(after), 'line')} for {len(before)}"


def _keys(old: bytes, new: bytes) -> str:
    try:
        found = _first(json.loads(old), json.loads(new), "")
    except ValueError:
        found = ""
    return found or _bytes(old, new)


def _first(old: Any, new: Any, where: str) -> str:
    """Return the first key whose values differ, e.g. `recipe.rank: 8 became 16`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            found = _first(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
            if found:
                return found
        return ""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            found = _first(*pair, f"{where}[{number}]")
            if found:
                return found
        return ""
    return "" if old == new else f"{where or 'the value'}: {_short(old)} became {_short(new)}"


def _bytes(old: bytes, new: bytes) -> str:
    for place, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return f"byte {place} of {len(old)} (line {old[:place].count(10) + 1})"
    return f"{count(len(new), 'byte')} for {len(old)}"


def _short(value: Any, most: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"
