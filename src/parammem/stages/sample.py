"""A sample of a profile's train tasks with their keys, for measurements before anything is paid for.

Evaluation tasks are drawn too, since train tasks that are like one are left out, and none of them is returned.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from parammem.config import Params
from parammem.core import AnswerKey, Task
from parammem.errors import ConfigError, DataError
from parammem.pocket.world import World, draw_splits
from parammem.stages.tasks import read_sources


class DrawnTasks(NamedTuple):
    """Train tasks with their keys, and how many tasks there are in all."""

    pairs: Sequence[tuple[Task, AnswerKey]]
    train: int
    evaluation: int


def sample_train(params: Params, domain: str, root: Path, count: int, seed: int) -> DrawnTasks:
    """Draw train tasks by a seed; all of them where there are no more than `count`.

    Raises:
        ConfigError: params have no such domain.
        DataError: tasks of its kind have no keys, or a source cannot be read or has too few tasks.
    """
    if domain not in params.domains:
        raise ConfigError(f"no domain {domain!r} in params.yaml; there are {', '.join(params.domains)}")
    if params.kind(domain) == "open":
        raise DataError(
            f"{domain} is of kind open: its tasks have no solutions, which this is measured with; run `dvc repro`, or "
            "name a domain of kind code, math or qa"
        )
    if params.benchmarks.sources:
        splits = read_sources(params, domain, root).splits
        train = [(item.task, item.key) for item in splits["train"]]
        evaluation = len(splits["eval"])
    else:
        p = params.tasks
        sizes = {"train": p.train, "bank": p.bank, "eval": p.eval, "unseen": p.unseen}
        drawn = draw_splits(params.kind(domain), World(p.world, p.rho), sizes)
        train = [(one.task, one.key) for one in drawn["train"]]
        evaluation = len(drawn["eval"]) + len(drawn["unseen"])
    chosen = random.Random(f"parammem/sample/{seed}").sample(range(len(train)), min(count, len(train)))
    return DrawnTasks([train[place] for place in sorted(chosen)], len(train), evaluation)
