"""decide(): the gate, on one page. A pure function: the same evidence, dials and looks give the same decision."""

from __future__ import annotations

from parammem.core.decision import Decision, ErrorBudget, PairedTest, SliceResult
from parammem.core.event import Answer
from parammem.core.words import count
from parammem.gate.evidence import NO_OUTCOMES, Evidence, SliceOutcomes
from parammem.gate.paired_test import GOOD_POWER, best_p, better_p, bounds, power, tasks_needed
from parammem.gate.rule import VERSION, Looks, Rule, next_alpha, spent_after

OVER_OUTCOMES = {"tokens"}
"""Guards that go by what the arms did on the tasks they are compared on."""


def decide(evidence: Evidence, rule: Rule, looks: int | Looks = 0) -> Decision:
    """Return whether the challenger may take the champion's place, with every number that the answer rests on.

    1. A guard that failed, or that was not evaluated, refuses.
    2. A slice on which the challenger is worse beyond the margin refuses, and so does a guard over outcomes (tokens),
       however few tasks there are.
    3. How the look is paid for depends on the number of tasks that differ, never on who won them: with a power of at
       least `min_power` it spends a regular look's alpha, with less the next alpha of the reserve. Where even a win
       on every task that differs could not promote, nothing is spent and the answer is undecided.
    4. Promoted is who is not worse on every slice, and better in the paired test over all slices at this look's alpha.
       A slice with so few tasks that it could not show "not worse" even if no task differed holds no challenger back.
    5. Otherwise: refused if the gain would have been found with a power of 0.8, else undecided.

    Args:
        looks: what this domain's budget has paid for before; a number stands for so many regular looks.
    """
    before = looks if isinstance(looks, Looks) else Looks(regular=looks, spent=spent_after(looks, rule.alpha))
    slices = tuple(_slice(one, rule) for one in evidence.slices if one.tasks)
    test = _test(evidence, rule, next_alpha(before, rule.alpha, reserve=False))
    reserve = test is not None and test.power < rule.min_power
    alpha = next_alpha(before, rule.alpha, reserve)
    possible = test is not None and best_p(_differences(evidence)) <= alpha
    answer, reasons, paid = _answer(evidence, rule, slices, test, alpha if possible else 0.0)
    return Decision(
        domain=evidence.domain,
        champion=evidence.champion,
        challenger=evidence.challenger,
        answer=answer,
        reasons=(*reasons, *_saturated(evidence)),
        guards=evidence.guards,
        slices=slices,
        test=test,
        budget=ErrorBudget(
            total=rule.alpha,
            look=(before.reserve if reserve else before.regular) + 1,
            alpha=alpha,
            spent_before=before.spent,
            paid=paid,
            reserve=reserve,
        ),
        inputs={**evidence.inputs, "outcomes": evidence.outcomes},
        rule=rule.model_dump(mode="json"),
        rule_version=VERSION,
    )


def _answer(
    evidence: Evidence, rule: Rule, slices: tuple[SliceResult, ...], test: PairedTest | None, alpha: float
) -> tuple[Answer, list[str], bool]:
    """Return the answer, its reasons, and whether the look is paid for. An alpha of 0: no result could promote."""
    if not evidence.guards:
        return "refuse", ["no guard was evaluated"], False
    failed = {name: f"guard {name} {_word(ok)}: {why}" for name, ok, why in _failed(evidence)}
    if failed.keys() - OVER_OUTCOMES:
        return "refuse", list(failed.values()), False
    if test is None:
        return "undecided", [evidence.inputs.get(NO_OUTCOMES, "there are no tasks that both arms did")], False
    worse = [f"worse on the {one.name} slice: {_interval(one)}" for one in slices if one.verdict == "worse"]
    if failed or worse:
        return "refuse", [*failed.values(), *worse], alpha > 0
    if not alpha:
        return "undecided", [_too_few(test, rule)], False
    return (*_tested(slices, test, rule, alpha), True)


def _tested(slices: tuple[SliceResult, ...], test: PairedTest, rule: Rule, alpha: float) -> tuple[Answer, list[str]]:
    """Return the answer and its reasons from the test at this look's alpha."""
    better = test.p <= alpha
    seen = f"{100 * test.difference:+.1f} points over {count(test.tasks, 'task')}, p = {test.p:.2g} against {alpha:.2g}"
    unclear = [f"unclear on the {one.name} slice: {_interval(one)}" for one in slices if _holds_back(one)]
    small = [
        f"the {one.name} slice is too small to tell: {_interval(one)}"
        for one in slices
        if one.verdict == "unclear" and not _can_tell(one)
    ]
    if better and not unclear:
        return "promote", [f"better: {seen}", *small]
    if better:
        return "undecided", [*unclear, f"better over all: {seen}"]
    if test.power >= GOOD_POWER:
        gain = f"a challenger that wins {_wins(rule)} of the tasks that differ would have been found"
        return "refuse", [f"not better: {seen}; {gain} with power {test.power:.2f}", *unclear]
    if test.power < rule.min_power:
        return "undecided", [f"not shown to be better: {seen}", _too_few(test, rule), *unclear]
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
        champion=one.share(one.incumbent) or 0.0,
        challenger=one.share(one.challenger) or 0.0,
        difference=difference,
        low=low,
        high=high,
        margin=margin,
        verdict=verdict,
    )


def _can_tell(one: SliceResult) -> bool:
    """Return whether a slice of this size could show "not worse" at all: whether it would if no task differed."""
    return bounds([0] * one.tasks, max(1, one.runs // one.tasks))[1] >= -one.margin


def _holds_back(one: SliceResult) -> bool:
    return one.verdict == "unclear" and _can_tell(one)


def _saturated(evidence: Evidence) -> list[str]:
    """Return a sentence for each slice on which every arm solves every run, or none does: it cannot tell arms apart."""
    found = []
    for one in evidence.slices:
        shares = {one.share(arm) for arm in (one.none, one.champion, one.challenger) if arm}
        if shares in ({0.0}, {1.0}):
            what = "ceiling: every arm solves all" if shares == {1.0} else "floor: no arm solves any"
            found.append(
                f"the {one.name} slice is at its {what} of its {count(len(one.tasks), 'task')}, so it tells nothing"
            )
    return found


def _differences(evidence: Evidence) -> list[int]:
    return [d for one in evidence.slices for d in one.differences]


def _test(evidence: Evidence, rule: Rule, alpha: float) -> PairedTest | None:
    differences = _differences(evidence)
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
        power=power(differences, rule.effect, alpha),
        effect=rule.effect,
        tasks_needed=tasks_needed(differences, rule.effect, alpha, rule.min_power) or 0,
    )


def _too_few(test: PairedTest, rule: Rule) -> str:
    differ = test.better + test.worse
    if not differ:
        return f"the two differ on none of {count(test.tasks, 'task')}, so these cannot tell them apart"
    return (
        f"too few tasks that differ: {differ} of {test.tasks} tasks do; a challenger that wins {_wins(rule)} of these "
        f"is found with power {test.power:.2f}, and {rule.min_power:g} is demanded: about "
        f"{count(test.tasks_needed, 'task')}, if as large a share of them differs"
    )


def _wins(rule: Rule) -> str:
    return f"{50 + 100 * rule.effect:.0f} %"


def _failed(evidence: Evidence) -> list[tuple[str, bool | None, str]]:
    return [(guard.name, guard.passed, guard.detail) for guard in evidence.guards if not guard.passed]


def _word(passed: bool | None) -> str:
    return "was not evaluated" if passed is None else "failed"


def _interval(one: SliceResult) -> str:
    return (
        f"{100 * one.difference:+.1f} points on {count(one.tasks, 'task')}, bounds {100 * one.low:+.1f} and "
        f"{100 * one.high:+.1f}, tolerated {-100 * one.margin:+.1f}"
    )
