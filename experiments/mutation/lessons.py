"""Labels in plain English, read from runs of a desk's agent that failed: clean ones, and ways to break them.

As in `injectors`, nothing here is shared with the rules. An injector takes lessons and a random generator, and returns
them with five broken, and the places of these.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from parammem.core import ReflectionExample
from parammem.validation.repeats import RunTexts

DOMAIN = "desk"
KEY = "0123456789abcdef"
THINGS = "kettle lamp shelf carpet radio mirror ladder bicycle heater blanket printer saddle".split()
WISHES = ("arrived broken", "never came", "was paid twice", "is the wrong size", "makes a noise", "smells of smoke")
WHO = ("a school", "a hotel", "an old customer", "a new customer", "a shop abroad", "a club", "a museum", "a bakery")
MIND = (
    "look at the date of the delivery and not at that of the order",
    "ask which of the two accounts is meant",
    "count the bank holidays of the country that the parcel went to",
    "read the note of the last colleague before anything is written",
    "check whether the guarantee was prolonged by letter",
    "take the price after the discount for the refund",
    "leave out the orders that were cancelled by us",
    "write the sum with the currency of the invoice",
)
INSTEAD = (
    "open the case again only if the sender wrote since",
    "send the form first and the label later",
    "wait for the carrier's word",
    "close it with the code of the warehouse",
    "tell the sender what happens next",
    "pass it to the desk that made the sale",
)
SENT = ("a voucher", "a label", "a new one", "the whole sum", "half of the sum", "a letter with the terms")


@dataclass(frozen=True)
class Lesson:
    """A label with the run that failed, and for a contrast the success that it was set beside."""

    row: ReflectionExample
    lost: RunTexts
    won: RunTexts

    def saying(self, text: str) -> Lesson:
        return self.with_row(reflection=text)

    def with_row(self, **changes: object) -> Lesson:
        return replace(self, row=self.row.model_copy(update=changes))


Lessons = list[Lesson]
Broken = tuple[Lessons, set[int]]


def clean_lessons(count: int, seed: int) -> Lessons:
    """Return labels of failures and contrasts in turn, each of a task of its own."""
    dice = random.Random(f"lessons {seed}")
    return [_lesson(dice, f"{seed}-{number}", "contrast" if number % 2 else "failure") for number in range(count)]


def _lesson(dice: random.Random, name: str, part: str) -> Lesson:
    case = f"{dice.choice(WHO)} writes that the {dice.choice(THINGS)} of order {dice.randrange(10**6)}"
    text = f"Case {name}: {case} {dice.choice(WISHES)}. Settle it by {dice.choice(MIND).split()[0]} of day {name}."
    mind = dice.sample(MIND, 7)  # what is said in different places is not the same by chance
    lost, won = (
        RunTexts(
            trajectory_id="".join(dice.choice(KEY) for _ in range(16)),
            task_id=f"desk-{name}",
            answer=_answer(dice, dice.choice(["settled at once", "settled after a call"])),
            notes=(f"I must {mind[4]}, since case {dice.randrange(10**5)} went wrong for want of it.",),
            advice=(f"{_said(dice, mind[place : place + 2])} This holds for case {dice.randrange(10**5)} too.",),
        )
        for place in (0, 2)
    )
    row = ReflectionExample(
        domain=DOMAIN,
        task_id=lost.task_id,
        task_text=text,
        reflection=_said(dice, mind[5:]),
        label_source="experience",
        part=part,
        author="cd" * 32,
        trajectory_id=lost.trajectory_id,
        outcome="final",
        success_id=won.trajectory_id if part == "contrast" else "",
    )
    return Lesson(row, lost, won)


def _said(dice: random.Random, mind: Sequence[str]) -> str:
    return f"Before the {dice.choice(THINGS)} is settled {mind[0]}; {mind[1]}. Then {dice.choice(INSTEAD)}."


def _answer(dice: random.Random, how: str) -> str:
    return (
        f"The case was {how}: the sender got {dice.choice(SENT)} and {dice.choice(SENT)}, and the "
        f"{dice.choice(THINGS)} goes back to hall {dice.randrange(1000)} with the carrier of day {dice.randrange(400)}."
    )


def _change(lessons: Lessons, dice: random.Random, change: Callable[[Lesson], Lesson]) -> Broken:
    places = set(dice.sample(range(len(lessons)), 5))
    return [change(one) if n in places else one for n, one in enumerate(lessons)], places


def answer_repeated(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.saying(f"{one.row.reflection} Say: {one.won.answer}"))


def answer_spelt_otherwise(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.saying(f"{one.won.answer.upper().replace(',', ' -')} Mind that."))


def figure_given_away(lessons: Lessons, dice: random.Random) -> Broken:
    """The answer is one figure, and the label says it."""

    def change(one: Lesson) -> Lesson:
        figure = str(dice.randrange(10**6, 10**7))
        won = one.won._replace(answer=f"{figure}.")
        return replace(one, won=won).saying(f"{one.row.reflection} That comes to {figure} in the end.")

    return _change(lessons, dice, change)


def advice_repeated(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.saying(one.lost.advice[0]))


def advice_repeated_among_more(lessons: Lessons, dice: random.Random) -> Broken:
    more = "First greet whoever wrote, by name."
    return _change(lessons, dice, lambda one: one.saying(f"{more} {one.lost.advice[0].replace(';', ',')}"))


def note_repeated(lessons: Lessons, dice: random.Random) -> Broken:
    """What the agent told itself in the run that failed."""
    return _change(lessons, dice, lambda one: one.saying(one.lost.notes[0]))


def run_spoken_of(lessons: Lessons, dice: random.Random) -> Broken:
    """As if its reader had seen what only the labeller saw."""
    openings = (
        "The attempt failed, since nobody looked.",
        "The second agent did it at once.",
        "In this run all went well.",
    )
    return _change(lessons, dice, lambda one: one.saying(f"{dice.choice(openings)} {one.row.reflection}"))


def secret_in_lesson(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(
        lessons, dice, lambda one: one.saying(f"{one.row.reflection} Log in with password=hunter2butlonger.")
    )


def address_in_lesson(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(
        lessons, dice, lambda one: one.saying(f"{one.row.reflection} Ask jo.smith@brightwater-school.net first.")
    )


def lesson_without_its_run(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.with_row(trajectory_id=""))


def lesson_without_an_outcome(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.with_row(outcome="none"))


def lesson_of_another_rule(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.with_row(label_source="self"))


def lesson_cut(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.with_row(cut=True))


def lesson_in_circles(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.saying("Look at the date and then look again. " * 5))


def task_copied_into_lesson(lessons: Lessons, dice: random.Random) -> Broken:
    return _change(lessons, dice, lambda one: one.saying(f"{one.row.task_text} {one.row.reflection}"))


LESSON_INJECTORS: dict[str, tuple[Callable[[Lessons, random.Random], Broken], str]] = {
    "answer_repeated": (answer_repeated, "repeats_answer"),
    "answer_spelt_otherwise": (answer_spelt_otherwise, "repeats_answer"),
    "figure_given_away": (figure_given_away, "repeats_answer"),
    "advice_repeated": (advice_repeated, "repeats_advice"),
    "advice_repeated_among_more": (advice_repeated_among_more, "repeats_advice"),
    "note_repeated": (note_repeated, "repeats_advice"),
    "run_spoken_of": (run_spoken_of, "speaks_of_run"),
    "secret_in_lesson": (secret_in_lesson, "secret"),
    "address_in_lesson": (address_in_lesson, "secret"),
    "lesson_without_its_run": (lesson_without_its_run, "trajectory_id"),
    "lesson_without_an_outcome": (lesson_without_an_outcome, "outcome"),
    "lesson_of_another_rule": (lesson_of_another_rule, "part"),
    "lesson_cut": (lesson_cut, "truncated"),
    "lesson_in_circles": (lesson_in_circles, "loops"),
    "task_copied_into_lesson": (task_copied_into_lesson, "copies_task"),
}
"""Kind of defect → who makes it, and the rule that must be among the reasons."""
