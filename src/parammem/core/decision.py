"""What the gate decided about a challenger, with all that it decided by."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from parammem.core.event import Answer
from parammem.core.live_run import LiveArm
from parammem.core.record import Extended, Record, digest_of


class Guard(Record):
    """A condition that no score can buy off."""

    name: str
    """validated, no-leakage, loads, differs-from-base, tokens, diversity."""
    passed: bool | None
    """None: it was not looked at. It then holds the challenger back as a failure does."""
    detail: str
    """What was seen, with numbers."""


class SliceResult(Record):
    """Challenger minus champion on one slice. Shares are of runs; differences are clustered by task."""

    name: Literal["anchor", "fresh"]
    tasks: int
    """Tasks that all arms did."""
    runs: int
    """Runs of one arm: tasks times seeds."""
    none: float | None
    """Share solved without a reflector; None: that arm was not run."""
    champion: float
    challenger: float
    difference: float
    low: float
    """One-sided 95% lower bound of the difference."""
    high: float
    """One-sided 95% upper bound."""
    margin: float
    """How much worse is still tolerated; at least 0."""
    verdict: Literal["not worse", "worse", "unclear"]
    """not worse: low >= -margin. worse: high < -margin. unclear: neither could be shown."""


class PairedTest(Record):
    """The one test that may promote, over all slices together."""

    name: str
    """mcnemar (one run per task), or sign-flip by task (several)."""
    tasks: int
    better: int
    """Tasks on which the challenger solved more runs."""
    worse: int
    """Tasks on which it solved fewer."""
    difference: float
    p: float
    """One-sided and exact: how likely a gain so large is when every task's difference could have either sign."""
    power: float
    """How likely a regular look was to find a true gain of `effect`, given as many differing tasks as there were."""
    effect: float
    """The gain for which power is stated, as `gate.effect`. Before rule version 3: as a share of all tasks."""
    tasks_needed: int
    """Tasks, at this share of differing ones, for a power of `gate.min_power` at a regular look's alpha; 0: no number
    of tasks on which nothing differs is enough. Before rule version 3: for a power of 0.8."""


class ErrorBudget(Extended):
    """False promotions over the whole life of a domain's reflector, and what of it this look cost."""

    LATER = ("reserve",)

    total: float
    """Chance of any false promotion, ever."""
    look: int
    """This look's number; looks that were never paid for have none and repeat the number to come."""
    alpha: float
    """What this look may spend."""
    spent_before: float
    paid: bool
    """False: the gate did not come to the test, and nothing was spent."""
    reserve: bool = False
    """The look had less power than `gate.min_power` and was paid from the reserve; `look` numbers the reserve's."""


class ArmResult(Record):
    """What one arm's runs came to."""

    arm: LiveArm
    adapter: str
    """Digest; empty: the arm gives no advice."""
    runs: int
    known: int
    """Runs of which somebody said how they ended."""
    solved: float
    """Mean outcome of those: the share that passed where outcomes are passed or not; 0 where there is none."""
    unadvised: int
    """Runs that should have been advised and were not, because advice came late or failed. They count like others."""
    tokens: float
    """Mean tokens of a run, over runs whose tokens are known; 0: of none they are."""


class LiveResult(Record):
    """Two arms of runs of agents in use, and the test that decided between them."""

    kind: Literal["trial", "watch"]
    """trial: may the challenger take the champion's place? watch: must the champion leave it to no advice?"""
    treated: ArmResult
    """The challenger in a trial, the champion in a watch."""
    control: ArmResult
    """The champion in a trial, the holdout in a watch."""
    first: int
    """Number of the first run that was looked at; 0: there is none."""
    last: int
    settled_at: int
    """Number of the run after which the answer stood; 0: it stands open, or a guard gave it."""
    difference: float
    """Mean outcome of treated minus control, weighted by the chance of each run to be in the rarer arm."""
    low: float
    high: float
    """Bounds of its confidence interval, which holds however often one looks."""
    confidence: float
    threshold: float
    """E-value that the test has to reach: 1 / alpha."""
    e_values: dict[str, float]
    """Test → highest e-value that it reached. "known": of runs with an outcome; "missing failed", "missing passed":
    with every missing outcome counted so, in both arms alike; "decides": of the least of these three after the same
    run; and in a trial "worse" (worse than the margin) and "too little" (less than the gain worth waiting for)."""
    runs_needed: int
    """About how many runs of both arms it takes to find a gain (in a watch: a loss) of `gate.live.effect`."""


class Decision(Extended):
    """The answer and its evidence: ledger/decisions/<digest>.json."""

    LATER = ("live",)

    domain: str
    champion: str
    """Adapter digest; empty: no champion yet, the arm `none` stood in its place."""
    challenger: str
    answer: Answer
    reasons: tuple[str, ...]
    """In words, the deciding one first."""
    guards: tuple[Guard, ...]
    slices: tuple[SliceResult, ...]
    test: PairedTest | None
    """None: there were no outcomes to compare, or runs in use decided."""
    budget: ErrorBudget
    inputs: dict[str, str] = Field(default_factory=dict)
    """What went in: name → digest. "outcomes"; "anchor tasks", "anchor answer keys" and the same of "fresh"; "validated
    rows", "validation suite" and "validation report" of the challenger; "params"; "base model"; "continued from" and
    "outdone by" where there is such an adapter. Older records have fewer. Of a decision by runs in use: "runs
    FIRST–LAST" for each file data/live/<digest>.jsonl, "outcomes" of what was taken from them, and "fixed tasks": the
    decision before the trial."""
    rule: dict[str, Any]
    """Every dial of the gate."""
    rule_version: int
    """Goes up when the same dials and inputs could give another answer."""
    live: LiveResult | None = None
    """None: it was decided on fixed tasks."""

    @property
    def digest(self) -> str:
        """Names the record. It holds no clock, so the same inputs give the same decision."""
        return digest_of(self.model_dump(mode="json"))
