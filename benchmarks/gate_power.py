"""What the gate does over a reflector's life, simulated with the gate's own code.

    python benchmarks/gate_power.py [--histories 200] [--nights 60] [--tasks 600] [--gain 0.08]

A/A: champion and challenger are equally good every night; how many histories ever promote? A/B: the challenger solves
`gain` more; how many histories promote within 10 nights, and when? Beside the gate stand two usual rules.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np

from parammem.core.decision import Guard
from parammem.gate import Evidence, Rule, SliceOutcomes, decide
from parammem.gate.rule import alpha_of_look
from parammem.gate.statistics import power

GUARDS = (Guard(name="simulated", passed=True, detail="guards play no part in this simulation"),)
FRESH = 1 / 3
"""Share of the tasks that is the fresh slice."""


class Life(NamedTuple):
    """Nights (from 1) on which each rule promoted for the first time; 0: never."""

    gate: int
    higher_wins: int
    nightly_05: int
    looks: int
    """Looks that the gate paid for."""


def night(rng: np.random.Generator, tasks: int, gain: float, runs: int = 1) -> Evidence:
    """One night: tasks of very different difficulty, both arms drawn independently on each.

    The mean chance is 0.45, with a spread by which a third of the tasks comes out differently in two equal arms.
    """
    easy = rng.beta(0.9, 1.1, tasks)
    # The gain is spread over tasks that have room for it, so that the mean gain is `gain` whatever the difficulties.
    room = easy * (1 - easy)
    better = np.clip(easy + gain * room / room.mean(), 0, 1)
    champion, challenger = rng.binomial(runs, easy), rng.binomial(runs, better)
    return _evidence(champion, challenger, runs)


def _evidence(champion: np.ndarray, challenger: np.ndarray, runs: int) -> Evidence:
    """Two arms on the same tasks, the first two thirds of which are the anchor."""
    tasks = len(champion)
    cut = round(tasks * (1 - FRESH))
    parts = {"anchor": slice(0, cut), "fresh": slice(cut, tasks)}
    return Evidence(
        domain="code",
        champion="champion",
        challenger="challenger",
        guards=GUARDS,
        slices=tuple(
            SliceOutcomes(
                name=name,  # pyright: ignore[reportArgumentType]
                tasks=tuple(map(str, range(tasks)[part])),
                runs=runs,
                champion=tuple(champion[part].tolist()),
                challenger=tuple(challenger[part].tolist()),
            )
            for name, part in parts.items()
        ),
    )


def two_challengers(seed: int, nights: int, tasks: int, rule: Rule) -> int:
    """One history in which two challengers, both as good as the champion, meet it every night on the same tasks. They
    give the same answer to half of the tasks, as two that were trained on the same rows do.

    Returns:
        The night of the first promotion; 0: never.
    """
    rng = np.random.default_rng(seed)
    looks = 0
    for number in range(1, nights + 1):
        easy = rng.beta(0.9, 1.1, tasks)
        champion, first, fresh = (rng.binomial(1, easy) for _ in range(3))
        second = np.where(rng.random(tasks) < 0.5, first, fresh)
        for challenger in (first, second):
            decision = decide(_evidence(champion, challenger, 1), rule, looks)
            looks += decision.budget.paid
            if decision.answer == "promote":
                return number
    return 0


def live(seed: int, nights: int, tasks: int, gain: float, rule: Rule, runs: int = 1) -> Life:
    """One history: a challenger every night until each rule has promoted once, or the nights are over."""
    rng = np.random.default_rng(seed)
    looks, first = 0, {"gate": 0, "higher": 0, "p05": 0}
    for number in range(1, nights + 1):
        evidence = night(rng, tasks, gain, runs)
        decision = decide(evidence, rule, looks)
        looks += decision.budget.paid and not first["gate"]
        assert decision.test is not None
        promoted = {
            "gate": decision.answer == "promote",
            "higher": decision.test.difference > 0,
            "p05": decision.test.p <= 0.025,  # two-sided 5%, the better half
        }
        first = {name: first[name] or number * promoted[name] for name in first}
        if all(first.values()):
            break
    return Life(first["gate"], first["higher"], first["p05"], looks)


def simulate(histories: int, nights: int, tasks: int, gain: float, rule: Rule, runs: int = 1) -> list[Life]:
    return [live(seed, nights, tasks, gain, rule, runs) for seed in range(histories)]


def share(nights: list[int], within: int) -> float:
    """Share of histories that promoted within so many nights."""
    return sum(0 < night <= within for night in nights) / len(nights)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--gain", type=float, default=0.08)
    asked = parser.parse_args()
    rule, started = Rule(), time.perf_counter()
    same = simulate(asked.histories, asked.nights, asked.tasks, 0.0, rule)
    better = simulate(asked.histories, 10, asked.tasks, asked.gain, rule)
    print(f"{asked.histories} histories, {asked.tasks} paired tasks a night, rule {rule.model_dump()}")
    print(f"{'':34}the gate  higher score wins  nightly p <= .05")
    columns = [[getattr(life, name) for life in same] for name in ("gate", "higher_wins", "nightly_05")]
    aa = [share(column, asked.nights) for column in columns]
    print(f"A/A, {asked.nights} nights: false promotion  {aa[0]:9.1%} {aa[1]:18.1%} {aa[2]:17.1%}")
    won = [life.gate for life in better]
    soon, first = share(won, 10), share(won, 1)
    print(f"A/B, {100 * asked.gain:+.0f} points: promoted within 10 nights {soon:.1%}, in the first {first:.1%}")
    both = [two_challengers(seed, asked.nights, asked.tasks, rule) for seed in range(asked.histories)]
    print(f"A/A, two challengers a night: false promotion {share(both, asked.nights):.1%}")
    print(f"looks paid for: A/A mean {np.mean([life.looks for life in same]):.1f} of {asked.nights}")
    for look in (1, 10, 60, 365):
        alpha = alpha_of_look(look, rule.alpha)
        found = {n: power([1] * round(n / 3) + [0] * (n - round(n / 3)), 1, asked.gain, alpha) for n in (600, 1200)}
        print(f"look {look}: alpha {alpha:.2g}, power {found[600]:.2f} with 600 tasks, {found[1200]:.2f} with 1,200")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
