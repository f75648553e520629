"""A batch unlike the rows before it is set aside whole; drift of what tasks are about is not, nor is chance."""

from __future__ import annotations

import ast
import random
import sys
from pathlib import Path

import pytest

from experiments.mutation import injectors, languages
from experiments.mutation.injectors import clean_rows, row
from experiments.mutation.languages import BOUNDS, LANGUAGES
from parammem.config import ValidateParams
from parammem.validation import validate_rows
from parammem.validation.shift import FALSE_ALARMS, distance, likelihood, shifted

LIMIT = 0.5


def batch(name, seed, count=40, words=0):
    made = clean_rows(count, seed)
    more = {"reflection": "limit inside"} if words else {}
    return [one.model_copy(update={"origin": name * 32, **more}) for one in made]


def test_a_batch_of_other_lengths_is_set_aside_whole_and_those_around_it_are_kept():
    rows = [*batch("a1", 1), *batch("b2", 2, words=2), *batch("c3", 3)]
    found = shifted(rows, LIMIT)
    assert found == [False] * 40 + [True] * 40 + [False] * 40


def test_what_is_said_of_a_batch_does_not_change_when_more_come_in():
    first = [*batch("a1", 1), *batch("b2", 2, words=2)]
    later = [*first, *(one for n in range(5) for one in batch(f"d{n}", 10 + n, words=2))]
    assert shifted(later, LIMIT)[: len(first)] == shifted(first, LIMIT)


def test_a_limit_of_one_lets_everything_pass():
    assert not any(shifted([*batch("a1", 1), *batch("b2", 2, words=2)], 1.0))


def test_few_rows_are_never_called_a_shift():
    assert not any(shifted([*batch("a1", 1), *batch("b2", 2, count=3, words=2)], LIMIT))
    assert not any(shifted([*batch("a1", 1, count=3), *batch("b2", 2, words=2)], LIMIT))


def test_other_topics_and_other_truths_are_no_shift():
    dice, language = random.Random(4), LANGUAGES["code"]
    drifted = []
    for number in range(60):
        text = language.question(dice)
        for bound in BOUNDS[1:]:
            text = text.replace(bound, BOUNDS[0])
        said = language.advice(dice, text).replace("inside", "outside").replace("once", "all")
        drifted.append(row(f"x-{number}", f"{text} n{number} .", said, dice).model_copy(update={"origin": "ee" * 32}))
    assert not any(shifted([*batch("a1", 1, 80), *drifted], LIMIT))


@pytest.mark.parametrize("limit", [0.05, LIMIT])
def test_chance_alone_sets_aside_no_more_than_is_stated(limit):
    """400 batches of one source, also with a limit so small that only the bound holds back."""
    dice = random.Random(11)
    lengths = [dice.choice([4, 4, 4, 6, 6, 8]) for _ in range(200)]
    alarms = 0
    for _ in range(400):
        new = [dice.choice([4, 4, 4, 6, 6, 8]) for _ in range(60)]
        far = distance(new, lengths)
        alarms += far >= limit and likelihood(far, len(new), len(lengths)) <= FALSE_ALARMS / 2
    assert alarms <= 1


def test_distance_is_the_largest_gap_of_the_cumulative_shares():
    assert distance([1, 1, 2, 2], [1, 1, 2, 2]) == 0
    assert distance([1, 2, 3, 4], [3, 4, 5, 6]) == pytest.approx(0.5)
    assert distance([1], [2]) == 1


def test_the_suite_sets_a_shifted_batch_aside_without_failing():
    params = ValidateParams(
        min_rows=5, min_words=1, max_words=20, max_task_words=90, near_duplicate=0.98, max_quarantined=0.1
    )
    first = clean_rows(60, 1)
    new = clean_rows(40, 2, taken=frozenset(one.task_text for one in first))
    other = [one.model_copy(update={"origin": "ab" * 32, "reflection": "limit inside"}) for one in new]
    verdict = validate_rows([*first, *other], [], params, "code", LANGUAGES["code"].claims)
    reasons = {item.row: item.reasons for item in verdict.quarantined}
    assert {place for place, why in reasons.items() if "distribution_shift" in why} == set(range(60, 100))
    assert verdict.passed


def test_injectors_share_no_code_with_the_suite():
    files = (Path(str(one.__file__)) for one in (injectors, languages))
    tree = ast.parse("\n".join(file.read_text().replace("from __future__ import annotations", "") for file in files))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    assert ours == {"parammem.core", "experiments.mutation.languages"}
