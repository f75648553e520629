"""The base of every record, and the one way a digest is made."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Record(BaseModel):
    """A frozen value that goes to disk as one JSON line. Unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def line(self) -> str:
        """Return its one-line JSON form, with sorted keys, so that equal records give equal bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)


class Extended(Record):
    """A record that is written without some of its fields where they are empty.

    A record from before such a field was added is so written as the bytes that it had, and its digest still holds.
    """

    LATER: ClassVar[tuple[str, ...]]
    """Names of those fields. Their defaults are empty: False, 0, "" or no items."""

    @model_serializer(mode="wrap")
    def _written(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain = whole(self)
        for name in self.LATER:
            if not plain.get(name):
                plain.pop(name, None)
        return plain


def digest_of(value: Any) -> str:
    """Return SHA-256 (64 hex digits) of a JSON-able value, of text or of bytes.

    Values other than text and bytes are written as JSON with sorted keys and no spaces first.
    """
    if isinstance(value, bytes):
        data = value
    elif isinstance(value, str):
        data = value.encode()
    else:
        data = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()
