"""Test text that may run outside the child, as a type that only a trusted source is turned into.

Tests of a benchmark run in the worker with this account's rights. A plain string is never such a text: what came from a
server, a log or the inbox stays a string, and its tests run in the child as advice (`sandbox.advise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from pathlib import PurePath
from typing import Any

from pydantic_core import SchemaSerializer, core_schema

from parammem.checkout.places import BATCHES, FRESH, FRESH_KEYS, QUARANTINE
from parammem.errors import SandboxError

_SEAL = object()
_STRANGE = (BATCHES.parts, FRESH.parts, FRESH_KEYS.parts, QUARANTINE.parts)
"""Folders that hold what third parties sent: their text is never trusted."""


@dataclass(frozen=True)
class TrustedTests:
    """The text of a test program that a stage of this project wrote. Made by `trust_tests` alone.

    In JSON it is its text, and text that is read back is not trusted.
    """

    text: str
    origin: str
    """The stage output file, the benchmark or the pocket generator that it comes from."""
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("TrustedTests are made by trust_tests, from files of the project's own stages")


TrustedTests.__pydantic_serializer__ = SchemaSerializer(  # type: ignore[attr-defined]
    core_schema.any_schema(serialization=core_schema.plain_serializer_function_ser_schema(lambda tests: tests.text))
)


def trust_tests(text: str, *, origin: str) -> TrustedTests:
    """Return the text as trusted tests. Only for text whose source the caller has just read, from a file of a stage.

    Raises:
        SandboxError: it is no text, no origin is named, or the origin is a folder for what third parties sent.
    """
    if not isinstance(text, str) or not isinstance(origin, str) or not origin.strip():
        raise SandboxError("trusted tests are text, and their origin is named; give both as strings")
    parts = PurePath(origin).parts
    for folder in _STRANGE:
        if any(parts[place : place + len(folder)] == folder for place in range(len(parts))):
            raise SandboxError(f"{origin}: holds what strangers sent; its tests are not trusted, run them as advice")
    return TrustedTests(text, origin, _SEAL)


def trust_spec(spec: Mapping[str, Any], *, origin: str) -> dict[str, Any]:
    """Return a Task.visible or AnswerKey.hidden whose test programs, and the stub that they build on, are trusted; the
    rest is as it was. Raises SandboxError as `trust_tests` does."""

    def trusted(value: Any) -> Any:
        return trust_tests(value, origin=origin) if isinstance(value, str) else value

    if not holds_tests(spec):
        return dict(spec)
    checks = spec["checks"]
    found = [c | {"tests": trusted(c["tests"])} if isinstance(c, dict) and "tests" in c else c for c in checks]
    stub = {"stub": trusted(spec["stub"])} if "stub" in spec else {}
    return {**spec, **stub, "checks": found}


def holds_tests(spec: Mapping[str, Any]) -> bool:
    """Return whether a Task.visible or AnswerKey.hidden has test programs, which `trust_spec` would make trusted."""
    checks = spec.get("checks")
    return isinstance(checks, list) and any(isinstance(check, dict) and "tests" in check for check in checks)


def text_of(tests: TrustedTests | str) -> str:
    """Return the text, trusted or not."""
    return tests.text if isinstance(tests, TrustedTests) else tests
