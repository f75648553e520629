"""decide(): the gate, on one page. A pure function: the same evidence, dials and looks give the same decision."""

from __future__ import annotations

from parammem.core.decision import Decision, ErrorBudget, PairedTest, SliceResult
from parammem.core.event import Answer
from parammem.gate.evidence import Evidence, SliceOutcomes
from parammem.gate.rule import VERSION, Rule, alpha_of_look, spent_after
from parammem.gate.statistics import GOOD_POWER, better_p, bounds, power, tasks_needed

OVER_OUTCOMES = {"tokens"}
"""Guards that go by what the arms did on the tasks they are compared on."""


def decide(evidence: Evidence, rule: Rule, looks: int) -> Decision:
    """May the challenger take the champion's place?

    1. A guard that failed, or that nobody looked at, refuses.
    2. A slice on which the challenger is worse beyond the margin refuses, and so does a guard over outcomes (tokens),
       however few tasks there are.
    3. A test with less power than `min_power` is not looked at: undecided, and nothing is spent. Whether a look is paid
       for hangs on its power alone, never on who did better: if only good looks were paid for, the budget would not
       hold. A refusal without payment is harmless, since without payment nobody is promoted either.
    4. Promoted is who is not worse on every slice, and better in the paired test over all slices at this look's alpha.
    5. Otherwise: refused if a gain of `effect` would have been found with a power of 0.8, else undecided.

    Args:
        looks: how many looks this domain's budget has paid for before.
    """
    slices = tuple(_slice(one, rule) for one in evidence.slices if one.tasks)
    alpha = alpha_of_look(looks + 1, rule.alpha)
    test = _test(evidence, rule, alpha)
    answer, reasons, paid = _answer(evidence, rule, slices, test, alpha)
    budget = ErrorBudget(
        total=rule.alpha, look=looks + 1, alpha=alpha, spent_before=spent_after(looks, rule.alpha), paid=paid
    )
    return Decision(
        domain=evidence.domain,
        champion=evidence.champion,
        challenger=evidence.challenger,
        answer=answer,
        reasons=tuple(reasons),
        guards=evidence.guards,
        slices=slices,
        test=test,
        budget=budget,
        inputs={**evidence.inputs, "outcomes": evidence.outcomes},
        rule=rule.model_dump(mode="json"),
        rule_version=VERSION,
    )


def _answer(
    evidence: Evidence, rule: Rule, slices: tuple[SliceResult, ...], test: PairedTest | None, alpha: float
) -> tuple[Answer, list[str], bool]:
    """The answer, its reasons, and whether the look was paid for."""
    if not evidence.guards:
        return "refuse", ["no guard was looked at"], False
    failed = {name: f"guard {name} {_word(ok)}: {why}" for name, ok, why in _failed(evidence)}
    if failed.keys() - OVER_OUTCOMES:
        return "refuse", list(failed.values()), False
    if test is None:
        return "undecided", ["there are no tasks that both arms did"], False
    paid = test.power >= rule.min_power
    worse = [f"worse on the {one.name} slice: {_interval(one)}" for one in slices if one.verdict == "worse"]
    if failed or worse:
        return "refuse", [*failed.values(), *worse], paid
    if not paid:
        return "undecided", [_too_weak(test, rule)], False
    return (*_looked(slices, test, alpha), True)


def _looked(slices: tuple[SliceResult, ...], test: PairedTest, alpha: float) -> tuple[Answer, list[str]]:
    """The answer once the test has been looked at."""
    better = test.p <= alpha
    seen = f"{100 * test.difference:+.1f} points over {test.tasks} tasks, p = {test.p:.2g} against {alpha:.2g}"
    unclear = [f"unclear on the {one.name} slice: {_interval(one)}" for one in slices if one.verdict == "unclear"]
    if better and not unclear:
        return "promote", [f"better: {seen}"]
    if better:
        return "undecided", [*unclear, f"better over all: {seen}"]
    if test.power >= GOOD_POWER:
        found = f"a gain of {100 * test.effect:.0f} points would have been found with power {test.power:.2f}"
        return "refuse", [f"not better: {seen}; {found}", *unclear]
    return "undecided", [f"not shown to be better: {seen}; power {test.power:.2f}", *unclear]


def _slice(one: SliceOutcomes, rule: Rule) -> SliceResult:
    difference, low, high = bounds(one.differences, one.runs)
    margin = rule.margin(one.name)
    verdict = "worse" if high < -margin else "not worse" if low >= -margin else "unclear"
    return SliceResult(
        name=one.name,
        tasks=len(one.tasks),
        runs=one.runs * len(one.tasks),
        none=one.share(one.none),
        champion=one.share(one.reigning) or 0.0,
        challenger=one.share(one.challenger) or 0.0,
        difference=difference,
        low=low,
        high=high,
        margin=margin,
        verdict=verdict,
    )


def _test(evidence: Evidence, rule: Rule, alpha: float) -> PairedTest | None:
    differences = [d for one in evidence.slices for d in one.differences]
    if not differences:
        return None
    runs = {one.runs for one in evidence.slices if one.tasks}
    if len(runs) > 1:
        raise ValueError(f"slices have {sorted(runs)} runs per task; give every task the same number")
    each = runs.pop()
    return PairedTest(
        name="mcnemar" if each == 1 else "sign-flip by task",
        tasks=len(differences),
        better=sum(d > 0 for d in differences),
        worse=sum(d < 0 for d in differences),
        difference=sum(differences) / (each * len(differences)),
        p=better_p(differences),
        power=power(differences, each, rule.effect, alpha),
        effect=rule.effect,
        tasks_needed=tasks_needed(differences, each, rule.effect, alpha),
    )


def _too_weak(test: PairedTest, rule: Rule) -> str:
    return (
        f"too few tasks to tell: {test.tasks} tasks find a gain of {100 * test.effect:.0f} points with power "
        f"{test.power:.2f}, less than {rule.min_power:g}; about {test.tasks_needed} are needed for 0.8"
    )


def _failed(evidence: Evidence) -> list[tuple[str, bool | None, str]]:
    return [(guard.name, guard.passed, guard.detail) for guard in evidence.guards if not guard.passed]


def _word(passed: bool | None) -> str:
    return "was not looked at" if passed is None else "failed"


def _interval(one: SliceResult) -> str:
    return (
        f"{100 * one.difference:+.1f} points on {one.tasks} tasks, bounds {100 * one.low:+.1f} and "
        f"{100 * one.high:+.1f}, tolerated {-100 * one.margin:+.1f}"
    )
