"""decide_live(): the gate on runs of agents in use. Pure: the same runs and dials give the same decision.

A trial asks whether the challenger does better than the champion, a watch whether the champion does worse than no
advice. Both may be looked at after every run; what they may spend is fixed before the first (gate/rule.py).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parammem.core.decision import ArmResult, Decision, ErrorBudget, Guard, LiveResult
from parammem.core.event import Answer
from parammem.core.live_run import LiveArm
from parammem.core.words import count
from parammem.gate.live_evidence import ARMS, LiveEvidence
from parammem.gate.live_guards import live_guards, mean_tokens
from parammem.gate.live_rule import LIVE_VERSION, LiveRule, Spending
from parammem.gate.sequential_test import Scores, e_value, interval, log_e_values, opposite, runs_needed, scores

KNOWN, AS_FAILED, AS_PASSED, DECIDES = "known", "missing failed", "missing passed", "decides"
WORSE, TOO_LITTLE = "worse", "too little"
CONFIDENCE = 0.95
"""Of the interval that people are shown; the answer does not depend on it."""
Floats = NDArray[np.float64]


class Settled(NamedTuple):
    """An answer, and the place of the run after which it stood."""

    answer: Answer
    place: int
    why: str


def decide_live(evidence: LiveEvidence, rule: LiveRule, spending: Spending) -> Decision:
    """Return whether the challenger may take the champion's place, or must the champion leave it.

    1. A guard that failed refuses in a trial, and prevents a rollback in a watch.
    2. Promoted (rolled back) is who was shown to be better (worse) at alpha after any run, with `least_runs` outcomes
       in each arm by then: by the outcomes that are known, and also with every missing one counted as failed, and as
       passed. So neither an arm whose failures stay unreported nor one whose successes do gains by it.
    3. A trial refuses when it is shown first that the challenger is worse by more than the margin or that its gain is
       less than the gain worth finding, or when it is over.
    4. Otherwise: undecided.
    """
    tests = _tests(evidence, rule)
    settled = _settled(evidence, rule, spending.alpha, tests)
    guards = (*evidence.guards, *live_guards(evidence, rule))
    answer, reasons = _answer(evidence, rule, guards, settled, tests, spending.alpha)
    adapters, trial = evidence.adapters, evidence.kind == "trial"
    return Decision(
        domain=evidence.domain,
        champion=adapters["champion"],
        challenger=adapters["challenger"] if trial else "",
        answer=answer,
        reasons=reasons,
        guards=guards,
        slices=(),
        test=None,
        budget=ErrorBudget(
            total=rule.total,
            look=spending.number,
            alpha=spending.alpha,
            spent_before=spending.before,
            paid=True,
        ),
        inputs={**evidence.inputs, "outcomes": evidence.digest},
        rule=rule.model_dump(mode="json"),
        rule_version=LIVE_VERSION,
        live=_result(evidence, rule, spending.alpha, tests, settled if settled and settled.answer == answer else None),
    )


def _tests(evidence: LiveEvidence, rule: LiveRule) -> dict[str, Floats]:
    """Return by its name the logarithm of each test's e-value after each run."""
    trial, known = evidence.kind == "trial", evidence.known
    ours = _scores(evidence, evidence.outcome)

    def decisive(given: Scores) -> Floats:
        return log_e_values(given if trial else opposite(given))

    found = {KNOWN: decisive(ours)}
    if not known.all():
        for name, value in ((AS_FAILED, 0.0), (AS_PASSED, 1.0)):
            found[name] = decisive(_scores(evidence, np.where(known, evidence.outcome, value)))
    found[DECIDES] = np.min(list(found.values()), axis=0)
    if trial:
        found |= {
            WORSE: log_e_values(opposite(ours), rule.margin),
            TOO_LITTLE: log_e_values(opposite(ours), -rule.effect),
        }
    return found


def _scores(evidence: LiveEvidence, outcome: Floats) -> Scores:
    return scores(evidence.treated, evidence.chance, outcome, evidence.group)


def _settled(evidence: LiveEvidence, rule: LiveRule, alpha: float, tests: dict[str, Floats]) -> Settled | None:
    """Return the answer that stood first; None: it is open."""
    known, treated, trial = evidence.known, evidence.treated, evidence.kind == "trial"
    enough = np.minimum(np.cumsum(known & treated), np.cumsum(known & ~treated)) >= rule.least_runs
    if trial:
        enough[rule.most_runs :] = False
    levels = {DECIDES: alpha} | ({WORSE: rule.give_up, TOO_LITTLE: rule.give_up} if trial else {})
    places = {name: np.flatnonzero(enough & (tests[name] >= _log_needed(level))) for name, level in levels.items()}
    first = {name: int(found[0]) for name, found in places.items() if len(found)}
    if first:
        name = min(first, key=lambda one: (first[one], one != DECIDES))
        answer, why = _meaning(name, rule, trial)
        return Settled(answer, first[name], why)
    if trial and len(treated) >= rule.most_runs:
        return Settled("refuse", rule.most_runs - 1, f"not shown to be better in {count(rule.most_runs, 'run')}")
    return None


def _meaning(test: str, rule: LiveRule, trial: bool) -> tuple[Answer, str]:
    """Return what it means that a test reached its threshold: the answer, and why."""
    if test == DECIDES:
        return ("promote", "better") if trial else ("roll back", "worse than no advice")
    if test == WORSE:
        return "refuse", f"worse by more than {100 * rule.margin:g} points"
    return "refuse", f"not better by {100 * rule.effect:g} points, the least gain that is worth waiting for"


def _log_needed(alpha: float) -> float:
    """Return the logarithm of the e-value that shows something at this level; at 0 nothing does."""
    return -math.log(alpha) if alpha > 0 else math.inf


def _answer(
    evidence: LiveEvidence,
    rule: LiveRule,
    guards: tuple[Guard, ...],
    settled: Settled | None,
    tests: dict[str, Floats],
    alpha: float,
) -> tuple[Answer, tuple[str, ...]]:
    """Return the answer and its reasons, the deciding one first."""
    seen = _seen(evidence, tests, alpha)
    failed = [
        f"guard {one.name} {'was not evaluated' if one.passed is None else 'failed'}: {one.detail}"
        for one in guards
        if not one.passed
    ]
    if failed and evidence.kind == "trial":
        return "refuse", (*failed, seen)
    if failed and settled:
        return "undecided", (f"{settled.why}, but nothing is rolled back on such runs", *failed, seen)
    if settled:
        return settled.answer, (f"{settled.why}: {seen}",)
    return "undecided", (f"nothing is shown yet: {seen}", *_wanting(evidence, rule), *failed)


def _seen(evidence: LiveEvidence, tests: dict[str, Floats], alpha: float) -> str:
    known, treated = evidence.known, evidence.treated
    numbers = f"{count(int(known.sum()), 'outcome')} of {count(len(known), 'run')}"
    if not (known & treated).any() or not (known & ~treated).any():
        return numbers
    difference = _scores(evidence, evidence.outcome).estimate
    needed = f"{1 / alpha:.0f} needed" if alpha > 0 else "nothing is left of the error budget"
    return f"{100 * difference:+.1f} points over {numbers}, e-value {_highest(tests[DECIDES]):.3g}, {needed}"


def _wanting(evidence: LiveEvidence, rule: LiveRule) -> list[str]:
    """Return a sentence for an arm with too few outcomes."""
    arms = zip(ARMS[evidence.kind], (True, False), strict=True)
    known = {arm: int((evidence.known & (evidence.treated == treated)).sum()) for arm, treated in arms}
    few = [f"{arm} has {number}" for arm, number in known.items() if number < rule.least_runs]
    return [f"each arm needs {count(rule.least_runs, 'outcome')}: {', '.join(few)}"] if few else []


def _result(
    evidence: LiveEvidence, rule: LiveRule, alpha: float, tests: dict[str, Floats], settled: Settled | None
) -> LiveResult:
    ours = _scores(evidence, evidence.outcome)
    low, high = interval(ours, CONFIDENCE)
    treated, control = (_arm(evidence, arm, side) for arm, side in zip(ARMS[evidence.kind], (True, False), strict=True))
    number = evidence.number
    return LiveResult(
        kind=evidence.kind,
        treated=treated,
        control=control,
        first=int(number[0]) if len(number) else 0,
        last=int(number[-1]) if len(number) else 0,
        settled_at=int(number[settled.place]) if settled else 0,
        difference=ours.estimate,
        low=low,
        high=high,
        confidence=CONFIDENCE,
        threshold=e_value(_log_needed(alpha)),
        e_values={name: _highest(logs) for name, logs in tests.items()},
        runs_needed=_runs_needed(evidence, rule, alpha),
    )


def _arm(evidence: LiveEvidence, arm: LiveArm, treated: bool) -> ArmResult:
    ours = evidence.treated == treated
    outcomes = evidence.outcome[ours & evidence.known]
    return ArmResult(
        arm=arm,
        adapter=evidence.adapters[arm],
        runs=int(ours.sum()),
        known=len(outcomes),
        solved=float(outcomes.mean()) if len(outcomes) else 0.0,
        unadvised=int((ours & evidence.unadvised).sum()),
        tokens=mean_tokens(evidence, treated),
    )


def _runs_needed(evidence: LiveEvidence, rule: LiveRule, alpha: float) -> int:
    """Return how many runs a test needs, by the variance of the outcomes so far; before there are any, 1/4."""
    known = evidence.outcome[evidence.known]
    if alpha <= 0 or not len(evidence.chance):
        return 0
    variance = float(known.var()) if len(known) > 1 else 0.25
    weight = float((evidence.chance * (1 - evidence.chance)).mean()) * (len(known) / len(evidence.outcome) or 1.0)
    return runs_needed(rule.effect, alpha, max(variance, 0.01), weight)


def _highest(logs: Floats) -> float:
    return e_value(float(logs.max())) if len(logs) else 1.0
