"""Facts about pocket tasks: what the checks reveal, what they hide, and that splits and worlds are what they claim."""

from __future__ import annotations

from collections import Counter

import pytest

from parammem.core import AnswerKey, Task
from parammem.domains import get_domain
from parammem.domains.conventions import CONVENTIONS, kind_of
from parammem.pocket.problems import all_choices, find_checks, isolates, solution
from parammem.pocket.relations import QaProblem
from parammem.pocket.world import MAKERS, World, WorldTask, draw_splits

DOMAINS = tuple(CONVENTIONS)
SIZES = {"eval": 30, "unseen": 10, "bank": 20, "train": 60}


@pytest.fixture(scope="module", params=DOMAINS)
def splits(request) -> dict[str, list[WorldTask]]:
    return draw_splits(request.param, World(seed=3, rho=0.9), SIZES)


def everything(splits: dict[str, list[WorldTask]]) -> list[WorldTask]:
    return [drawn for part in splits.values() for drawn in part]


def test_splits_have_the_sizes_asked_for(splits):
    assert {name: len(part) for name, part in splits.items()} == SIZES


def test_no_two_tasks_of_any_splits_have_the_same_content(splits):
    contents = [drawn.task.content for drawn in everything(splits)]
    assert len(set(contents)) == len(contents)


def test_gold_solutions_score_one_and_pass_their_visible_checks(splits):
    drawn = everything(splits)
    domain = get_domain(drawn[0].task.domain)
    assert all(s.passed for s in domain.judge.score([(d.task, d.key, d.key.gold) for d in drawn]))  # type: ignore[union-attr]
    assert all(f.passed for f in domain.judge.check([(d.task, d.key.gold) for d in drawn]))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", DOMAINS)
def test_every_wrong_choice_scores_zero_and_visible_checks_tell_only_what_they_reveal(name):
    domain, items = get_domain(name), []
    for drawn, problem in _with_problems(name, 12):
        for choices in all_choices(problem):
            items.append((drawn, choices, solution(problem, choices)))
    scores = domain.judge.score([(d.task, d.key, text) for d, _, text in items])
    feedback = domain.judge.check([(d.task, text) for d, _, text in items])
    for (drawn, choices, _), score, said in zip(items, scores, feedback, strict=True):
        revealed = drawn.key.tags["revealed"].split()
        assert score.passed == (choices == drawn.key.facts)  # type: ignore[union-attr]
        assert said.passed == all(choices[n] == drawn.key.facts[n] for n in revealed)  # type: ignore[union-attr]


def test_visible_checks_reveal_each_convention_half_the_time_and_never_all():
    shares: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for name in DOMAINS:
        for drawn in draw_splits(name, World(5, 0.9), {"train": 400})["train"]:
            revealed = set(drawn.key.tags["revealed"].split())
            assert revealed < set(drawn.key.facts)
            seen.update(list(drawn.key.facts))
            shares.update(list(revealed))
    total = sum(shares.values()) / sum(seen.values())
    assert abs(total - 0.5) < 0.03
    for convention, count in seen.items():
        assert abs(shares[convention] / count - 0.5) < 4 * 0.5 / count**0.5


def test_two_or_three_conventions_are_open_and_the_plan_names_them(splits):
    for drawn in everything(splits):
        assert len(drawn.key.facts) in (2, 3)
        first = drawn.key.gold.splitlines()[0]
        assert all(f"{name} {value}" in first for name, value in drawn.key.facts.items())


def test_the_same_seed_gives_the_same_tasks_and_another_gives_others():
    first, again, other = (draw_splits("code", World(seed, 0.9), {"eval": 5})["eval"] for seed in (1, 1, 2))
    assert first == again
    assert [d.task.text for d in first] != [d.task.text for d in other]


def test_evaluation_tasks_do_not_change_with_the_size_of_the_train_split():
    small, large = (draw_splits("math", World(1, 0.9), {"eval": 8, "train": n}) for n in (5, 50))
    assert small["eval"] == large["eval"]


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_values_follow_the_kind_with_strength_rho(rho):
    world = World(7, rho)
    table = world.table("code")
    agreed = [
        value == table[d.key.tags["kind"]][name]
        for d in draw_splits("code", world, {"train": 500})["train"]
        for name, value in d.key.facts.items()
    ]
    expected = rho + (1 - rho) * 0.46  # binary conventions and a ternary one
    assert abs(sum(agreed) / len(agreed) - expected) < 0.05


def test_unseen_kinds_are_in_no_other_split(splits):
    domain = splits["eval"][0].task.domain
    unseen = {d.key.tags["kind"] for d in splits["unseen"]}
    assert unseen == {World(3, 0.9).unseen_kind(domain)}
    for part in ("eval", "bank", "train"):
        assert unseen.isdisjoint({d.key.tags["kind"] for d in splits[part]})
    assert all(kind_of(domain, d.key.tags["noun"]) == d.key.tags["kind"] for d in everything(splits))


def test_a_task_holds_nothing_of_its_key(splits):
    for drawn in everything(splits):
        shown = Task.model_validate(drawn.task.model_dump()).model_dump_json()
        hidden = AnswerKey.model_validate(drawn.key.model_dump())
        assert hidden.gold not in shown
        for case in hidden.hidden.get("checks", []):
            assert case not in drawn.task.visible.get("checks", [])


def test_no_relation_stands_twice_in_a_passage():
    for drawn in draw_splits("qa", World(3, 0.9), {"eval": 50})["eval"]:
        problem = drawn.problem
        assert isinstance(problem, QaProblem)
        relations = [relation for _, relation, _ in problem.facts]
        assert len(set(relations)) == len(relations) == 8
        assert len({problem.answer(choices) for choices in all_choices(problem)}) == 4


def test_a_check_that_does_not_isolate_is_not_taken():
    _, problem = next(_with_problems("code", 1))
    # k lies outside the list, no value repeats: nothing that is open can matter here but what rounding or ties do.
    empty = {"xs": [], "k": 5}
    assert isolates(problem, "limit", empty) is None
    assert find_checks(problem, __import__("random").Random(0), "limit", wanted=0, tries=0) == []


def _with_problems(name: str, count: int):
    """Tasks made as the world makes them, with the problem they were made from."""
    import random

    from parammem.pocket.world import make_task

    rng, world, made = random.Random(11), World(3, 0.9), 0
    kind, noun = ("sea", "diver") if name == "qa" else ("money", "fares")
    while made < count:
        values = world.settle(rng, name, kind)
        problem = MAKERS[name](rng, noun, values)
        if name == "code" and made == 0 and "limit" not in problem.open:
            continue
        drawn = make_task(problem, values, kind, rng)
        if drawn is not None:
            made += 1
            yield drawn, problem
