"""Rows that should teach nothing: the `shuffled` control. (`other_world` rows are collected elsewhere.)"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from parammem.core import ReflectionExample


def shuffled(rows: Sequence[ReflectionExample], seed: int) -> list[ReflectionExample]:
    """Return the same tasks and the same advice, paired anew: every row gets the advice of another task, where
    possible.

    Rows keep their order and everything but the reflection. A task that owns more than half of the rows cannot be
    served by the others alone; as few of its rows as possible then keep advice of their own task.

    Two tasks may have had equal advice; such a row may get its own words back by chance, as often as chance has it.
    To forbid that would teach the opposite of the truth, and the control must teach nothing.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[row.task_text].append(number)
    draw = random.Random(seed)
    shuffled_groups = [groups[text] for text in sorted(groups)]
    for group in shuffled_groups:
        draw.shuffle(group)
    draw.shuffle(shuffled_groups)
    order = [number for group in shuffled_groups for number in group]
    # Each task's rows are in one run; a turn by the longest run takes every row out of its own run.
    turn = max((len(group) for group in shuffled_groups), default=0)
    giver = {taker: order[(place + turn) % len(order)] for place, taker in enumerate(order)}
    return [row.model_copy(update={"reflection": rows[giver[number]].reflection}) for number, row in enumerate(rows)]
