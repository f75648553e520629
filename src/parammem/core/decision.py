"""What the gate decided about a challenger, with all that it decided by."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from parammem.core.event import Answer
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


class Decision(Record):
    """The answer and its evidence: ledger/decisions/<digest>.json."""

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
    """None: there were no outcomes to compare."""
    budget: ErrorBudget
    inputs: dict[str, str] = Field(default_factory=dict)
    """What went in: name → digest. "outcomes"; "anchor tasks", "anchor answer keys" and the same of "fresh"; "validated
    rows", "validation suite" and "validation report" of the challenger; "params"; "base model"; "continued from" and
    "outdone by" where there is such an adapter. Older records have fewer."""
    rule: dict[str, Any]
    """Every dial of the gate."""
    rule_version: int
    """Goes up when the same dials and inputs could give another answer."""

    @property
    def digest(self) -> str:
        """Names the record. It holds no clock, so the same inputs give the same decision."""
        return digest_of(self.model_dump(mode="json"))
