"""How jobs are dealt out to shards, the parts of the work that Ray schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from parammem.core import digest_of

Show = Callable[[int], None]
"""Told how many jobs are done by now."""


def split_by_key(keys: Sequence[str], count: int) -> list[list[int]]:
    """Return the places of the items of each shard, in order; shards without any are left out.

    An item's shard follows from its key alone: all runs on one task are in one shard, whose engine sees equal
    requests of different methods and makes them once, and a shard of a repeated run asks for what it asked for before.
    """
    found: list[list[int]] = [[] for _ in range(count)]
    for place, key in enumerate(keys):
        found[int(digest_of(["shard", key])[:12], 16) % count].append(place)
    return [places for places in found if places]
