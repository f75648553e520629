"""Text and data from outside in the form in which the spool takes them."""

from __future__ import annotations

import json
from typing import Any


def clean(text: str) -> str:
    """Return text without half surrogate pairs, which are no characters and cannot be written."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def as_json(value: Any) -> str:
    """Return data as JSON."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)
