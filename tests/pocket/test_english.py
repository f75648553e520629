"""The world in plain English: the same from a seed, judged by the whole entry, and silent about its rules."""

from __future__ import annotations

from collections import Counter

import pytest

from parammem.core import Attempt, Feedback, Outcome, Reflection, ReflectionExample
from parammem.domains import get_domain
from parammem.domains.conventions import claimed_in_order, kinds_of, parse_claims, worded
from parammem.domains.english import EnglishJudge, parts_of
from parammem.domains.house_rules import NOTED, TOPICS, VALUES, entered, rules_text
from parammem.domains.oracle import oracle_advice
from parammem.domains.wording import template
from parammem.pocket.problems import all_choices, solution
from parammem.pocket.world import World, WorldTask, draw_splits
from parammem.stages.majority import majority_advice
from parammem.stages.train import relabelled

SIZES = {"eval": 30, "unseen": 10, "bank": 5, "train": 80}
DOMAIN = get_domain("english")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[WorldTask]]:
    return draw_splits("english", World(seed=3, rho=0.9), SIZES)


@pytest.fixture(scope="module")
def drawn(splits) -> list[WorldTask]:
    return [one for part in splits.values() for one in part]


def test_a_seed_gives_the_same_tasks_and_no_task_twice(splits, drawn):
    assert {name: len(part) for name, part in splits.items()} == SIZES
    assert splits == draw_splits("english", World(seed=3, rho=0.9), SIZES)
    assert splits["eval"] != draw_splits("english", World(seed=4, rho=0.9), SIZES)["eval"]
    assert len({one.task.content for one in drawn}) == len(drawn)


def test_the_strength_of_the_world_changes_the_rules_and_no_note(splits):
    weak = draw_splits("english", World(seed=3, rho=0.0), SIZES)
    assert [one.task.text for one in weak["eval"]] == [one.task.text for one in splits["eval"]]
    assert [one.key.facts for one in weak["eval"]] != [one.key.facts for one in splits["eval"]]


def test_rules_follow_the_topic_with_strength_rho():
    world = World(7, 0.9)
    table = world.table("english")
    agreed = [
        value == table[one.key.tags["kind"]][name]
        for one in draw_splits("english", world, {"train": 600})["train"]
        for name, value in one.key.facts.items()
    ]
    assert abs(sum(agreed) / len(agreed) - 0.95) < 0.03


def test_the_unseen_topic_is_in_no_other_split(splits):
    unseen = {one.key.tags["kind"] for one in splits["unseen"]}
    assert unseen == {World(3, 0.9).unseen_kind("english")}
    assert unseen.isdisjoint({one.key.tags["kind"] for part in ("eval", "bank", "train") for one in splits[part]})


def test_gold_scores_one_and_every_other_choice_zero(drawn):
    for one in drawn:
        for choices in all_choices(one.problem):
            entry = solution(one.problem, choices)
            (score,) = DOMAIN.judge.score([(one.task, one.key, entry)])
            (said,) = DOMAIN.judge.check([(one.task, entry)])
            revealed = one.key.tags["revealed"].split()
            assert score.passed == (choices == one.key.facts)  # type: ignore[union-attr]
            assert said.passed == all(choices[name] == one.key.facts[name] for name in revealed)  # type: ignore[union-attr]
            assert len(revealed) == 1 < len(one.key.facts)


def test_spoilt_entries_score_zero_and_harm_no_other(splits):
    one = splits["eval"][0]
    gold = one.key.gold
    spoilt = ["", ";", gold.split(";")[0], f"{gold}; {gold}", "; ".join(reversed(gold.split("; "))), f"{gold} please"]
    scores = DOMAIN.judge.score([(one.task, one.key, text) for text in (*spoilt, gold)])
    assert [score.passed for score in scores] == [False] * len(spoilt) + [True]  # type: ignore[union-attr]


def test_a_note_copied_as_it_is_fails_its_visible_check(drawn):
    said = DOMAIN.judge.check([(one.task, one.task.text.split(": ", 1)[1]) for one in drawn])
    assert not any(feedback.passed for feedback in said)  # type: ignore[union-attr]


def test_a_note_says_no_rule_and_the_visible_check_one_of_two(drawn):
    values = {value for words in VALUES.values() for value in words}
    for one in drawn:
        assert values.isdisjoint(one.task.text.replace(";", " ").replace(":", " ").split())
        assert one.key.gold not in one.task.model_dump_json()
        (check,) = one.task.visible["checks"]
        assert check["expected"] in one.key.gold.split("; ")


def test_each_rule_is_revealed_half_the_time():
    tasks = draw_splits("english", World(5, 0.9), {"train": 600})["train"]
    asked = Counter(name for one in tasks for name in one.key.facts)
    shown = Counter(one.key.tags["revealed"] for one in tasks)
    assert set(asked) == set(VALUES)
    assert all(abs(shown[name] / count - 0.5) < 4 * 0.5 / count**0.5 for name, count in asked.items())


@pytest.mark.parametrize("name", ["actor", "advise", "hindsight", "reflect", "reflect_diverse"])
def test_what_a_prompt_shows_favours_no_value_and_no_topic(name):
    *shown, last = template("english", name).split("\n---\n")
    answers = shown[1::2]
    said = Counter(claim for text in shown for claim in parse_claims("english", text) if text in answers)
    if name == "actor":
        said = Counter(claim for text in shown[::2] for claim in parse_claims("english", text))
        entries = Counter(part.split()[-1] for text in answers for part in parts_of(text))
        assert set(entries.values()) == {1}
    assert set(said) == {f"{name}={value}" for name, values in VALUES.items() for value in values}
    assert set(said.values()) == {1}
    words = set(" ".join([*shown, last]).replace(";", " ").replace(":", " ").split())
    assert words.isdisjoint({noun for nouns in TOPICS.values() for noun in nouns})
    assert words.isdisjoint({topic.capitalize() for topic in TOPICS})


def test_right_advice_is_the_rules_and_says_them_in_the_order_of_the_note(splits):
    for one in splits["train"]:
        whole, first = oracle_advice(one.key, "list"), oracle_advice(one.key, "sentence")
        assert parse_claims("english", whole) == {f"{name}={value}" for name, value in one.key.facts.items()}
        assert claimed_in_order("english", whole) == list(one.key.facts) == list(one.problem.open)
        assert len(parse_claims("english", first)) == 1
        assert one.key.gold not in whole


def test_claims_are_read_out_of_what_a_model_writes():
    assert parse_claims("english", "write kilograms as kg, paid as yes") == {"weight=kg", "paid=yes"}
    assert parse_claims("english", 'Write urgent as "RED".') == {"urgent=red"}
    assert parse_claims("english", "write paid as yes, paid as done, late as due") == {"late=due"}
    assert parse_claims("english", "write kilograms as kilometres, unpaid as yes") == frozenset()
    assert parse_claims("english", worded("english", {"late": "open"})) == {"late=open"}


def test_the_actor_sees_its_own_rules_and_those_from_elsewhere(splits):
    task = splits["eval"][0].task
    pieces = [
        Reflection(text="write paid as yes", source="self", author="a", iteration=1, temperature=0.0),
        Reflection(text="write late as due", source="parametric", author="b", iteration=1, temperature=0.0),
    ]
    prompt = DOMAIN.prompts.actor(task, pieces, [])
    assert [one.role for one in prompt] == ["system", *["user", "assistant"] * 4, "user"]
    assert prompt[-1].content == f"{task.text}\nRules: write paid as yes\nRules: write late as due\nEntry:"
    assert DOMAIN.prompts.actor(task, [], [])[-1].content == f"{task.text}\nEntry:"


def test_a_reflection_shows_the_last_attempt_and_what_the_check_said(splits):
    task = splits["eval"][0].task
    (feedback,) = DOMAIN.judge.check([(task, "nothing")])
    assert isinstance(feedback, Feedback)
    attempt = Attempt(number=1, text="nothing", candidate="nothing", temperature=0.0, feedback=feedback)
    earlier = [Reflection(text="write paid\nas yes", source="self", author="a", iteration=1, temperature=0.0)]
    plain, diverse = (DOMAIN.prompts.reflect(task, [attempt], earlier, flag)[-1].content for flag in (False, True))
    assert "Entry: nothing\n" in plain
    assert f"should be {task.visible['checks'][0]['expected']}\n" in plain
    assert "Noted before: write paid as yes\n" in diverse
    assert "Noted before" not in plain


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("33 kg; yes", "33 kg; yes"),
        ("\n Entry: 33 kg; yes.\nThat is all.", "33 kg; yes"),
        ('"33 kg; yes"', "33 kg; yes"),
        ("", ""),
    ],
)
def test_an_entry_is_the_first_line_that_says_something(text, entry):
    assert DOMAIN.prompts.parse(text) == entry


def test_parts_of_an_entry_forgive_case_and_space():
    assert parts_of("33  KG ;Yes") == parts_of("33 kg; yes")
    assert entered("paid", "yes", 3) == "yes"
    assert entered("weight", "kg", 3) == "3 kg"


def test_no_word_of_an_entry_is_one_of_a_note_or_of_another_rule():
    words = [value for values in VALUES.values() for value in values]
    assert len(set(words)) == len(words)
    assert set(words).isdisjoint(NOTED.values())
    nouns = [noun for nouns in kinds_of("english").values() for noun in nouns]
    assert len(set(nouns)) == len(nouns)


def _row(one: WorldTask, advice: str) -> ReflectionExample:
    return ReflectionExample(
        domain="english", task_id=one.task.task_id, task_text=one.task.text, reflection=advice, label_source="self",
        part="feedback", author="0" * 64, trajectory_id="0" * 16, outcome="none",
    )  # fmt: skip


def test_right_advice_breaks_no_rule_that_looks_at_a_row_alone(splits):
    from parammem.validation.frame import build_frame

    rows = [_row(one, rules_text(one.key.facts)) for one in splits["train"]]
    evaluation = [one.task.text for one in splits["eval"]]
    frame = build_frame(rows, evaluation, 0.98, lambda text: parse_claims("english", text), kinds=kinds_of("english"))
    for name in ("advice_cut", "other_label", "advice_answer", "foreign", "secret", "evaluation_near", "task_cut"):
        assert not frame[name].any(), name
    assert set(frame["claims"]) == {2}
    assert frame["copied_words"].max() == 1


def test_another_world_has_other_words_for_the_same_things(splits):
    rows = [_row(one, rules_text(one.key.facts)) for one in splits["train"]]
    keys = {one.task.task_id: one.key for one in splits["train"]}
    made = relabelled(rows, keys, World(99, 0.9), "english")
    said = [claimed_in_order("english", row.reflection) for row in made]
    assert said == [claimed_in_order("english", row.reflection) for row in rows]
    same = sum(a.reflection == b.reflection for a, b in zip(rows, made, strict=True))
    assert 0 < same < len(rows) / 2


def test_the_majority_advice_is_in_plain_english(splits):
    rows = [_row(splits["train"][0], "write paid as done, late as due")]
    assert majority_advice("english", rows) == "write kilograms as kg, urgent as high, late as due, paid as done"


def test_params_may_name_the_domain(splits):
    assert isinstance(get_domain("english").judge, EnglishJudge)
    assert get_domain("log", kind="english").name == "log"


def test_what_failures_teach_is_asked_about_the_attempts_and_the_note(splits):
    """In the same form of examples as everything else: no place of a prompt is left open."""
    one, other = splits["train"][0].task, splits["train"][1].task
    said = Feedback(passed=False, text="kilograms should be 44 kilos")
    wrong = Attempt(number=1, text="44; paid", candidate="44; paid", temperature=0.2, feedback=said)
    right = wrong.model_copy(update={"candidate": "44 kilos; yes"})
    failure = DOMAIN.prompts.failure(one, wrong, Outcome(passed=False))
    contrast = DOMAIN.prompts.contrast(one, wrong, other, right)
    assert said.text in failure[-1].content
    for messages, shown in ((failure, ["44; paid"]), (contrast, ["44; paid", "44 kilos; yes"])):
        assert all(text in messages[-1].content for text in [one.text, *shown])
        assert [message.role for message in messages] == ["system", *["user", "assistant"] * 4, "user"]
        assert not any("<<" in message.content for message in messages)
