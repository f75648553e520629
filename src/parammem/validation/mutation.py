"""The mutation score of the data rules: the share of kinds of injected defect that the suite catches.

Defects are put into rows that are otherwise clean. A kind counts as caught when every broken row is quarantined, its
own rule among the reasons, and no clean neighbour is; a defect of the whole set when its rule fails the suite.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from parammem.config import ValidateParams
from parammem.core.record import Record
from parammem.validation.injectors import ROW_INJECTORS, TABLE_INJECTORS, claims, clean_rows, task_text
from parammem.validation.records import Verdict
from parammem.validation.rules import suite_digest, suite_rules
from parammem.validation.validate import validate_rows

REFERENCE = ValidateParams(
    min_rows=50, min_words=2, max_words=16, max_task_words=160, near_duplicate=0.98, max_quarantined=0.2
)
"""The bounds under which the score is taken: those of params.yaml, so that scores can be compared over time."""
FLOOR = 1.0
"""The score may not be lower; `parammem stage mutation`, and so CI, fails when it is."""
DOMAIN = "code"
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


class MutationScore(Record):
    """What the suite caught. Equal rules give equal scores: seeds are fixed."""

    score: float
    """Share of kinds that were caught in full, over all seeds."""
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
    seeds: tuple[int, ...]
    suite_digest: str
    """Digest of the rules with the reference bounds; the validation report has the same if its bounds are these."""
    floor: float


def mutation_score(seeds: Sequence[int] = (1, 2), tables: bool = True) -> MutationScore:
    """Inject every kind of defect and see what the suite says; `tables`: also the defects of a whole set."""
    missed: dict[str, None] = {}
    defects = quarantined = false_alarms = 0
    for seed in seeds:
        broken, reasons, block = all_defects(seed)
        for name, places in broken.items():
            defects += len(places)
            quarantined += len(places & set(reasons))
            alarms = (block[name] - places) & set(reasons)
            false_alarms += len(alarms)
            if alarms or not all(EXPECTED[name] in reasons.get(place, ()) for place in places):
                missed[name] = None
    for rule, inject in TABLE_INJECTORS.items() if tables else ():
        verdict = _judge(inject(clean_rows(CLEAN_ROWS, seed=1, taken=frozenset(_evaluation()))))
        if verdict.passed or rule not in {result.rule for result in verdict.broken}:
            missed[rule] = None
    kinds = len(ROW_INJECTORS) + (len(TABLE_INJECTORS) if tables else 0)
    return MutationScore(
        score=(kinds - len(missed)) / kinds,
        kinds=kinds,
        caught=kinds - len(missed),
        missed=tuple(sorted(missed)),
        defects=defects,
        quarantined=quarantined,
        false_alarms=false_alarms,
        seeds=tuple(seeds),
        suite_digest=suite_digest(suite_rules(REFERENCE, DOMAIN, True)),
        floor=FLOOR,
    )


def all_defects(seed: int) -> tuple[dict[str, set[int]], dict[int, tuple[str, ...]], dict[str, set[int]]]:
    """Every injector on clean rows of its own, judged together (one pass of the suite costs a second).

    Returns broken places and all places by injector, and the suite's reasons by place.
    """
    evaluation = _evaluation()
    rows, broken, block = [], {}, {}
    taken = frozenset([*evaluation, *(r.task_text for r in clean_rows(CLEAN_ROWS, 1, frozenset(evaluation)))])
    for number, name in enumerate(sorted(ROW_INJECTORS)):
        own = clean_rows(BLOCK, seed=1000 * seed + number, taken=taken)
        taken |= {r.task_text for r in own}
        changed, places = ROW_INJECTORS[name](own, evaluation[3 * number : 3 * number + 6], random.Random(seed))
        broken[name] = {len(rows) + place for place in places}
        block[name] = set(range(len(rows), len(rows) + len(changed)))
        rows += changed
    verdict = _judge(rows)
    return broken, {item.row: item.reasons for item in verdict.quarantined}, block


def _evaluation() -> list[str]:
    return sorted({task_text(random.Random(n)) for n in range(5000, 5120)})


def _judge(rows: list) -> Verdict:
    return validate_rows(rows, _evaluation(), REFERENCE, DOMAIN, claims)
