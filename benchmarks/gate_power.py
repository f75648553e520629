"""What the gate does over a reflector's life, simulated with the gate's own code.

    python benchmarks/gate_power.py [--histories 200] [--nights 60] [--gain 0.08]

A/A: champion and challenger are equally good every night; how many histories ever promote? A/B: the challenger solves
`gain` more; how many histories promote within 10 nights? Each row is one kind of night: many tasks, few tasks, tasks
that every arm solves beside them, a fresh slice at its ceiling, two challengers. Beside the gate stand two usual rules.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np

from parammem.core.decision import Guard
from parammem.gate import Evidence, Rule, SliceOutcomes, decide
from parammem.gate.paired_test import power
from parammem.gate.rule import Looks, alpha_of_look

GUARDS = (Guard(name="simulated", passed=True, detail="guards play no part in this simulation"),)
FRESH = 1 / 3
"""Share of the tasks that is the fresh slice."""


class Nights(NamedTuple):
    """What every night of a history is made of."""

    tasks: int = 600
    """Tasks on which arms can differ; the first two thirds are the anchor slice."""
    ties: int = 0
    """Tasks of the anchor slice beside them that every arm solves."""
    ceiling: int = 0
    """Tasks of the fresh slice beside them that every arm solves."""
    whole_fresh: bool = True
    """False: all tasks that can differ are the anchor's, so that the fresh slice is at its ceiling."""
    runs: int = 1


KINDS = {
    "600 tasks": Nights(),
    "600 tasks and 600 ties": Nights(ties=400, ceiling=200),
    "200 tasks": Nights(tasks=200),
    "200 tasks, fresh slice of 60 at its ceiling": Nights(tasks=200, ceiling=60, whole_fresh=False),
    "60 tasks": Nights(tasks=60),
    "60 tasks and 600 ties": Nights(tasks=60, ties=400, ceiling=200),
    "20 tasks": Nights(tasks=20),
    "200 tasks, three runs each": Nights(tasks=200, runs=3),
}


class Life(NamedTuple):
    """Nights (from 1) on which each rule promoted for the first time; 0: never."""

    gate: int
    higher_wins: int
    nightly_05: int
    looks: Looks
    """Looks that the gate paid for."""


def night(rng: np.random.Generator, kind: Nights, gain: float) -> Evidence:
    """Draw one night: tasks of very different difficulty, both arms drawn independently on each, and the ties.

    The mean chance is 0.45, with a spread by which a third of the tasks comes out differently in two equal arms.
    """
    easy = rng.beta(0.9, 1.1, kind.tasks)
    # The gain is spread over tasks that allow it, so that the mean gain is `gain` whatever the difficulties.
    room = easy * (1 - easy)
    better = np.clip(easy + gain * room / room.mean(), 0, 1)
    return _evidence(rng.binomial(kind.runs, easy), rng.binomial(kind.runs, better), kind)


def _evidence(champion: np.ndarray, challenger: np.ndarray, kind: Nights) -> Evidence:
    """Two arms on the same tasks, in two slices."""
    cut = round(kind.tasks * (1 - FRESH)) if kind.whole_fresh else kind.tasks
    parts = {"anchor": (slice(0, cut), kind.ties), "fresh": (slice(cut, kind.tasks), kind.ceiling)}
    return Evidence(
        domain="code",
        champion="champion",
        challenger="challenger",
        guards=GUARDS,
        slices=tuple(
            SliceOutcomes(
                name=name,  # pyright: ignore[reportArgumentType]
                tasks=tuple(map(str, range(len(champion[part]) + ties))),
                runs=kind.runs,
                champion=(*champion[part].tolist(), *[kind.runs] * ties),
                challenger=(*challenger[part].tolist(), *[kind.runs] * ties),
            )
            for name, (part, ties) in parts.items()
        ),
    )


def two_challengers(seed: int, nights: int, kind: Nights, rule: Rule) -> int:
    """One history in which two challengers, both as good as the champion, are compared with it every night on the same
    tasks. They give the same answer to half of the tasks, as two that were trained on the same rows do.

    Returns:
        The night of the first promotion; 0: never.
    """
    rng = np.random.default_rng(seed)
    looks = Looks()
    for number in range(1, nights + 1):
        easy = rng.beta(0.9, 1.1, kind.tasks)
        champion, first, fresh = (rng.binomial(1, easy) for _ in range(3))
        second = np.where(rng.random(kind.tasks) < 0.5, first, fresh)
        for challenger in (first, second):
            decision = decide(_evidence(champion, challenger, kind), rule, looks)
            if decision.budget.paid:
                looks = looks.after(decision.budget.alpha, decision.budget.reserve)
            if decision.answer == "promote":
                return number
    return 0


def live(seed: int, nights: int, kind: Nights, gain: float, rule: Rule) -> Life:
    """One history: a challenger every night until each rule has promoted once, or the nights are over."""
    rng = np.random.default_rng(seed)
    looks, first = Looks(), {"gate": 0, "higher": 0, "p05": 0}
    for number in range(1, nights + 1):
        evidence = night(rng, kind, gain)
        decision = decide(evidence, rule, looks)
        if decision.budget.paid and not first["gate"]:
            looks = looks.after(decision.budget.alpha, decision.budget.reserve)
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


def simulate(histories: int, nights: int, kind: Nights, gain: float, rule: Rule) -> list[Life]:
    return [live(seed, nights, kind, gain, rule) for seed in range(histories)]


def share(nights: list[int], within: int) -> float:
    """Return share of histories that promoted within so many nights."""
    return sum(0 < night <= within for night in nights) / len(nights)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--gain", type=float, default=0.08)
    asked = parser.parse_args()
    rule, started = Rule(), time.perf_counter()
    print(f"{asked.histories} histories, rule {rule.model_dump()}")
    print(f"{'':44}  false promotion in {asked.nights} nights   A/B {100 * asked.gain:+.0f} points: the gate promotes")
    print(
        f"{'nights of':44} {'gate':>6} {'higher':>7} {'p<=.05':>7}   {'first':>6} {'in 10':>6}   regular, reserve looks"
    )
    for name, kind in KINDS.items():
        same = simulate(asked.histories, asked.nights, kind, 0.0, rule)
        better = [life.gate for life in simulate(asked.histories, 10, kind, asked.gain, rule)]
        aa = [share([getattr(life, which) for life in same], asked.nights) for which in Life._fields[:3]]
        looks = [np.mean([getattr(life.looks, which) for life in same]) for which in ("regular", "reserve")]
        print(
            f"{name:44} {aa[0]:6.1%} {aa[1]:7.1%} {aa[2]:7.1%}   {share(better, 1):6.1%} {share(better, 10):6.1%}   "
            f"{looks[0]:.1f} and {looks[1]:.1f} of {asked.nights}"
        )
    for name in ("600 tasks", "600 tasks and 600 ties", "60 tasks"):
        both = [two_challengers(seed, asked.nights, KINDS[name], rule) for seed in range(asked.histories)]
        print(f"{name + ', two challengers':44} {share(both, asked.nights):6.1%}")
    for look in (1, 10, 60, 365):
        alpha = alpha_of_look(look, rule.alpha)
        found = {n: power([1] * round(n / 3), rule.effect, alpha) for n in (600, 1200)}
        print(f"look {look}: alpha {alpha:.2g}, power {found[600]:.2f} with 600 tasks, {found[1200]:.2f} with 1,200")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
