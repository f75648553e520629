"""Evidence with chosen numbers."""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core.decision import Guard
from parammem.gate import Evidence, SliceOutcomes

PASSED = (Guard(name="validated", passed=True, detail="it was"), Guard(name="tokens", passed=True, detail="few"))


def part(name: str, better: int, worse: int, same: int, runs: int = 1, none: Sequence[int] = ()) -> SliceOutcomes:
    """A slice on which the challenger is better on so many tasks, and so on."""
    tasks = better + worse + same
    return SliceOutcomes(
        name=name,  # pyright: ignore[reportArgumentType]
        tasks=tuple(f"{name}-{number}" for number in range(tasks)),
        runs=runs,
        none=tuple(none),
        champion=(*[0] * better, *[runs] * worse, *[runs] * same),
        challenger=(*[runs] * better, *[0] * worse, *[runs] * same),
    )


def meeting(*slices: SliceOutcomes, guards: Sequence[Guard] = PASSED, champion: str = "a" * 64) -> Evidence:
    return Evidence(domain="code", champion=champion, challenger="b" * 64, slices=slices, guards=tuple(guards))


CLEAR = (part("anchor", 60, 20, 320), part("fresh", 30, 10, 160))
"""+10 points over 600 tasks."""
EQUAL = (part("anchor", 60, 60, 280), part("fresh", 30, 30, 140))
