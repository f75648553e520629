"""Guards over runs of agents in use: do they belong together, were they assigned as recorded, do arms report alike?

Each holds while nothing speaks against it. Assignment and missing outcomes are watched by tests that may be looked at
after every run; a guard fails by chance with `LiveRule.guard_level` at most, however often it is looked at.
"""

from __future__ import annotations

import math

import numpy as np

from parammem.core.decision import Guard
from parammem.core.words import count
from parammem.gate.live_evidence import LiveEvidence
from parammem.gate.live_rule import LiveRule
from parammem.gate.sequential_test import assignment_log_e_value, e_value, last_log_e_value, opposite, scores


def live_guards(evidence: LiveEvidence, rule: LiveRule) -> tuple[Guard, ...]:
    """Return the guards in the order in which they are shown. A watch asks for no tokens: holdout writes no advice."""
    found = (_runs(evidence), _assignment(evidence, rule), _missing(evidence, rule))
    return (*found, _tokens(evidence, rule)) if evidence.kind == "trial" else found


def _runs(evidence: LiveEvidence) -> Guard:
    detail = (
        "; ".join(evidence.strange) or f"{count(len(evidence.number), 'run')}, each once, with the arm's own adapter"
    )
    return Guard(name="runs", passed=not evidence.strange, detail=detail)


def _assignment(evidence: LiveEvidence, rule: LiveRule) -> Guard:
    """Check that the mix of tasks is the same in both arms: in every group of tasks each run was as likely as recorded
    to be of the treated arm."""
    log_value = assignment_log_e_value(evidence.treated, evidence.chance, evidence.group)
    groups = count(len(np.unique(evidence.group)), "group")
    share, expected = _share(evidence.treated), _share(evidence.chance)
    detail = (
        f"{share:.1%} of the runs are of the treated arm, {expected:.1%} were to be; over {groups} of tasks: "
        f"e-value {e_value(log_value):.3g}, {1 / rule.guard_level:g} would show another mix of tasks in one arm"
    )
    return Guard(name="task-mix", passed=log_value < -math.log(rule.guard_level), detail=detail)


def _missing(evidence: LiveEvidence, rule: LiveRule) -> Guard:
    """Check that the arms' shares of missing outcomes differ by no more than the gap."""
    missing = (~evidence.known).astype(float)
    given = scores(evidence.treated, evidence.chance, missing, evidence.group)
    sides = [last_log_e_value(one, rule.missing_gap) for one in (given, opposite(given))] if len(missing) else [0.0]
    log_value = max(sides) - math.log(2)
    treated, control = _share(missing[evidence.treated]), _share(missing[~evidence.treated])
    detail = (
        f"outcomes missing: {treated:.1%} of the treated arm, {control:.1%} of the control; a difference of more than "
        f"{rule.missing_gap:.0%} has the e-value {e_value(log_value):.3g}, {1 / rule.guard_level:g} would show it"
    )
    return Guard(name="missing", passed=log_value < -math.log(rule.guard_level), detail=detail)


def _tokens(evidence: LiveEvidence, rule: LiveRule) -> Guard:
    ours, theirs = mean_tokens(evidence, True), mean_tokens(evidence, False)
    if not ours or not theirs:
        return Guard(name="tokens", passed=True, detail="no tokens were counted")
    ratio = ours / theirs
    detail = (
        f"{ours:.0f} tokens per run, the champion {theirs:.0f}: {ratio:.2f} times, allowed {rule.max_token_ratio:g}"
    )
    return Guard(name="tokens", passed=ratio <= rule.max_token_ratio, detail=detail)


def mean_tokens(evidence: LiveEvidence, treated: bool) -> float:
    """Return mean tokens of an arm's runs whose tokens are known; 0: of none they are."""
    known = evidence.tokens[(evidence.treated == treated) & (evidence.tokens > 0)]
    return float(known.mean()) if len(known) else 0.0


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
