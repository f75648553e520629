"""No regular expression takes more than linear time, whatever text it meets; a new one is covered by being written."""

from __future__ import annotations

import re
import time

import pytest

from tests.patterns import Found, attacks, patterns

LENGTHS = (24, 200, 1500, 12_000)
ALLOWED: dict[str, str] = {
    "src/parammem/domains/math_text.py: _SAID": "slow on long texts; the rewriting of math answers replaces it",
    "src/parammem/domains/real_code.py: _FENCE": "slow on long texts; the rewriting of code in answers replaces it",
    "src/parammem/domains/real_code.py: line 57": "slow on long texts; the rewriting of code in answers replaces it",
}
"""Place of a pattern → why it never meets text from outside, nor long text of our own."""
FOUND = patterns()


def seconds(found: Found, text: str) -> float:
    """CPU seconds of everything that the source does with the pattern on the text; the best of three if it is slow."""
    compiled = re.compile(found.pattern, found.flags)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for method in found.methods:
            if method in ("sub", "subn"):
                getattr(compiled, method)("", text)
            elif method == "finditer":
                for _match in compiled.finditer(text):
                    pass
            else:
                getattr(compiled, method)(text)
        best = min(best, time.process_time() - start)
        if best <= allowed(len(text), found):
            break
    return best


def allowed(length: int, found: Found) -> float:
    """Far above what a linear pattern takes on a slow machine, far below what a quadratic one takes from 12,000 on."""
    return 0.02 + 4e-6 * length * len(found.methods)


@pytest.mark.parametrize("found", FOUND, ids=[found.place for found in FOUND])
def test_pattern_takes_linear_time(found):
    if found.place in ALLOWED:
        pytest.skip(ALLOWED[found.place])
    for length in LENGTHS:
        for text in attacks(found.pattern, found.flags, length):
            took = seconds(found, text)
            shown = f"{text[:40]!r} … {text[-20:]!r}"
            assert took <= allowed(len(text), found), (
                f"{found.pattern!r}: {took:.3f} s on {len(text)} characters {shown}"
            )


def test_every_call_of_re_is_found():
    assert len(FOUND) > 60
    assert {found.place.partition(": ")[0].partition("/")[0] for found in FOUND} == {"src", "flows"}


SLOW = (
    r"\w+@\w+",
    r"<a>.*?</a>",
    r"\s*\n\s*\n",
    r"\b[\w.]+@[\w-]+(?:\.[\w-]+)*\.[a-z]+\b",
    r"x*y|x*z",
)


@pytest.mark.parametrize("pattern", SLOW)
def test_the_inputs_slow_down_patterns_that_are_known_to_be_slow(pattern):
    found = Found("here", pattern, re.DOTALL, frozenset({"finditer"}))
    with pytest.raises(AssertionError):
        test_pattern_takes_linear_time(found)
