"""Multi-hop answers by the official rules; prompts that show passages to the actor and hide them from the reflector."""

from __future__ import annotations

import pytest

from parammem.core import AnswerKey, Attempt, Feedback, Reflection, Task
from parammem.domains import get_domain
from parammem.domains.prose import filled
from parammem.domains.real_qa import RealQaJudge, RealQaPrompts, exact_match, f1, with_passages

TEXT = with_passages("Who made the gate?", [("Gate", ["Made by {Lie}.", " In <<1900>>."])])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("I think so.\nAnswer: Ida Holm.", "Ida Holm"),
        ('Answer: Bo\nNo, wait.\n**Answer:** The "Ida" Holm', 'The "Ida" Holm'),
        ("The answer is 1900", "1900"),
        ("\nIda Holm\n\n", "Ida Holm"),
        ("", ""),
    ],
)
def test_the_answer_is_what_the_last_answer_line_says(text, answer):
    assert RealQaPrompts().parse(text) == answer


@pytest.mark.parametrize(
    ("answer", "gold", "match", "value"),
    [
        ("the Ida  Holm!", "Ida Holm", True, 1.0),
        ("Ida", "Ida Holm", False, 2 / 3),
        ("Ida Ida Holm", "Ida Holm", False, 0.8),
        ("yes", "yes they are", False, 0.0),
        ("no", "No", True, 1.0),
        ("Bo", "Ida Holm", False, 0.0),
        ("", "Ida Holm", False, 0.0),
    ],
)
def test_exact_match_and_f1_are_the_official_ones(answer, gold, match, value):
    assert exact_match(answer, gold) is match
    assert f1(answer, gold) == pytest.approx(value)
    task = Task(task_id="t", domain="qa", text="?")
    key = AnswerKey(task_id="t", domain="qa", hidden={"answer": gold}, gold="")
    (score,) = RealQaJudge().score([(task, key, answer)])
    assert not isinstance(score, Exception)
    assert (score.passed, score.value) == (match, pytest.approx(value))


def test_the_actor_sees_passages_notes_and_advice_and_the_reflector_the_question_alone():
    prompts, task = RealQaPrompts(), Task(task_id="t", domain="qa", text=TEXT)
    pieces = [
        Reflection(text="Read all.", source="self", author="a", iteration=2, temperature=1.0),
        Reflection(text="Look for makers.", source="parametric", author="b", iteration=2, temperature=1.0),
    ]
    system, user = prompts.actor(task, pieces, ())
    assert system.role == "system"
    assert user.content.index("{Lie}") < user.content.index("Read all.") < user.content.index("Look for makers.")
    assert "<<1900>>" in user.content
    assert "Lie" not in prompts.advise(TEXT)[-1].content
    assert "Lie" not in prompts.teach(TEXT)[-1].content


@pytest.mark.parametrize("style", ["code", "math", "qa"])
def test_every_style_has_every_prompt_and_each_fills_all_its_names(style):

    domain = get_domain(style, real=True)
    task = Task(task_id="t", domain=style, text="the task")
    attempt = Attempt(
        number=1, text="an attempt", candidate="c", temperature=0.2, feedback=Feedback(passed=False, text="it failed")
    )
    note = Reflection(text="a note", source="self", author="a", iteration=2, temperature=1.0)
    prompts = {
        "actor": domain.prompts.actor(task, [note], [(task, attempt)]),
        "reflect": domain.prompts.reflect(task, [attempt], [], False),
        "diverse": domain.prompts.reflect(task, [attempt], [note], True),
        "advise": domain.prompts.advise("the task"),
        "hindsight": domain.prompts.hindsight(task, attempt),
        "teach": domain.prompts.teach("the task"),  # pyright: ignore[reportAttributeAccessIssue]
    }
    for name, (system, user) in prompts.items():
        assert system.content
        assert "the task" in user.content, name
        assert "<<" not in user.content, name
    assert "it failed" in prompts["reflect"][1].content
    assert "a note" in prompts["diverse"][1].content
    assert "a note" not in prompts["reflect"][1].content


def test_what_is_filled_in_is_not_looked_at_again():
    assert filled("a <<x>> b <<y>>", {"x": "<<y>> {0}", "y": "2"}) == "a <<y>> {0} b 2"
    with pytest.raises(KeyError):
        filled("<<z>>", {})
