"""Runs of agents in use with chosen outcomes, as evidence and as the service writes them."""

from __future__ import annotations

import numpy as np

from parammem.core.decision import Guard
from parammem.core.live_run import LiveArm, LiveRun, assigned_arm
from parammem.core.outcome import Outcome
from parammem.gate.live_evidence import Kind, LiveEvidence

CHAMPION, CHALLENGER = "a" * 64, "b" * 64
SHARES: dict[LiveArm, float] = {"holdout": 0.1, "champion": 0.45, "challenger": 0.45}
SECRET = b"s" * 32
PASSED = (Guard(name="validated", passed=True, detail="it was"),)


def evidence(
    runs: int,
    base: float = 0.5,
    gain: float = 0.0,
    seed: int = 0,
    kind: Kind = "trial",
    chance: float = 0.5,
    missing: tuple[float, float] = (0.0, 0.0),
    hidden_failures: float = 0.0,
    tokens: tuple[int, int] = (0, 0),
) -> LiveEvidence:
    """Runs of two arms; `gain`, `hidden_failures` and the second of `missing` and `tokens` are the treated arm's."""
    rng = np.random.default_rng(seed)
    treated = rng.random(runs) < chance
    passed = rng.random(runs) < base + gain * treated
    gone = rng.random(runs) < np.where(treated, missing[1], missing[0])
    gone |= treated & ~passed & (rng.random(runs) < hidden_failures)
    return LiveEvidence(
        kind=kind,
        domain="support",
        adapters={"champion": CHAMPION, "challenger": CHALLENGER, "holdout": ""},
        number=np.arange(1, runs + 1),
        treated=treated,
        chance=np.full(runs, chance),
        outcome=np.where(gone, np.nan, passed.astype(float)),
        group=rng.integers(0, 3, runs),
        unadvised=np.zeros(runs, dtype=bool),
        tokens=np.where(treated, tokens[1], tokens[0]),
        guards=PASSED,
        inputs={"runs 1–9": "f" * 64},
    )


def live_runs(
    first: int,
    many: int,
    rates: dict[str, float],
    shares: dict[LiveArm, float] = SHARES,
    adapters: dict[LiveArm, str] | None = None,
    started: str = "2026-11-28T12:00:00Z",
    seed: int = 0,
    domain: str = "code",
) -> list[LiveRun]:
    """Return runs with consecutive numbers, each in the arm that the secret draws for it; `rates`: what share of an
    arm passes."""
    rng = np.random.default_rng([seed, first])
    given: dict[LiveArm, str] = adapters or {"champion": CHAMPION, "challenger": CHALLENGER, "holdout": ""}
    runs = []
    for number in range(first, first + many):
        arm = assigned_arm(domain, f"run-{number}", shares, SECRET)
        run = LiveRun(
            run_id=f"run-{number}", domain=domain, number=number, arm=arm, shares=shares, adapter=given[arm],
            task="1" * 64, started=started, ended=started,
            outcome=Outcome(passed=bool(rng.random() < rates[arm]), source="test"),
        )  # fmt: skip
        runs.append(run)
    return runs
