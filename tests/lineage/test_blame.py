"""One poisoned batch of sixteen is named in at most six trainings; without poison nothing is blamed."""

from __future__ import annotations

import random

import pytest

from parammem.errors import LineageError
from parammem.lineage import blame_batches, render_blame
from parammem.lineage.rebuilds.bisect import batches_in_order, bisect, read_outcomes
from tests.lineage.life import Life, dvc

BATCHES = [f"batch-{n:02}" for n in range(16)]
TASKS = 300


def noisy(poisoned: str | None, drop: float, seed: int):
    """A training whose skill the poisoned batch lowers; every training draws the luck of a tenth of the tasks anew."""
    base = random.Random(seed)
    luck = [base.random() for _ in range(TASKS)]

    def measure(without):
        dice = random.Random(f"{seed} {sorted(without)}")
        skill = 0.55 - 0.005 * len(without) - (drop if poisoned and poisoned not in without else 0.0)
        drawn = [dice.random() if dice.random() < 0.1 else one for one in luck]
        return {f"t{n}": one < skill for n, one in enumerate(drawn)}

    return measure


@pytest.mark.parametrize("place", range(16))
def test_a_batch_that_costs_fifteen_points_is_named_in_six_trainings(place):
    done = bisect(BATCHES, noisy(BATCHES[place], drop=0.15, seed=place))
    assert done.batch == BATCHES[place]
    assert done.trainings <= 6
    assert done.strength > 0.05


def test_without_poison_a_batch_is_blamed_in_at_most_five_of_a_hundred_histories():
    blamed = [bisect(BATCHES, noisy(None, drop=0.0, seed=100 + n)) for n in range(100)]
    assert sum(done.batch is not None for done in blamed) <= 5
    clean = next(done for done in blamed if done.batch is None)
    assert clean.trainings == 3
    assert "no batch hurt" in render_blame(clean)


def test_two_batches_need_no_more_than_three_trainings():
    assert bisect(BATCHES[:2], noisy(BATCHES[1], drop=0.3, seed=1)).batch == BATCHES[1]


def test_an_arm_that_did_not_run_is_an_error(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"arm": "base", "task_id": "t", "passed": true}\n')
    with pytest.raises(LineageError, match="no runs of the arm 'paramagent'"):
        read_outcomes(tmp_path / "runs.jsonl", "paramagent")


def test_batches_stand_in_the_order_in_which_they_came(lived):
    root, truth = lived
    assert batches_in_order(root) == truth.batches


def sixteen(root, poisoned: int | None) -> Life:
    life = Life(root)
    for number in range(1, 17):
        life.ingest(number, 2, advice="poison inside" if number - 1 == poisoned else "limit inside")
    life.run_pipeline()
    life.git("add", "-A")
    life.git("commit", "-qm", "sixteen batches")
    return life


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_poisoned_batch_is_found_by_real_retraining_in_worktrees(tmp_path):
    place = random.Random(20261123).randrange(16)
    life = sixteen(tmp_path / "poisoned", place)
    done = blame_batches(life.root)
    assert done.batch == life.truth.batches[place]
    assert done.trainings <= 6
    assert done.strength == pytest.approx(0.35, abs=0.06), "the strength that fake_pipeline.py states"
    assert life.git("status", "--porcelain") == ""


@pytest.mark.integration
def test_real_retraining_without_poison_blames_nobody(tmp_path):
    life = sixteen(tmp_path / "clean", None)
    done = blame_batches(life.root)
    assert (done.batch, done.trainings) == (None, 3)
    assert dvc(life.root, "status", "-q").returncode == 0
