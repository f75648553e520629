"""The feedback that the mixture teaches is, word for word, the feedback that the domains give."""

from __future__ import annotations

import random
from collections import defaultdict

from parammem.core import Feedback, Task
from parammem.domains import get_domain
from parammem.domains.conventions import CONVENTIONS
from parammem.domains.wording import feedback_text
from parammem.pocket.mixture import BROKEN as WORDS
from parammem.pocket.mixture import Scene, _draw_scene, _result
from parammem.pocket.problems import ConventionCheck, all_choices, find_checks, solution
from parammem.pocket.world import _visible

BROKEN = {"code": "# limit inside\ndef f(xs, k):\n    return zs", "math": "plan cut flat", "qa": "answer rome"}
"""Attempts that come to nothing: a program that raises, no formula, no plan."""


def scenes(count: int) -> dict[str, list[tuple[Scene, dict[str, ConventionCheck]]]]:
    """Random problems with one check for each of their open conventions, by domain."""
    rng, found = random.Random(5), defaultdict(list)
    for _ in range(count):
        scene = _draw_scene(rng)
        checks = {name: find_checks(scene.problem, rng, name, 1) for name in scene.problem.open}
        found[scene.domain].append((scene, {name: some[0] for name, some in checks.items() if some}))
    return found


def task_of(scene: Scene, checks: dict[str, ConventionCheck]) -> Task:
    visible = _visible(scene.problem, scene.gold, list(checks.values()))
    task = Task(task_id="1", domain=scene.domain, text=scene.problem.text, visible=visible)
    return Task.model_validate_json(task.line())  # as it comes out of a file


def test_the_mixture_words_feedback_as_the_domains_do():
    found = scenes(90)
    assert set(found) == set(CONVENTIONS)
    rng = random.Random(6)
    for name, drawn in found.items():
        items, texts = [], []
        for scene, checks in drawn:
            choices = rng.choice(list(all_choices(scene.problem)))
            items.append((task_of(scene, checks), solution(scene.problem, choices)))
            texts.append(feedback_text([_result(scene, choices, n, c, broken="") for n, c in checks.items()]))
        said = get_domain(name).judge.check(items)
        assert [f.text for f in said if isinstance(f, Feedback)] == texts
        assert sum(" expected " in text for text in texts) > 5


def test_the_mixture_words_broken_attempts_as_the_domains_do():
    for name, drawn in scenes(30).items():
        items = [(task_of(scene, checks), BROKEN[name]) for scene, checks in drawn if checks]
        texts = [
            feedback_text([_result(scene, scene.gold, n, c, broken=WORDS[name][0]) for n, c in checks.items()])
            for scene, checks in drawn
            if checks
        ]
        said = get_domain(name).judge.check(items)
        assert [f.text for f in said if isinstance(f, Feedback)] == texts


def test_the_mixture_knows_every_word_for_a_program_that_gave_no_value():
    from typing import get_args

    from parammem.domains.code import WORDS as SHORT
    from parammem.sandbox.jobs import ExecutionOutcome

    kinds = set(get_args(ExecutionOutcome.model_fields["kind"].annotation)) - {"value"}
    assert {SHORT.get(kind, kind) for kind in kinds} == set(WORDS["code"])
