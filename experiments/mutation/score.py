"""The mutation score of the data rules: the share of kinds of injected defect that the suite catches.

Defects are put into rows that are otherwise clean. A kind counts as caught when every broken row is quarantined, its
own rule among the reasons, and no clean neighbour is; a defect of the whole set when its rule fails the suite. Each
domain of the pocket world has a score of its own, and a floor; so have labels in prose, which are read from runs that
failed.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from experiments.mutation.injectors import ROW_INJECTORS, TABLE_INJECTORS, clean_rows
from experiments.mutation.languages import LANGUAGES
from experiments.mutation.lessons import DOMAIN, LESSON_INJECTORS, Lessons, clean_lessons
from parammem.config import ValidateParams
from parammem.core import ReflectionExample
from parammem.core.record import Record
from parammem.validation.repeats import LESSONS, KnownRuns
from parammem.validation.result import ValidationResult
from parammem.validation.rules import DataRule, suite_digest, suite_rules
from parammem.validation.validate import validate_rows

REFERENCE = ValidateParams(
    min_rows=50, min_words=2, max_words=16, max_task_words=160, near_duplicate=0.98, max_quarantined=0.2
)
"""The bounds under which the score is taken: those of params.yaml, so that scores can be compared over time."""
PROSE = REFERENCE.model_copy(update={"max_words": 120, "max_copied": 12, "max_quarantined": 1.0})
"""The bounds for labels in prose."""
UNCAUGHT = {
    "labels_flipped": "whether a claim is right only its verdict can tell: rows of one kind may differ rightly",
}
"""Kinds that no rule can catch without raising alarms about clean rows, and why. They count as missed all the same."""
CLEAN_ROWS = 150
BLOCK = 30
"""Clean rows around the defects of one kind."""

EXPECTED = {
    "exact_duplicate": "exact_duplicate",
    "near_duplicate": "near_duplicate",
    "evaluation_leak": "evaluation_overlap",
    "evaluation_leak_spelt_otherwise": "evaluation_overlap",
    "evaluation_leak_wrapped": "evaluation_overlap",
    "secret_key": "secret",
    "secret_password": "secret",
    "secret_mail": "secret",
    "private_key": "secret",
    "wrong_domain": "domain",
    "advice_of_another_domain": "claims_nothing",
    "swapped_fields": "claims_nothing",
    "truncated_advice": "truncated",
    "truncated_task": "truncated",
    "wrong_language": "language",
    "wrong_script": "language",
    "mojibake": "encoding",
    "empty_advice": "advice_length",
    "advice_that_says_nothing": "claims_nothing",
    "contradictory_advice": "contradiction",
    "code_in_advice": "code",
    "program_in_advice": "code",
    "fence_in_advice": "code",
    "answer_given_away": "answer",
    "answer_in_few_words": "answer",
    "labels_exchanged": "other_label",
    "labels_flipped": "other_label",
    "task_copied_into_advice": "copies_task",
    "stray_tokens": "stray_tokens",
    "stray_tokens_in_task": "stray_tokens",
    "control_characters": "control_characters",
    "author_unknown": "author",
    "trajectory_lost": "trajectory_id",
    "label_source_invented": "label_source",
    "outcome_invented": "outcome",
    "origin_invented": "origin",
    "field_lost": "missing_value",
    "field_of_wrong_type": "missing_value",
    "task_id_taken": "task_id",
    "batch_of_another_labeller": "distribution_shift",
    "batch_of_longer_questions": "distribution_shift",
    "overlong_advice": "advice_length",
    "overlong_task": "task_length",
}
"""Injector → the rule that must be among the reasons."""


def floor_of(kinds: int) -> float:
    """Return the share below which the score of no domain may fall; the stage `mutation`, and so CI, fails when one
    does."""
    return (kinds - len(UNCAUGHT)) / kinds


def expected(domain: str, name: str) -> str:
    """Return the rule that must be among the reasons of a row that this injector broke."""
    program = domain == "code" and name == "answer_given_away"  # elsewhere the answer is a line of words
    return "code" if program else EXPECTED[name]


class DomainScore(Record):
    """What the suite of one domain caught."""

    score: float
    """Share of kinds that were caught in full, over all seeds."""
    floor: float
    kinds: int
    caught: int
    missed: tuple[str, ...]
    """Kinds of which a broken row was kept, not named by its rule, or a table defect passed."""
    defects: int
    """Broken rows that were injected."""
    quarantined: int
    """Of these, how many the suite set aside."""
    false_alarms: int
    """Clean neighbours that it set aside."""
    suite_digest: str
    """Digest of the rules with the reference bounds; the validation report has the same if its bounds are these."""


class MutationScore(Record):
    """What the suites caught. Equal rules give equal scores: seeds are fixed."""

    score: float
    """Share of kinds, over all domains."""
    floor: float
    kinds: int
    caught: int
    missed: tuple[str, ...]
    """As `domain: kind`."""
    uncaught: dict[str, str]
    """Kinds that are known to be missed, and why; they are in no floor."""
    defects: int
    quarantined: int
    false_alarms: int
    seeds: tuple[int, ...]
    suite_digest: str
    """That of the first domain."""
    domains: dict[str, DomainScore]

    @property
    def below(self) -> tuple[str, ...]:
        """Domains whose score is below the floor."""
        return tuple(domain for domain, one in self.domains.items() if one.score < one.floor)


def mutation_score(
    seeds: Sequence[int] = (1, 2), tables: bool = True, domains: Sequence[str] = (*LANGUAGES, DOMAIN)
) -> MutationScore:
    """Inject every kind of defect, return what the suite says; `tables`: also the defects of a whole set."""
    found = {domain: _lessons(seeds) if domain == DOMAIN else _score(domain, seeds, tables) for domain in domains}
    every = list(found.values())
    kinds, caught = sum(one.kinds for one in every), sum(one.caught for one in every)
    return MutationScore(
        score=caught / kinds,
        floor=sum(one.floor * one.kinds for one in every) / kinds,
        kinds=kinds,
        caught=caught,
        missed=tuple(f"{domain}: {kind}" for domain, one in found.items() for kind in one.missed),
        uncaught=UNCAUGHT,
        defects=sum(one.defects for one in every),
        quarantined=sum(one.quarantined for one in every),
        false_alarms=sum(one.false_alarms for one in every),
        seeds=tuple(seeds),
        suite_digest=every[0].suite_digest,
        domains=found,
    )


def _score(domain: str, seeds: Sequence[int], tables: bool) -> DomainScore:
    missed: dict[str, None] = {}
    defects = quarantined = false_alarms = 0
    for seed in seeds:
        broken, reasons, block = all_defects(seed, domain)
        for name, places in broken.items():
            defects += len(places)
            quarantined += len(places & set(reasons))
            alarms = (block[name] - places) & set(reasons)
            false_alarms += len(alarms)
            if alarms or not all(expected(domain, name) in reasons.get(place, ()) for place in places):
                missed[name] = None
    for rule, inject in TABLE_INJECTORS.items() if tables else ():
        verdict = judge(inject(clean_rows(CLEAN_ROWS, 1, frozenset(evaluation_texts(domain)), domain)), domain)
        if verdict.passed or rule not in {result.rule for result in verdict.broken}:
            missed[rule] = None
    kinds = len(ROW_INJECTORS) + (len(TABLE_INJECTORS) if tables else 0)
    counts = (defects, quarantined, false_alarms)
    return _score_of(kinds, missed, floor_of(kinds), counts, suite_rules(REFERENCE, domain, True))


def _score_of(
    kinds: int, missed: Collection[str], floor: float, counts: tuple[int, int, int], suite: Sequence[DataRule]
) -> DomainScore:
    """Return the score of one suite.

    Args:
        counts: defects, quarantined defects, clean rows that were set aside.
    """
    defects, quarantined, false_alarms = counts
    return DomainScore(
        score=(kinds - len(missed)) / kinds,
        floor=floor,
        kinds=kinds,
        caught=kinds - len(missed),
        missed=tuple(sorted(missed)),
        defects=defects,
        quarantined=quarantined,
        false_alarms=false_alarms,
        suite_digest=suite_digest(suite),
    )


def _lessons(seeds: Sequence[int]) -> DomainScore:
    """Score the suite of a domain of kind open, on labels that are read from runs that failed."""
    missed: dict[str, None] = {}
    defects = quarantined = false_alarms = 0
    for seed in seeds:
        broken, reasons = all_lessons(seed)
        for number, (name, places) in enumerate(broken.items()):
            defects += len(places)
            quarantined += len(places & set(reasons))
            alarms = (set(range(BLOCK * number, BLOCK * (number + 1))) - places) & set(reasons)
            false_alarms += len(alarms)
            if alarms or not all(LESSON_INJECTORS[name][1] in reasons.get(place, ()) for place in places):
                missed[name] = None
    counts = (defects, quarantined, false_alarms)
    return _score_of(len(LESSON_INJECTORS), missed, 1.0, counts, suite_rules(PROSE, DOMAIN, False, LESSONS))


def all_lessons(seed: int) -> tuple[dict[str, set[int]], dict[int, tuple[str, ...]]]:
    """Every injector on a block of clean lessons, judged together. Returns broken places by injector, and the suite's
    reasons by place."""
    lessons: Lessons = []
    broken = {}
    for number, (name, (inject, _)) in enumerate(LESSON_INJECTORS.items()):
        changed, places = inject(clean_lessons(BLOCK, 100 * seed + number), random.Random(f"{seed} {name}"))
        broken[name] = {len(lessons) + place for place in places}
        lessons += changed
    return broken, {item.row: item.reasons for item in judge_lessons(lessons).quarantined}


def judge_lessons(lessons: Lessons) -> ValidationResult:
    """Return the suite's verdict on labels in prose, with the runs behind them known."""
    known = KnownRuns((run for one in lessons for run in (one.lost, one.won)), LESSONS)
    return validate_rows([one.row for one in lessons], [], PROSE, DOMAIN, None, known=known)


def all_defects(
    seed: int, domain: str = "code"
) -> tuple[dict[str, set[int]], dict[int, tuple[str, ...]], dict[str, set[int]]]:
    """Every injector on clean rows of its own, judged together (one pass of the suite costs a second).

    Returns broken places and all places by injector, and the suite's reasons by place.
    """
    evaluation = evaluation_texts(domain)
    rows, broken, block = [], {}, {}
    taken = frozenset([*evaluation, *(r.task_text for r in clean_rows(CLEAN_ROWS, 1, frozenset(evaluation), domain))])
    for number, name in enumerate(sorted(ROW_INJECTORS)):
        own = clean_rows(BLOCK, seed=1000 * seed + number, taken=taken, domain=domain)
        taken |= {r.task_text for r in own}
        dice = random.Random(f"{seed} {name}")  # of its own: trajectories have names by it
        changed, places = ROW_INJECTORS[name](own, evaluation[3 * number : 3 * number + 6], dice)
        broken[name] = {len(rows) + place for place in places}
        block[name] = set(range(len(rows), len(rows) + len(changed)))
        rows += changed
    verdict = judge(rows, domain)
    return broken, {item.row: item.reasons for item in verdict.quarantined}, block


def evaluation_texts(domain: str = "code") -> list[str]:
    """Return questions that no row may hold: enough for three of each injector."""
    return sorted({LANGUAGES[domain].question(random.Random(n)) for n in range(5000, 5200)})


def judge(rows: list[ReflectionExample], domain: str) -> ValidationResult:
    """Return the suite's verdict under the reference bounds."""
    language = LANGUAGES[domain]
    return validate_rows(rows, evaluation_texts(domain), REFERENCE, domain, language.claims, kinds=language.kinds)
