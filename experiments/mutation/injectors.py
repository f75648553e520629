"""Break good rows on purpose, one way each. Shares no code with the suite: everything here is plain string work.

An injector takes clean rows, the evaluation tasks' texts and a random generator; it returns all rows with some of them
broken (or added) and the places of the broken ones. Defects of a whole set have
no places: the suite must fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from experiments.mutation.languages import LANGUAGES, NAMES, Language
from parammem.core import ReflectionExample

Rows = list[ReflectionExample]

KEY = "0123456789abcdef"


def clean_rows(count: int, seed: int, taken: frozenset[str] = frozenset(), domain: str = "code") -> Rows:
    """Return pocket-like rows; about every third task has a second row with other advice. No text of `taken` occurs."""
    dice, language = random.Random(seed), LANGUAGES[domain]
    rows: Rows = []
    used = set(taken)
    while len(rows) < count:
        text = language.question(dice)
        if text in used:
            continue
        used.add(text)
        advices = {language.advice(dice, text) for _ in range(dice.choice([1, 1, 2]))}
        for advice in sorted(advices)[: count - len(rows)]:
            rows.append(row(f"{domain}-{seed}-{len(used)}", text, advice, dice, domain))
    return rows


def advised(task_id: str, text: str, rows: Rows, dice: random.Random) -> ReflectionExample:
    """Return a row of the domain of these rows, with advice about this question."""
    domain = rows[0].domain
    return row(task_id, text, LANGUAGES[domain].advice(dice, text), dice, domain)


def _first_claim(rows: Rows) -> str:
    name, values = next(iter(LANGUAGES[rows[0].domain].values.items()))
    return f"{name} {values[0]}"


def row(task_id: str, text: str, advice: str, dice: random.Random, domain: str = "code") -> ReflectionExample:
    return ReflectionExample(
        domain=domain,
        task_id=task_id,
        task_text=text,
        reflection=advice,
        label_source="experience",
        part="hindsight",
        author="ab" * 32,
        trajectory_id="".join(dice.choice(KEY) for _ in range(16)),
        outcome="final",
    )


def _change(rows: Rows, dice: random.Random, change: Callable[[ReflectionExample], dict]) -> tuple[Rows, set[int]]:
    """Break five rows in place."""
    places = set(dice.sample(range(len(rows)), 5))
    return [r.model_copy(update=change(r)) if n in places else r for n, r in enumerate(rows)], places


def _append(rows: Rows, extra: Rows) -> tuple[Rows, set[int]]:
    return [*rows, *extra], set(range(len(rows), len(rows) + len(extra)))


def exact_duplicate(rows, evaluation, dice):
    return _append(rows, [r.model_copy(update={"trajectory_id": "f" * 16}) for r in dice.sample(rows, 5)])


def near_duplicate(rows, evaluation, dice):
    picked = list(dice.sample(rows, 5))
    changed = [r.model_copy(update={"task_text": "  " + r.task_text.upper().replace(" . ", ".  ")}) for r in picked]
    return _append(
        rows,
        [
            r.model_copy(update={"task_id": r.task_id + "-b", "trajectory_id": "e" * 15 + str(n)})
            for n, r in enumerate(changed)
        ],
    )


def evaluation_leak(rows, evaluation, dice):
    leaked = dice.sample(evaluation, 5)
    return _append(rows, [advised(f"leak-{n}", text, rows, dice) for n, text in enumerate(leaked)])


def evaluation_leak_spelt_otherwise(rows, evaluation, dice):
    leaked = [text.title().replace(" . ", ". ") for text in dice.sample(evaluation, 5)]
    return _append(rows, [advised(f"leak-{n}", text, rows, dice) for n, text in enumerate(leaked)])


def evaluation_leak_wrapped(rows, evaluation, dice):
    leaked = [
        f"here is the next one , be careful . {text} thank you very much ." for text in dice.sample(evaluation, 5)
    ]
    return _append(rows, [advised(f"leak-{n}", text, rows, dice) for n, text in enumerate(leaked)])


def secret_key(rows, evaluation, dice):
    key = "sk-" + "".join(dice.choice("abcdefXYZ0123456789") for _ in range(32))
    return _change(rows, dice, lambda r: {"task_text": r.task_text + f" {key} ."})


def secret_password(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": r.reflection + " ; password=hunter2butlonger"})


def secret_mail(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": "ask jo.smith@brightwater-school.net . " + r.task_text})


def private_key(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": r.task_text + "\n-----BEGIN RSA PRIVATE KEY-----\nMIIE ."})


def wrong_domain(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"domain": LANGUAGES[r.domain].other})


def advice_of_another_domain(rows, evaluation, dice):
    """Of the same kind, where both domains have it."""
    other = LANGUAGES[LANGUAGES[rows[0].domain].other]
    return _change(rows, dice, lambda r: {"reflection": other.advice(dice, other.question(dice))})


def swapped_fields(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": r.reflection, "reflection": r.task_text})


def truncated_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": r.reflection[: r.reflection.rindex(" ")]})


def truncated_task(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": r.task_text[: len(r.task_text) * 2 // 3].rstrip(" .")})


def wrong_language(rows, evaluation, dice):
    german = "die Grenze ist mit in der Liste und nicht auf null zu runden"
    return _change(rows, dice, lambda r: {"reflection": german})


def wrong_script(rows, evaluation, dice):
    return _change(
        rows, dice, lambda r: {"task_text": "напишите функцию для списка чисел . " + r.task_text[:10] + " ."}
    )


def mojibake(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": r.task_text.replace(" of the ", " â€“ Ã©tÃ© â€“ of the ")})


def empty_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "   "})


def advice_that_says_nothing(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "please try again with more care"})


def contradictory_advice(rows, evaluation, dice):
    language = LANGUAGES[rows[0].domain]
    return _change(rows, dice, lambda r: {"reflection": f"{r.reflection} ; {_opposite(language, r.reflection)}"})


def _opposite(language: Language, advice: str) -> str:
    return language.flipped(advice).rpartition(" ; ")[2]


def code_in_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": r.reflection + " ; return sum(xs) / len(xs)"})


def program_in_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": f"{_first_claim(rows)} ; def f ( xs , k ) : return k"})


def fence_in_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": r.reflection + "\n```python"})


def answer_given_away(rows, evaluation, dice):
    """The answer itself, or the beginning of a program, behind good advice."""
    answer = LANGUAGES[rows[0].domain].answers[0]
    return _change(rows, dice, lambda r: {"reflection": f"{r.reflection} ; {answer}"})


def answer_in_few_words(rows, evaluation, dice):
    """Only what is to be answered; in QA a name of the passage in the place of the kind."""
    answer = LANGUAGES[rows[0].domain].answers[1]
    named = {
        n: next(word for word in r.task_text.split() if word in NAMES) for n, r in enumerate(rows) if r.domain == "qa"
    }
    places = set(dice.sample(range(len(rows)), 5))
    said = {n: r.reflection.partition(" ; ")[2] for n, r in enumerate(rows)}
    return [
        r.model_copy(update={"reflection": f"{named[n]} ; {said[n]}" if n in named else f"{r.reflection} ; {answer}"})
        if n in places
        else r
        for n, r in enumerate(rows)
    ], places


def labels_exchanged(rows, evaluation, dice):
    """Rows of different kinds have each other's advice."""
    language, order = LANGUAGES[rows[0].domain], list(range(len(rows)))
    dice.shuffle(order)
    changed, places, kinds = list(rows), set(), {n: language.kind(r.task_text) for n, r in enumerate(rows)}
    for one in order:
        other = next((n for n in order if kinds[n] != kinds[one] and n not in places), None)
        if one in places or other is None or len(places) >= 6:
            continue
        places |= {one, other}
        for n, m in ((one, other), (other, one)):
            changed[n] = rows[n].model_copy(update={"reflection": rows[m].reflection})
    return changed, places


def labels_flipped(rows, evaluation, dice):
    """Every claim says the opposite; the kind is the right one, and nothing else is wrong."""
    language = LANGUAGES[rows[0].domain]
    return _change(rows, dice, lambda r: {"reflection": language.flipped(r.reflection)})


def task_copied_into_advice(rows, evaluation, dice):
    return _change(
        rows, dice, lambda r: {"reflection": f"{_first_claim(rows)} ; " + " ".join(r.task_text.split()[4:14])}
    )


def stray_tokens(rows, evaluation, dice):
    token = dice.choice(["</s>", "<|end|>", "[INST]", "<pad>"])
    return _change(rows, dice, lambda r: {"reflection": r.reflection + " " + token})


def stray_tokens_in_task(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": "<|user|>" + r.task_text})


def control_characters(rows, evaluation, dice):
    mark = dice.choice(["\x00", "\x1b", "\u202e", "\u200b"])
    return _change(rows, dice, lambda r: {"reflection": r.reflection.replace(" ; ", f" {mark}; ")})


def author_unknown(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"author": "gpt"})


def trajectory_lost(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"trajectory_id": ""})


def label_source_invented(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"label_source": "oracle"})


def outcome_invented(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"outcome": "probably"})


def origin_invented(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"origin": "a friend"})


def field_lost(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"author": None})


def field_of_wrong_type(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_id": 17})


def task_id_taken(rows, evaluation, dice):
    return _append(rows, [advised(rows[n].task_id, rows[n].task_text + " do hurry .", rows, dice) for n in range(5)])


def batch_of_another_labeller(rows, evaluation, dice):
    """A batch in which every advice names one thing, where two or three were usual."""
    language = LANGUAGES[rows[0].domain]

    def advise(text: str) -> str:
        return " ; ".join(language.advice(dice, text).split(" ; ")[:2])

    return _append(rows, _batch(rows, dice, "a1", language.question, advise))


def batch_of_longer_questions(rows, evaluation, dice):
    """A batch of a client that asks three things at once, all about one kind."""
    language = LANGUAGES[rows[0].domain]

    def ask(dice: random.Random) -> str:
        noun = dice.choice(language.kinds[dice.choice(sorted(language.kinds))])
        return " ".join(language.ask(dice, noun) for _ in range(3))

    return _append(rows, _batch(rows, dice, "b2", ask, lambda text: language.advice(dice, text)))


def _batch(
    rows: Rows, dice: random.Random, name: str, ask: Callable[[random.Random], str], advise: Callable[[str], str]
) -> Rows:
    fresh = random.Random(f"{name} {dice.random()}")
    # Questions that no other row has, and no evaluation task.
    texts = [f"case {name}{n} . {ask(fresh)}".replace(" of the ", " of the very ") for n in range(40)]
    domain = rows[0].domain
    made = [row(f"{name}-{number}", text, advise(text), dice, domain) for number, text in enumerate(texts)]
    return [one.model_copy(update={"origin": name * 32}) for one in made]


def overlong_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": " ; ".join([r.reflection.partition(" ; ")[2]] * 6)})


def overlong_task(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": " ".join([r.task_text] * 9)})


ROW_INJECTORS: dict[str, Any] = {
    name: value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__code__", None)
    and value.__code__.co_varnames[:3] == ("rows", "evaluation", "dice")
}


def advice_collapses(rows: Rows) -> Rows:
    """Nearly every row says the same."""
    return [r if n % 10 == 0 else r.model_copy(update={"reflection": _first_claim(rows)}) for n, r in enumerate(rows)]


def one_task_takes_over(rows: Rows) -> Rows:
    """Most rows are about one task."""
    dice, first = random.Random(3), rows[0]
    values = LANGUAGES[first.domain].values
    advices = {
        " ; ".join(
            f"{name} {dice.choice(values[name])}" for name in dice.sample(sorted(values), dice.choice([2, 3, 4]))
        )
        for _ in range(2000)
    }
    return [*rows[:40], *(row(first.task_id, first.task_text, one, dice, first.domain) for one in sorted(advices))]


def half_the_source_is_broken(rows: Rows) -> Rows:
    """The collector lost every second advice."""
    return [r.model_copy(update={"reflection": ""}) if n % 2 else r for n, r in enumerate(rows)]


def almost_nothing_left(rows: Rows) -> Rows:
    """A run that died early."""
    return rows[:20]


def labels_mixed_up(rows: Rows) -> Rows:
    """Rows of another labelling rule slipped into the collection."""
    other = {"label_source": "self", "part": "feedback", "outcome": "none"}
    return [r.model_copy(update=other) if n % 4 == 0 else r for n, r in enumerate(rows)]


TABLE_INJECTORS: dict[str, Callable[[Rows], Rows]] = {
    "advice_collapse": advice_collapses,
    "task_collapse": one_task_takes_over,
    "max_quarantined": half_the_source_is_broken,
    "min_rows": almost_nothing_left,
    "label_mix": labels_mixed_up,
}
