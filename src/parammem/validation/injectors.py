"""Break good rows on purpose, one way each. Shares no code with the suite: everything here is plain string work.

An injector takes clean rows, the evaluation tasks' texts and a random generator; it returns all rows with some of them
broken (or added) and the places of the broken ones. Defects of a whole set have
no places: the suite must fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from parammem.core import ReflectionExample

Rows = list[ReflectionExample]

_NOUNS = "prices ages scores weights lengths heights delays counts marks sizes points votes loads fees taxes rents"
_ADJECTIVES = "daily old new late early small large red blue green local remote north south east west inner outer"
_PLACES = "shop school farm port bank mill lab clinic depot garden museum library bakery station market office"
NOUNS, ADJECTIVES, PLACES = _NOUNS.split(), _ADJECTIVES.split(), _PLACES.split()
BOUNDS = ["keep those up to k", "keep those from k on", "drop those past k", "keep those between j and k"]
RETURNS = ["return the average rounded", "return the sum", "return the largest", "return how many remain"]
VALUES = {
    "limit": ["inside", "outside"],
    "repeats": ["once", "all"],
    "empty": ["zero", "none"],
    "round": ["up", "down"],
}
KEY = "0123456789abcdef"


def claims(advice: str) -> frozenset[str]:
    """What the pocket language claims: parts `name value` between semicolons."""
    found = set()
    for part in advice.split(";"):
        pair = part.split()
        if len(pair) == 2 and pair[1] in VALUES.get(pair[0], []):
            found.add("=".join(pair))
    return frozenset(found)


def task_text(dice: random.Random) -> str:
    about = f"{dice.choice(ADJECTIVES)} {dice.choice(NOUNS)} of the {dice.choice(PLACES)}"
    ends = dice.choice(["handle empty lists", "handle repeats", "handle repeats . handle empty lists"])
    return f"write f(xs, k) . xs are {about} . {dice.choice(BOUNDS)} . {dice.choice(RETURNS)} . {ends} ."


def clean_rows(count: int, seed: int, taken: frozenset[str] = frozenset()) -> Rows:
    """Pocket-like rows; about every third task has a second row with other advice. No text of `taken` occurs."""
    dice = random.Random(seed)
    rows: Rows = []
    used = set(taken)
    while len(rows) < count:
        text = task_text(dice)
        if text in used:
            continue
        used.add(text)
        advices = {advice_text(dice) for _ in range(dice.choice([1, 1, 2]))}
        for advice in sorted(advices)[: count - len(rows)]:
            rows.append(row(f"code-{seed}-{len(used)}", text, advice, dice))
    return rows


def advice_text(dice: random.Random) -> str:
    names = dice.sample(sorted(VALUES), dice.choice([2, 3]))
    return " ; ".join(f"{name} {dice.choice(VALUES[name])}" for name in names)


def row(task_id: str, text: str, advice: str, dice: random.Random) -> ReflectionExample:
    return ReflectionExample(
        domain="code",
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
    return _append(rows, [row(f"leak-{n}", text, advice_text(dice), dice) for n, text in enumerate(leaked)])


def evaluation_leak_spelt_otherwise(rows, evaluation, dice):
    leaked = [text.title().replace(" . ", ". ") for text in dice.sample(evaluation, 5)]
    return _append(rows, [row(f"leak-{n}", text, advice_text(dice), dice) for n, text in enumerate(leaked)])


def evaluation_leak_wrapped(rows, evaluation, dice):
    leaked = [
        f"here is the next one , be careful . {text} thank you very much ." for text in dice.sample(evaluation, 5)
    ]
    return _append(rows, [row(f"leak-{n}", text, advice_text(dice), dice) for n, text in enumerate(leaked)])


def secret_key(rows, evaluation, dice):
    key = "sk-" + "".join(dice.choice("abcdefXYZ0123456789") for _ in range(32))
    return _change(rows, dice, lambda r: {"task_text": r.task_text + f" {key} ."})


def secret_password(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": r.reflection + " ; password=hunter2butlonger"})


def secret_mail(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": "ask jo.smith@example.org . " + r.task_text})


def private_key(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"task_text": r.task_text + "\n-----BEGIN RSA PRIVATE KEY-----\nMIIE ."})


def wrong_domain(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"domain": "math"})


def advice_of_another_domain(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "discount off price ; share before tax"})


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
    return _change(rows, dice, lambda r: {"task_text": r.task_text.replace("xs are", "xs â€“ Ã©tÃ© â€“ are")})


def empty_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "   "})


def advice_that_says_nothing(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "please try again with more care"})


def contradictory_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "limit inside ; limit outside ; empty zero"})


def code_in_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": r.reflection + " ; return sum(xs) / len(xs)"})


def program_in_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "limit inside ; def f ( xs , k ) : return k"})


def fence_in_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": r.reflection + "\n```python"})


def task_copied_into_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": "limit inside ; " + " ".join(r.task_text.split()[4:14])})


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
    return _append(
        rows, [row(rows[n].task_id, rows[n].task_text + " do hurry .", advice_text(dice), dice) for n in range(5)]
    )


def batch_of_another_labeller(rows, evaluation, dice):
    """A batch in which every advice names one thing, where two or three were usual."""
    return _append(rows, _batch(dice, "a1", task_text, lambda: " ; ".join(advice_text(dice).split(" ; ")[:1])))


def batch_of_longer_questions(rows, evaluation, dice):
    """A batch of a client that asks three things at once."""
    return _append(
        rows, _batch(dice, "b2", lambda d: " ".join(task_text(d) for _ in range(3)), lambda: advice_text(dice))
    )


def _batch(dice: random.Random, name: str, ask: Callable[[random.Random], str], advise: Callable[[], str]) -> Rows:
    fresh = random.Random(f"{name} {dice.random()}")  # questions that no other row has
    texts = [ask(fresh).replace("write f", f"write {name}{number}") for number in range(40)]
    made = [row(f"{name}-{number}", text, advise(), dice) for number, text in enumerate(texts)]
    return [one.model_copy(update={"origin": name * 32}) for one in made]


def overlong_advice(rows, evaluation, dice):
    return _change(rows, dice, lambda r: {"reflection": " ; ".join(["limit inside ; repeats once ; empty zero"] * 4)})


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
    return [
        r if n % 10 == 0 else r.model_copy(update={"reflection": "limit inside ; empty zero"})
        for n, r in enumerate(rows)
    ]


def one_task_takes_over(rows: Rows) -> Rows:
    """Most rows are about one task."""
    dice = random.Random(3)
    first = rows[0]
    names = sorted(VALUES)
    advices = {
        " ; ".join(f"{name} {dice.choice(VALUES[name])}" for name in dice.sample(names, dice.choice([2, 3, 4])))
        for _ in range(2000)
    }
    return [*rows[:40], *[row(first.task_id, first.task_text, advice, dice) for advice in sorted(advices)]]


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
