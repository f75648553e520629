"""What other ways to treat missing outcomes would cost, and whom they would deceive: why the live gate counts twice.

    python -m benchmarks.missing_outcomes [--histories 200] [--runs 6000]

Of each world of `benchmarks.live_gate` in which outcomes are missing, and each way to count them: the share of first
trials that promote, and the median run after which they do. Who is better by 8 points should be promoted; who is equal
should not, but for `gate.live`'s part of the error budget. "best bet" bets as if the gain and the variance were known:
no test of this kind, at this level, is faster on average.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.live_gate import A_A, A_B, Floats, World, evidence, median, traffic
from parammem.gate.live_evidence import LiveEvidence
from parammem.gate.live_rule import LiveRule
from parammem.gate.rule import ROLLBACKS, Looks, next_alpha
from parammem.gate.sequential_test import Scores, log_e_values, scores


def ways(given: LiveEvidence, gain: float) -> Iterator[tuple[str, Floats]]:
    """Yield each way to count missing outcomes, and the logarithm of its e-value after each run."""
    failed, passed, known = (_tested(given, value) for value in (0.0, 1.0, math.nan))
    yield "left out", log_e_values(known)
    yield "as failed (solved and reported)", log_e_values(failed)
    yield "as passed", log_e_values(passed)
    both = np.minimum(log_e_values(failed), log_e_values(passed))
    yield "the gate's: all three", np.minimum(both, log_e_values(known))
    if gain:
        kept = np.nan_to_num(given.outcome)
        bet = gain * float(given.known.mean()) / float(kept.var())
        yield "as failed, best bet", np.cumsum(np.log1p(bet * failed.score))


def _tested(given: LiveEvidence, value: float) -> Scores:
    outcome = np.where(given.known, given.outcome, value)
    return scores(given.treated, given.chance, outcome, given.group)


def promoted_at(given: LiveEvidence, log_e: Floats, rule: LiveRule, alpha: float) -> int:
    """Return the number of the run after which a trial promotes; 0: it does not."""
    arms: tuple[NDArray[np.bool_], ...] = (given.treated, ~given.treated)
    least = np.minimum(*(np.cumsum(given.known & arm) for arm in arms))
    places = np.flatnonzero((least >= rule.least_runs) & (log_e >= -math.log(alpha)))
    return int(given.number[places[0]]) if len(places) else 0


def show(world: World, gain: float, histories: int, runs: int) -> None:
    """Print a line for each way to count."""
    rule, found = LiveRule(), dict[str, list[int]]()
    alpha = next_alpha(Looks(kept=ROLLBACKS), rule.total, reserve=False)
    for seed in range(histories):
        given = evidence(traffic(np.random.default_rng(seed), world, runs, gain), "trial")
        for name, log_e in ways(given, gain):
            found.setdefault(name, []).append(promoted_at(given, log_e, rule, alpha))
    print(f"{world.name}; challenger {'equal' if not gain else f'{100 * gain:+.0f} points'}")
    for name, numbers in found.items():
        print(f"  {name:34} promoted {np.mean([n > 0 for n in numbers]):6.1%}  median {median(numbers):>6}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--runs", type=int, default=6000, help="of all arms")
    asked = parser.parse_args()
    for world in (one for one in A_B if one.missing):
        show(world, 0.08, asked.histories, asked.runs)
    for world in A_A:
        if any((world.missing, world.hidden_failures, world.hidden_successes, world.failures_hidden_in_both)):
            show(world, 0.0, asked.histories, asked.runs)


if __name__ == "__main__":
    main()
