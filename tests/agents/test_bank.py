"""Facts about the trajectory bank: who gets in, and what is found again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from parammem.agents.bank import TrajectoryBank
from parammem.core import Attempt, Feedback, Stop, Task, Trajectory
from tests.agents.worlds import task

ANGLES = {f"question {n}": 0.3 * n for n in range(6)}


def embed(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors in the plane: question n lies at angle 0.3 n, so neighbours in number are neighbours in meaning."""
    angles = np.array([ANGLES[" ".join(text.split())] for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def tried(task_: Task, *passed: bool | None, stop: Stop = "iterations", submission: int | None = None) -> Trajectory:
    attempts = tuple(
        Attempt(number=n, text="", candidate=f"{task_.task_id} try {n}", temperature=1.0,
                feedback=Feedback(passed=verdict, text=""))
        for n, verdict in enumerate(passed, 1)
    )  # fmt: skip
    number = submission or (len(attempts) or None)
    return Trajectory(
        task_id=task_.task_id, domain="math", method="bank", protocol="strict", seed=0,
        attempts=attempts, stop=stop, submission=number,
    )  # fmt: skip


TASKS = [task(n) for n in range(6)]


def full_bank() -> TrajectoryBank:
    return TrajectoryBank(TASKS, [tried(one, False, True, stop="visible-pass") for one in TASKS], embed)


def ids(found: list[list]) -> list[list[str]]:
    return [[seen.task_id for seen, _ in line] for line in found]


def test_only_attempts_that_passed_their_visible_checks_get_in():
    trajectories = [
        tried(TASKS[0], False, True, stop="visible-pass"),
        tried(TASKS[1], False, False),
        tried(TASKS[2], None, None),
        tried(TASKS[3], stop="failed"),
        tried(task(99), True, stop="visible-pass"),
    ]
    bank = TrajectoryBank(TASKS, trajectories, embed)
    assert len(bank) == 1
    assert ids(bank.retrieve([TASKS[5]], 9)) == [["math-0"]]


def test_an_outcome_speaks_only_where_visible_checks_say_nothing():
    right, wrong, unknown = (tried(one, None, None) for one in TASKS[:3])
    failed, passed = tried(TASKS[3], False, False), tried(TASKS[4], True, stop="visible-pass")
    outcomes = {
        right.trajectory_id: True,
        wrong.trajectory_id: False,
        failed.trajectory_id: True,
        passed.trajectory_id: False,
    }
    bank = TrajectoryBank(TASKS, [right, wrong, unknown, failed, passed], embed, outcomes)
    assert sorted(ids(bank.retrieve([TASKS[5]], 9))[0]) == ["math-0", "math-4"]


def test_the_submitted_attempt_is_the_one_that_is_shown():
    bank = TrajectoryBank(TASKS, [tried(TASKS[0], False, True, stop="visible-pass")], embed)
    ((example,),) = bank.retrieve([TASKS[1]], 1)
    assert example[1].candidate == "math-0 try 2"


def test_the_nearest_stand_last():
    assert ids(full_bank().retrieve([TASKS[0], TASKS[5]], 3)) == [
        ["math-3", "math-2", "math-1"],
        ["math-2", "math-3", "math-4"],
    ]


@pytest.mark.parametrize("count", [1, 2, 5, 6, 100])
def test_a_task_never_finds_itself(count):
    for one, found in zip(TASKS, ids(full_bank().retrieve(TASKS, count)), strict=True):
        assert one.task_id not in found
        assert len(found) == min(count, 5)


def test_the_same_question_under_another_id_is_the_task_itself():
    twin = Task(task_id="twin", domain="math", text=" question  2 ")
    assert "math-2" not in ids(full_bank().retrieve([twin], 9))[0]


def test_no_task_is_found_twice_though_it_was_solved_several_times():
    trajectories = [
        tried(one, True, stop="visible-pass").model_copy(update={"seed": s}) for one in TASKS for s in (0, 1)
    ]
    bank = TrajectoryBank(TASKS, trajectories, embed)
    assert len(bank) == 12
    assert ids(bank.retrieve([TASKS[0]], 9)) == [["math-5", "math-4", "math-3", "math-2", "math-1"]]


def test_an_empty_bank_and_a_count_of_zero_find_nothing_and_embed_nothing():
    def refuse(texts: Sequence[str]) -> np.ndarray:
        raise AssertionError(texts)

    assert TrajectoryBank(TASKS, [tried(TASKS[0], False)], refuse).retrieve(TASKS[:2], 3) == [[], []]
    assert full_bank().retrieve(TASKS[:2], 0) == [[], []]
