"""LiveCodeBench's private tests: JSON text, pickled, zlib-compressed, in base64. Decoded without executing anything.

A pickle is a program. This one may only build plain values: no global is ever looked up, so nothing can be called, and
what comes out must be text. Decompression is bounded, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import Any

from parammem.errors import DataError

MAX_BYTES = 512 * 2**20
"""The largest test sets of LiveCodeBench unpack to about 100 MB."""


class _NoGlobals(pickle.Unpickler):
    """Builds builtin values; refuses whatever would import, call or load."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for an object of elsewhere")


def decode_tests(text: str, limit: int = MAX_BYTES) -> list[dict[str, Any]]:
    """Return the tests in a `private_test_cases` (or `public_test_cases`) field: [{"input", "output", "testtype"}, …].

    Raises:
        DataError: it is neither JSON nor such a pickle of JSON, it asks for any Python object, or it is too large.
    """
    plain = text if text.lstrip()[:1] in ("[", "{", "") else _unpacked(text, limit)
    try:
        tests = json.loads(plain or "[]")
    except ValueError as error:
        raise DataError(f"private tests are not JSON: {error}; fetch the file again") from error
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise DataError("private tests are not a list of tests; fetch the file again")
    return tests


def _unpacked(text: str, limit: int) -> str:
    try:
        unzip = zlib.decompressobj()
        data = unzip.decompress(base64.b64decode(text, validate=True), limit)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise DataError(f"private tests cannot be decoded: {error}; fetch the file again") from error
    if unzip.unconsumed_tail:
        raise DataError(f"private tests unpack to more than {limit} bytes; no such file is known, do not trust it")
    try:
        value = _NoGlobals(io.BytesIO(data)).load()
    except Exception as error:  # a broken or hostile pickle may raise anything; it has called nothing
        raise DataError(f"private tests were refused, nothing was run: {error}; do not trust this file") from error
    if not isinstance(value, str):
        raise DataError(f"private tests hold a {type(value).__name__}, not text; do not trust this file")
    return value
