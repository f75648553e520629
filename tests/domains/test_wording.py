"""Facts about prompts and feedback: their exact words. The pocket models were trained on these."""

from __future__ import annotations

import pytest

from parammem.core import Attempt, Feedback, Reflection, Task
from parammem.core.reflection import AdviceSource
from parammem.domains import get_domain
from parammem.domains.wording import CheckResult, Wording, feedback_text, short, template
from parammem.errors import ConfigError

TASK = Task(task_id="1", domain="code", text="given {loads} xs , write f .")


def attempt(text: str, feedback: str = "") -> Attempt:
    said = Feedback(passed=False, text=feedback)
    return Attempt(number=1, text="raw", candidate=text, temperature=1.0, feedback=said)


def piece(text: str, source: AdviceSource = "self") -> Reflection:
    return Reflection(text=text, source=source, author="", iteration=1, temperature=1.0)


TRIED = attempt("# limit inside\ndef f(xs, k):\n    return 1", "limit expected 3 got 1")


def only(messages) -> str:
    """The text of the single user turn."""
    (message,) = messages
    assert message.role == "user"
    return message.content


def test_the_actor_s_prompt_without_advice_is_the_task():
    assert only(Wording().actor(TASK, [], [])) == "given {loads} xs , write f .\nsolve"


def test_the_actor_s_prompt_tells_own_reflections_from_advice_and_shows_examples_by_their_plan():
    advice = [piece("mass ; limit inside"), piece("round up", "parametric"), piece("ties last", "retrieved")]
    other = Task(task_id="2", domain="code", text="another task")
    assert only(Wording().actor(TASK, advice, [(other, TRIED), (TASK, TRIED)])) == (
        "example another task\n# limit inside\n"
        "example given {loads} xs , write f .\n# limit inside\n"
        "given {loads} xs , write f .\n"
        "reflection mass ; limit inside\n"
        "advice round up\n"
        "advice ties last\n"
        "solve"
    )


def test_the_prompt_of_a_reflection_shows_the_last_attempt_alone():
    earlier = [piece("limit outside")]
    assert only(Wording().reflect(TASK, [attempt("# old"), TRIED], earlier, diverse=False)) == (
        "given {loads} xs , write f .\nattempt\n# limit inside\nfeedback limit expected 3 got 1\nreflect"
    )


def test_the_prompt_of_a_diverse_reflection_lists_the_earlier_ones():
    earlier = [piece("limit outside"), piece("round up")]
    assert only(Wording().reflect(TASK, [TRIED], earlier, diverse=True)) == (
        "given {loads} xs , write f .\nearlier limit outside\nearlier round up\n"
        "attempt\n# limit inside\nfeedback limit expected 3 got 1\nreflect anew"
    )


def test_advice_is_asked_of_the_task_alone_and_hindsight_of_the_attempt():
    assert only(Wording().advise("the task")) == "the task\nadvise"
    assert only(Wording().hindsight(TASK, TRIED)) == ("given {loads} xs , write f .\nattempt\n# limit inside\nassumed")


def test_an_unknown_style_has_no_prompts():
    with pytest.raises(FileNotFoundError):
        template("no-such-style", "actor")


def test_feedback_is_one_line():
    results = [
        CheckResult("limit", ok=True, expected=3, got="3"),
        CheckResult("empty", ok=False, expected=None, got="0"),
        CheckResult("home of adam", ok=False, expected="rome", got="nothing"),
    ]
    assert feedback_text(results) == "limit ok ; empty expected None got 0 ; home of adam expected rome got nothing"
    assert feedback_text([]) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (None, "None"),
        ("", "nothing"),
        (" a\n b ", "a b"),
        ("x" * 16, "x" * 16),
        ("x" * 17, "x" * 16 + "..."),
        (10**5000, "huge"),
        ("\ud800", "?"),
    ],
    ids=["zero", "none", "empty", "lines", "sixteen", "seventeen", "huge", "surrogate"],
)
def test_values_are_shown_short_and_on_one_line(value, shown):
    assert short(value) == shown


def test_an_unknown_domain_names_the_known_ones():
    with pytest.raises(ConfigError, match="no domain 'poetry'; known: code, math, qa"):
        get_domain("poetry")


@pytest.mark.parametrize("name", ["code", "math", "qa"])
def test_every_domain_says_its_name_and_reads_its_own_claims(name):
    domain = get_domain(name)
    advice = {"code": "limit inside", "math": "cut flat", "qa": "home born"}
    assert domain.name == name
    assert [n for n, text in advice.items() if domain.prompts.hypotheses(text)] == [name]
