"""Sampling by seed: a number of items, balanced over the values of a tag.

The paper: 278 of MATH over 7 subjects, 300 of HotpotQA over 3 levels, 300 of 2WikiMultiHopQA over 4 types.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from parammem.benchmarks.item import Item
from parammem.core.words import count
from parammem.errors import DataError


def chosen(items: Sequence[Item], where: Mapping[str, str], take: int, balance: str, seed: int) -> list[Item]:
    """Return items with these tags, so many of them, in their own order.

    Args:
        where: tag → value that an item must have.
        take: how many; 0 for all.
        balance: tag over whose values the items are spread evenly; where that leaves a remainder, the first values by
            alphabet get one more. "" draws from all alike.

    Raises:
        DataError: there are too few.
    """
    fitting = [item for item in items if all(item.key.tags.get(tag) == value for tag, value in where.items())]
    if take == 0:
        return fitting
    groups: dict[str, list[Item]] = {}
    for item in fitting:
        groups.setdefault(item.key.tags.get(balance, "") if balance else "", []).append(item)
    picked: set[str] = set()
    for name, wanted in _quotas(sorted(groups), take).items():
        if len(groups[name]) < wanted:
            what = f"with {balance} {name!r}" if balance else f"that fit {dict(where)}"
            raise DataError(f"wanted are {count(wanted, 'item')} {what}, there are {len(groups[name])}; lower `take`")
        # A generator of its own per group: a group's choice does not depend on the other groups.
        rng = random.Random(f"parammem/benchmarks/{seed}/{balance}/{name}")
        picked.update(item.task.task_id for item in rng.sample(groups[name], wanted))
    if len(picked) < take:
        raise DataError(f"wanted are {count(take, 'item')} for {dict(where)}, there are none; see `where` and `take`")
    return [item for item in fitting if item.task.task_id in picked]


def _quotas(names: Sequence[str], take: int) -> dict[str, int]:
    if not names:
        return {}
    each, left = divmod(take, len(names))
    return {name: each + (place < left) for place, name in enumerate(names)}
