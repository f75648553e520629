"""What the live gate does over a reflector's life, simulated with the gate's own code.

    python -m benchmarks.live_gate [--histories 200] [--runs 6000] [--only WORD] [--bets]

A history is a life: three challengers in a row go on trial, each against the champion of then, and whoever is champion
is watched against the holdout all the while. The gate's answer after many runs is the one that it would have given by
a look after every run, since it counts what its tests reached after any run; guards are looked at every 250 runs.

A/A: all arms are equally good. How many histories have a false promotion or rollback? A/B: the challenger passes
`gain` more often. After how many runs, of all arms together, is it promoted in the median history? With --only, a
part: worlds with this word in their names, or `A/A`, `A/B`, `rolled back`. With --bets only: what it costs that the
best bet is not known beforehand.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parammem.gate.live import decide_live
from parammem.gate.live_evidence import Kind, LiveEvidence
from parammem.gate.live_rule import LiveRule, Spending
from parammem.gate.rule import ROLLBACKS, Looks, alpha_of_championship, next_alpha
from parammem.gate.sequential_test import BET_WEIGHTS, BETS, scores

HOLDOUT, CHALLENGER = 0.1, 0.45
LOOK = 250
"""Runs between two looks at the guards."""
CHALLENGERS = 3
Floats = NDArray[np.float64]


class World(NamedTuple):
    """How runs come out, and what is reported of them."""

    name: str
    base: float = 0.5
    drift: float = 0.0
    """How far the share that passes swings up and down over the runs."""
    kinds: int = 1
    """Kinds of tasks (strata), easy and hard ones, in a mix that changes from run to run."""
    missing: float = 0.0
    """Share of outcomes that nobody reports, at random."""
    hidden_failures: float = 0.0
    """Share of the treated arm's failures that nobody reports beside these."""
    hidden_successes: float = 0.0
    """The same of the control's successes."""
    failures_hidden_in_both: float = 0.0
    late: bool = False
    """Outcomes come in an arbitrary order, and runs are looked at when all earlier ones have ended."""
    shares_change: bool = False
    """The challenger's share is 0.1 at first and 0.45 from a third of the runs on."""


A_A = (
    World("passes .5"),
    World("passes .3", base=0.3),
    World("passes .7", base=0.7),
    World("share that passes drifts .2 to .8", drift=0.3),
    World("mix of four kinds of tasks drifts", kinds=4, drift=0.1),
    World("30% missing at random", missing=0.3),
    World("failures missing, 60% of them", failures_hidden_in_both=0.6),
    World("challenger's failures missing, 60% of them", hidden_failures=0.6),
    World("challenger's failures missing, 10% of them", hidden_failures=0.1),
    World("90% missing, and 20% of challenger's failures", missing=0.9, hidden_failures=0.2),
    World("champion's successes missing, 20% of them", hidden_successes=0.2),
    World("late outcomes, any order", late=True, missing=0.1),
    World("challenger's share changes", shares_change=True),
)
A_B = (
    World("passes .3", base=0.3),
    World("passes .5"),
    World("passes .7", base=0.7),
    World("passes .5, 30% missing at random", missing=0.3),
    World("mix of four kinds of tasks drifts", kinds=4, drift=0.1),
    World("late outcomes, any order", late=True),
)


class Traffic(NamedTuple):
    """Runs of all arms, in the order of assignment."""

    arm: NDArray[np.int64]
    """0 holdout, 1 champion, 2 challenger."""
    challenger: Floats
    """Share of the challenger at each run."""
    outcome: Floats
    kind: NDArray[np.int64]


def traffic(rng: np.random.Generator, world: World, runs: int, gain: float, loss: float = 0.0) -> Traffic:
    """Draw runs; the challenger passes `gain` more often, the champion `loss` less often than the holdout."""
    at = np.arange(runs) / max(1, runs)
    share = np.where(world.shares_change & (at < 1 / 3), 0.1, CHALLENGER)
    draw = rng.random(runs)
    arm = np.where(draw < HOLDOUT, 0, np.where(draw < 1 - share, 1, 2))
    kind = (rng.random(runs) ** (0.5 + 2 * at) * world.kinds).astype(np.int64)
    easy = np.linspace(-0.3, 0.3, world.kinds)[kind] if world.kinds > 1 else 0.0
    chance = world.base + world.drift * np.sin(6 * math.pi * at) + easy
    chance = chance + gain * (arm == 2) - loss * (arm > 0)
    passed = rng.random(runs) < np.clip(chance, 0, 1)
    treated = arm == 2
    gone = rng.random(runs) < world.missing
    lot = rng.random(runs)
    gone |= treated & ~passed & (lot < world.hidden_failures)
    gone |= ~treated & passed & (lot < world.hidden_successes)
    gone |= ~passed & (lot < world.failures_hidden_in_both)
    return Traffic(arm, share, np.where(gone, np.nan, passed.astype(float)), kind)


def evidence(seen: Traffic, kind: Kind) -> LiveEvidence:
    """Return the runs of two arms as the gate takes them from data/live."""
    treated, control = (2, 1) if kind == "trial" else (1, 0)
    rest = 1 - HOLDOUT - seen.challenger
    shares = {0: np.full(len(rest), HOLDOUT), 1: rest, 2: seen.challenger}
    pair = (seen.arm == treated) | (seen.arm == control)
    return LiveEvidence(
        kind=kind,
        domain="support",
        adapters={"challenger": "b" * 64, "champion": "a" * 64, "holdout": ""},
        number=np.flatnonzero(pair) + 1,
        treated=(seen.arm == treated)[pair],
        chance=(shares[treated] / (shares[treated] + shares[control]))[pair],
        outcome=seen.outcome[pair],
        group=seen.kind[pair],
        unadvised=np.zeros(int(pair.sum()), dtype=bool),
        tokens=np.zeros(int(pair.sum()), dtype=np.int64),
    )


def upto(given: LiveEvidence, number: int) -> LiveEvidence:
    """Return the evidence as it is after the run of this number."""
    end = int(np.searchsorted(given.number, number, side="right"))
    columns = ("number", "treated", "chance", "outcome", "group", "unadvised", "tokens")
    return replace(given, **{name: getattr(given, name)[:end] for name in columns})


def settled_prefixes(rng: np.random.Generator, runs: int, late: bool) -> list[int]:
    """Return after which runs the gate looks at the guards: every 250, or, where outcomes come late in any order, up to
    the first run whose outcome is still open then."""
    looks = list(range(LOOK, runs, LOOK)) + [runs]
    if not late:
        return looks
    arrives = np.arange(runs) + rng.exponential(400, runs)
    reached = np.maximum.accumulate(arrives)
    return sorted({int((reached <= look).sum()) for look in looks} | {runs})


def answer(given: LiveEvidence, looks: list[int], rule: LiveRule, spending: Spending) -> tuple[str, int]:
    """Return the first answer that ends a trial or a watch, and the number of the run after which it stood."""
    whole = decide_live(given, rule, spending)
    if whole.answer == "undecided":
        return "undecided", 0
    for look in looks:
        found = decide_live(upto(given, look), rule, spending)
        if found.answer != "undecided":
            assert found.live is not None
            return found.answer, found.live.settled_at or look
    return whole.answer, looks[-1]


def life(seed: int, world: World, runs: int, rule: LiveRule, draw: Callable[..., Traffic] = traffic) -> list[str]:
    """Return the answers of one life in which nobody is better or worse than anybody: trials and watches in turn."""
    rng = np.random.default_rng(seed)
    looks, answers, championship = Looks(kept=ROLLBACKS), [], 1
    for number in range(1, CHALLENGERS + 1):
        seen = draw(rng, world, runs, 0.0)
        prefixes = settled_prefixes(rng, runs, world.late)
        alpha = next_alpha(looks, rule.total, reserve=False)
        looks = looks.after(alpha, reserve=False)
        answers.append(answer(evidence(seen, "trial"), prefixes, rule, Spending(alpha, number))[0])
        watching = Spending(alpha_of_championship(championship, rule.total), championship)
        answers.append(answer(evidence(seen, "watch"), prefixes, rule, watching)[0])
        championship += answers[-2] == "promote"
    return answers


def runs_until(seed: int, world: World, runs: int, gain: float, rule: LiveRule) -> int:
    """Return the number of the run after which a first challenger that is better was promoted; 0: it was not."""
    rng = np.random.default_rng(seed)
    seen = traffic(rng, world, runs, gain)
    alpha = next_alpha(Looks(kept=ROLLBACKS), rule.total, reserve=False)
    found, number = answer(
        evidence(seen, "trial"), settled_prefixes(rng, runs, world.late), rule, Spending(alpha, 1)
    )  # fmt: skip
    return number if found == "promote" else 0


def runs_until_rollback(seed: int, base: float, runs: int, loss: float, rule: LiveRule) -> int:
    """Return the number of the run after which a first champion that does harm was rolled back; 0: it was not."""
    rng = np.random.default_rng(seed)
    seen = traffic(rng, World("", base=base), runs, 0.0, loss)
    spending = Spending(alpha_of_championship(1, rule.total), 1)
    found = decide_live(evidence(seen, "watch"), rule, spending)
    return found.live.settled_at if found.live and found.answer == "roll back" else 0


def median(found: list[int]) -> str:
    """Return the median number of runs, where those that were never decided count as more than any."""
    middle = float(np.median([number or math.inf for number in found]))
    return f"{middle:,.0f}" if math.isfinite(middle) else "never"


def runs_by_bets(seed: int, bets: Floats, weights: Floats, runs: int, gain: float, alpha: float) -> int:
    """Return the number of the run after which a better challenger's e-value by these bets is 1 / alpha, else 0."""
    given = evidence(traffic(np.random.default_rng(seed), World("", base=0.5), runs, gain), "trial")
    score = scores(given.treated, given.chance, given.outcome, given.group).score
    capital = np.exp(np.cumsum(np.log1p(np.outer(bets, score)), axis=1)).T @ (weights / weights.sum())
    reached = np.flatnonzero(capital >= 1 / alpha)
    return int(given.number[reached[0]]) if len(reached) else 0


def compare_bets(histories: int, runs: int, gain: float) -> None:
    """Print after how many runs a gain is found in the median, for the gate's bets and for others."""
    alpha = next_alpha(Looks(kept=ROLLBACKS), LiveRule().total, reserve=False)
    best = np.array([gain / 0.25])
    kinds = {"the gate's": (BETS, BET_WEIGHTS), "the same, equal weights": (BETS, np.ones(len(BETS)))}
    kinds |= {"the best, as if the gain were known": (best, np.ones(1))}
    for name, (bets, weights) in kinds.items():
        found = [runs_by_bets(seed, bets, weights, runs, gain, alpha) for seed in range(histories)]
        print(f"{name:36} {median(found):>8} runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--runs", type=int, default=6000, help="of all arms, in one trial")
    parser.add_argument("--gain", type=float, default=0.08)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--bets", action="store_true")
    asked = parser.parse_args()
    if asked.bets:
        compare_bets(asked.histories, asked.runs, asked.gain)
        return
    started = time.perf_counter()
    print(f"{asked.histories} lives of {CHALLENGERS} trials of {asked.runs} runs; {LiveRule().model_dump()}")
    tables(asked.histories, asked.runs, asked.gain, asked.only)
    print(f"{time.perf_counter() - started:.0f} s")


def tables(histories: int, runs: int, gain: float, only: str) -> None:
    """Print what happens in every world that `only` asks for, a line each as soon as it is known."""
    rule, seeds = LiveRule(), range(histories)
    print("A/A                                               promoted  rolled back  either  trials refused")
    for world in asked_for(A_A, "A/A", only):
        lives = [life(seed, world, runs, rule) for seed in seeds]
        up, down = (np.array([word in one for one in lives]) for word in ("promote", "roll back"))
        refused = np.mean([one.count("refuse") / CHALLENGERS for one in lives])
        rates = f"{up.mean():7.1%} {down.mean():11.1%} {(up | down).mean():7.1%} {refused:14.1%}"
        print(f"{world.name:50} {rates}", flush=True)
    title = f"A/B {100 * gain:+.0f} points"
    print(f"{title:50} {'median runs':>11}  promoted within {runs}")
    for world in asked_for(A_B, "A/B", only):
        found = [runs_until(seed, world, runs, gain, rule) for seed in seeds]
        print(f"{world.name:50} {median(found):>10} {np.mean([bool(n) for n in found]):13.1%}", flush=True)
    for loss in (0.08, 0.15, 0.3):
        said = f"champion {-100 * loss:+.0f} points against no advice, rolled back"
        if only in said:
            found = [runs_until_rollback(seed, 0.5, 4 * runs, loss, rule) for seed in seeds]
            share = np.mean([bool(n) for n in found])
            print(f"{said:50} {median(found):>10} {share:13.1%} within {4 * runs}", flush=True)


def asked_for(worlds: Sequence[World], table: str, only: str) -> list[World]:
    """Return the worlds of a table whose name contains a word; an empty word: all."""
    return [world for world in worlds if only in (f"{table} {world.name}")]


if __name__ == "__main__":
    main()
