"""An id follows from the problem alone: not from its place in the file, nor from what stands beside it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from parammem.benchmarks.table import BENCHMARKS, items_of
from tests.benchmarks import rows

MANY = 12
FOUND: dict[str, list[dict[str, Any]]] = {
    "humaneval": [rows.HUMANEVAL | {"task_id": f"HumanEval/{n}"} for n in range(MANY)],
    "mbpp": [
        *(rows.MBPP | {"task_id": n} for n in range(20, 20 + MANY)),
        *(rows.MBPP_SANITIZED | {"task_id": n} for n in range(40, 40 + MANY)),
        rows.MBPP_STUB,
        rows.MBPP_397,
    ],
    "livecodebench": [
        form | {"question_id": f"{name}{n}"}
        for name, form in (("s", rows.LCB_STDIN), ("f", rows.LCB_FUNCTIONAL))
        for n in range(MANY)
    ],
    "apps": [
        *(rows.APPS_CALL | {"problem_id": n, "question": f"Add {n}."} for n in range(MANY)),
        *({k: v for k, v in rows.APPS_STDIN.items() if k not in ("id", "problem_id")} | {"question": f"Take {n}."}
          for n in range(MANY)),
    ],
    "problems": [{"problem_id": n, "question": f"Multiply by {n}."} for n in range(MANY)],
    "math": [rows.math_row(n, subject) for subject in rows.SUBJECTS for n in range(MANY)],
    "gsm8k": [rows.GSM8K | {"question": f"What are {n} and 1?"} for n in range(MANY)],
    "hotpotqa": [rows.HOTPOT | {"_id": f"h{n}"} for n in range(MANY)],
    "2wiki": [rows.HOTPOT | {"_id": f"w{n}"} for n in range(MANY)],
}  # fmt: skip


def ids(name: str, found: list[dict[str, Any]]) -> list[str]:
    items, wrong = items_of(name, found)
    assert all("for the second time" in said for said in wrong), wrong
    return [item.task.task_id for item in items]


def test_every_benchmark_is_tried():
    assert set(FOUND) == set(BENCHMARKS)


@pytest.mark.parametrize("name", FOUND)
def test_ids_do_not_follow_from_the_order_or_from_other_rows(name):
    found = FOUND[name]
    named = dict(zip(ids(name, found), found, strict=True))
    assert len(named) == len(found)
    shuffled = random.Random(1).sample(found, len(found))
    assert dict(zip(ids(name, shuffled), shuffled, strict=True)) == named
    assert ids(name, found[3:5]) == list(named)[3:5]


@pytest.mark.parametrize("name", FOUND)
def test_a_row_that_comes_twice_is_one_problem(name):
    found = FOUND[name]
    assert ids(name, [found[-1], *found, *found[::-1]]) == ids(name, [found[-1], *found[:-1]])
