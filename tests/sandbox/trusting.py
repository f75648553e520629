"""Test programs of these tests, which vouch for them."""

from __future__ import annotations

from parammem import sandbox
from parammem.sandbox import Limits, ProgramCheck, Verdict, trust_tests

ORIGIN = "the tests of this room"


def checked(source: str, entry: str, tests: str, preamble: str = "") -> ProgramCheck:
    before = trust_tests(preamble, origin=ORIGIN) if preamble else None
    return ProgramCheck(source=source, entry=entry, tests=trust_tests(tests, origin=ORIGIN), preamble=before)


def check_program(source: str, entry: str, tests: str, limits: Limits | None = None, preamble: str = "") -> Verdict:
    before = trust_tests(preamble, origin=ORIGIN) if preamble else None
    return sandbox.check_program(source, entry, trust_tests(tests, origin=ORIGIN), limits, preamble=before)
