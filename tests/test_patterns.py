"""No regular expression takes more than linear time, whatever text it meets; a new one is covered by being written."""

from __future__ import annotations

import re
import time

import pytest

from tests.patterns import Found, attacks, patterns

LENGTHS = (24, 200, 1500, 12_000)
ALLOWED: dict[str, str] = {
    "src/parammem/domains/code_thinking.py: _OPEN": "is matched at the beginning of lines alone: linear time",
}
"""Place of a pattern → why it never meets text from outside, nor long text of our own."""
ANSWER = 1000
"""Characters of an answer that mathematics are read in (math_grader.MAX_CHARACTERS)."""
BOUNDED: dict[str, int] = {
    "src/parammem/domains/answers.py": 2000,  # LONG: what is read behind the word `answer`
    "src/parammem/domains/math_answer.py: _BETWEEN": 40,
    "src/parammem/domains/math_shape.py: _NAME": 40,
    **{f"src/parammem/domains/math_{name}.py": ANSWER for name in ("same", "shape", "tidy", "units", "worker")},
    "src/parammem/domains/qa_answer.py": 2000,  # short_form
    "src/parammem/experience/formats/chat.py: SUBMITS": 200,  # LONGEST_NAME
}
"""Place, or file, of patterns → the most characters that the code shows them; they are timed up to there."""
SOON = 0.25
"""CPU seconds that a bounded pattern may take on its longest text."""
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
    most = BOUNDED.get(found.place) or BOUNDED.get(found.place.partition(": ")[0])
    for length in (*(one for one in LENGTHS if one <= most), most) if most else LENGTHS:
        for text in attacks(found.pattern, found.flags, length):
            took = seconds(found, text[:most])
            shown = f"{text[:40]!r} … {text[-20:]!r}"
            assert took <= (SOON if most else allowed(len(text), found)), (
                f"{found.pattern!r}: {took:.3f} s on {len(text)} characters {shown}"
            )


def test_every_call_of_re_is_found():
    assert len(FOUND) > 60
    assert {found.place.partition(": ")[0].partition("/")[0] for found in FOUND} == {"src", "flows", "experiments"}


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
