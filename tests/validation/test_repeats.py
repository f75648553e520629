"""Facts about labels that repeat an answer, or the advice that their run had."""

from __future__ import annotations

import pytest

from parammem.core import ReflectionExample
from parammem.validation.repeats import KnownRuns, RunTexts, repeats_advice, repeats_answer
from parammem.validation.text import speaks_of_run

REFUND = "I refunded 30 euros to the card of the customer and closed the ticket with a note for the desk."
PROGRAM = "def total(xs, k):\n    kept = [x for x in xs if x <= k]\n    return sum(kept) if kept else 0"


@pytest.mark.parametrize(
    ("label", "answer", "question"),
    [
        (f"Do this: {REFUND}", REFUND, "Refund order 12."),
        (f"Do this: {REFUND.upper()}!", REFUND, "Refund order 12."),
        (f"1. Mind the bound.\n```python\n{PROGRAM}\n```", PROGRAM, "Write total."),
        ("Find the capital first; it is Paris, of course.", "Paris", "Where was she born?"),
        ("1. Find the year of the treaty, 1648, and then its place.", "1648", "When was it signed?"),
        ("Add both, so the answer must be 18.", "18", "How many are there?"),
        ("In the end x = 7 is left.", "7", "Solve for x."),
        ("Compare the dates, then the answer is yes.", "yes", "Are both older?"),
        ("Cancel first, which leaves \\frac{1}{2} of it.", "\\frac{1}{2}", "What is left?"),
    ],
)
def test_a_label_that_holds_the_answer_is_known(label, answer, question):
    assert repeats_answer(label, [answer], question)


@pytest.mark.parametrize(
    ("label", "answer", "question"),
    [
        ("Refund to the card that was used, and close the ticket with a note.", REFUND, "Refund order 12."),
        ("Flawed:\n```python\ndef total(xs, k):\n    return sum(x for x in xs if x < k)\n```", PROGRAM, "Write total."),
        ("Look at both places, Paris and Rome.", "Paris", "Who came first, the mayor of Paris or that of Rome?"),
        ("1. Mind the fee.\n2. Mind the trip.", "2", "How many?"),
        ("Say yes or no, and nothing else.", "no", "Are both older?"),
        ("Check whether the order was refunded.", "Refunded", "What about order 12?"),
        ("The share is 1648.5 at most.", "1648", "When was it signed?"),
        ("Anything goes.", "", "Empty answers are none."),
        ("Anything goes.", "…", "Nor is one without a word."),
    ],
)
def test_a_label_that_only_comes_near_the_answer_is_left_alone(label, answer, question):
    assert not repeats_answer(label, [answer], question)


def test_nearly_all_of_a_long_answer_is_enough():
    words = [f"word{n}" for n in range(40)]
    answer = " ".join(words)
    assert repeats_answer("Mind: " + " ".join(words[:36]), [answer], "")
    assert not repeats_answer("Mind: " + " ".join(words[:35]), [answer], "")


ADVICE = "Ask which of the two orders is meant before you refund anything, and look at the date of the later one."


@pytest.mark.parametrize(
    ("label", "same"),
    [
        (ADVICE, True),
        (ADVICE.replace("anything", "a thing"), True),
        (f"First of all be polite to whoever asks. {ADVICE} Then write a note for those who come after you.", True),
        ("Ask which of the two orders is meant before you refund anything.", True),
        ("Ask which order is meant, and refund the later one.", False),
        ("Orders of the same day are one order.", False),
    ],
)
def test_advice_is_known_again_whole_in_part_and_inside_more(label, same):
    assert repeats_advice(label, ["Something else.", ADVICE], None) is same


def test_advice_in_the_pocket_language_is_the_same_if_its_claims_are():
    def claims(text: str) -> frozenset[str]:
        return frozenset(part.strip().replace(" ", "=") for part in text.split(";"))

    assert repeats_advice("cut part ; trip double", ["trip double ; cut part"], claims)
    assert not repeats_advice("cut part", ["trip double ; cut part"], claims)
    assert not repeats_advice("cut part", [], claims)


def row(part: str, **changes: str) -> ReflectionExample:
    fields = {
        "domain": "support", "task_id": "t", "task_text": "Refund order 12.", "reflection": "Mind the date.",
        "label_source": "experience", "part": part, "author": "a" * 64, "trajectory_id": "lost", "outcome": "final",
    }  # fmt: skip
    return ReflectionExample.model_validate(fields | changes)


def test_which_answers_and_which_advice_a_row_is_compared_with():
    known = KnownRuns(
        [
            RunTexts("lost", "t", "wrong", notes=("own note",), advice=("given",)),
            RunTexts("won", "t", "right", advice=("other advice",)),
            RunTexts("far", "far task", "elsewhere"),
        ]
    )
    # a failure may say what was wrong, and not what was right
    assert known.answers(row("failure")) == ["right"]
    assert known.answers(row("contrast", success_id="far")) == ["right", "elsewhere"]
    assert known.answers(row("hindsight", trajectory_id="won")) == ["wrong", "right"]
    assert known.answers(row("hindsight", task_id="unknown", trajectory_id="unknown")) == []
    assert known.advice(row("failure")) == ["given", "own note"]
    assert known.advice(row("contrast", success_id="won")) == ["given", "own note", "other advice"]
    assert known.advice(row("in_context")) == ["given"]  # it is the note itself
    assert known.advice(row("feedback", label_source="self")) == ["given"]


@pytest.mark.parametrize(
    "label",
    [
        "The attempt failed, since nobody looked.",
        "Mind the date. The second agent did it at once.",
        "1. The first function returns too early.",
        "Look at the date, as was forgotten in this run.",
        "Unlike the failed run, ask first.",
        "Both attempts forget it.",
        # by a model of 135M parameters that was told not to
        "The attempt to find the minimum possible value for a periodic function fails because it is no integer.",
        "The second function is a simple and effective way to check if a month number contains 28 days.",
    ],
)
def test_a_label_that_speaks_of_the_run_is_known(label):
    assert speaks_of_run(label)


@pytest.mark.parametrize(
    "label",
    [
        "Run the query first, then attempt the sum.",
        "After a failed attempt to log in, wait for an hour.",
        "Lock the account after the first attempt of a stranger.",
        "The run time is bounded by the length of the list.",
        "A first solution that comes to mind is wrong.",
        "Define a second helper, and call the first function with it.",
        "The second reading of the meter counts.",
    ],
)
def test_a_label_about_attempts_and_runs_as_such_is_left_alone(label):
    assert not speaks_of_run(label)
