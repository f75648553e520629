"""The text a pocket model is pretrained on: every prompt form that a method uses, over worlds drawn anew for each text.

So the model learns to write solutions, to follow advice by how reliable it tends to be, and to diagnose; it learns
nothing of the world its agent will work in. Advice may be absent, complete, partial, wrong, contradictory or about
another kind. What is wanted of a reflection is what the feedback shows, whatever was said before. Earlier reflections
in a prompt are mostly right too, so in `reflect_diverse` the target mostly says again what one of them said: repeating
is not asked for, but it is what the texts show.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from parammem.core import Attempt, Feedback, Reflection, Task
from parammem.core.reflection import AdviceSource
from parammem.domains.conventions import CONVENTIONS, kinds_of, phrase
from parammem.domains.wording import CheckResult, Wording, feedback_text
from parammem.pocket.problems import Choices, ConventionCheck, Problem, draw_revealed, find_checks, solution
from parammem.pocket.relations import make_qa
from parammem.pocket.world import MAKERS

FORMS = {"actor": 0.62, "reflect": 0.13, "reflect_diverse": 0.06, "advise": 0.13, "hindsight": 0.06}
"""Share of each prompt form."""
DRILL = "recite"
"""The form of the texts before the mixture, which no method uses."""
STRENGTHS = (0.0, 0.5, 0.9, 1.0)
"""Regularity of the private world that a text's bank examples share with its task."""
BROKEN = {
    "code": ("error", "error", "error", "timeout", "memory", "denied", "output", "files", "threads", "exit", "crash"),
    "math": ("error",),
    "qa": ("nothing",),
}
"""What feedback says a candidate gave that gave no value."""
WORDING = Wording()


@dataclass(frozen=True)
class Text:
    """One prompt with its target."""

    domain: str
    form: str
    prompt: str
    target: str


@dataclass(frozen=True)
class Scene:
    """A task of a private world: what every form is written from."""

    domain: str
    kind: str
    problem: Problem
    gold: Choices
    table: dict[str, Choices]
    strength: float


def draw_text(rng: random.Random) -> Text:
    """Return one text of the mixture."""
    form = rng.choices(tuple(FORMS), tuple(FORMS.values()))[0]
    scene = _draw_scene(rng)
    prompt, target = {
        "actor": _actor,
        "reflect": _reflect,
        "reflect_diverse": _reflect_diverse,
        "advise": _advise,
        "hindsight": _hindsight,
    }[form](rng, scene)
    return Text(scene.domain, form, prompt, target)


def draw_recital(rng: random.Random) -> Text:
    """Return the facts of a passage again, in another order: eight look-ups in one text.

    A model that starts with these finds out at once how to look a word up in its prompt, and keeps it for all that
    follows; from solutions alone it did not in 18 million tokens (docs/log.md).
    """
    facts = [" ".join(fact) for fact in make_qa(rng, "", {}).facts]
    prompt = f"{DRILL} {' . '.join(facts)}"
    rng.shuffle(facts)
    return Text("qa", DRILL, prompt, f"facts {' . '.join(facts)}")


def advice_text(kind: str, choices: Choices) -> str:
    """Return advice in the pocket language: the kind it is about, then one phrase for each choice."""
    return " ; ".join([kind, phrase(choices)]) if choices else kind


def _draw_scene(rng: random.Random, like: Scene | None = None) -> Scene:
    """Return a new scene, or another task of the same private world."""
    domain = like.domain if like else rng.choice(tuple(CONVENTIONS))
    kinds = kinds_of(domain)
    table = like.table if like else {kind: _draw_values(rng, domain) for kind in kinds}
    strength = like.strength if like else rng.choice(STRENGTHS)
    kind = like.kind if like and rng.random() < 0.6 else rng.choice(tuple(kinds))
    strays = _draw_values(rng, domain)
    values = {name: table[kind][name] if rng.random() < strength else strays[name] for name in strays}
    problem = MAKERS[domain](rng, rng.choice(kinds[kind]), values)
    return Scene(domain, kind, problem, {name: values[name] for name in problem.open}, table, strength)


def _draw_values(rng: random.Random, domain: str) -> Choices:
    return {name: rng.choice(values) for name, values in CONVENTIONS[domain].items()}


def _shuffled(rng: random.Random, choices: Choices) -> Choices:
    names = list(choices)
    rng.shuffle(names)
    return {name: choices[name] for name in names}


def _mutated(rng: random.Random, scene: Scene, right: float, names: tuple[str, ...] | None = None) -> Choices:
    """Return the gold choices of these conventions, each right with this probability, else drawn from the other
    values."""
    values = CONVENTIONS[scene.domain]
    mutated = {}
    for name in names or tuple(scene.gold):
        others = [value for value in values[name] if value != scene.gold[name]]
        mutated[name] = scene.gold[name] if rng.random() < right else rng.choice(others)
    return mutated


def _task(problem: Problem) -> Task:
    return Task.model_construct(task_id="", domain=problem.domain, text=problem.text, visible={})


def _piece(text: str, source: AdviceSource) -> Reflection:
    return Reflection.model_construct(text=text, source=source, author="", iteration=1, temperature=1.0)


def _attempt(problem: Problem, choices: Choices, feedback: str = "") -> Attempt:
    return Attempt.model_construct(
        number=1,
        text="",
        candidate=solution(problem, choices),
        temperature=1.0,
        feedback=Feedback.model_construct(passed=False, text=feedback),
    )


def _advice(rng: random.Random, scene: Scene) -> Reflection:
    """Return advice from elsewhere: mostly complete and right, sometimes partial, about another kind, or wrong."""
    luck, kind = rng.random(), scene.kind
    if luck < 0.72:
        choices = scene.gold
    elif luck < 0.88:
        names = tuple(name for name in scene.gold if rng.random() < 0.7)
        choices = _mutated(rng, scene, 0.95, names) if names else {}
    elif luck < 0.96:
        kind = rng.choice([k for k in kinds_of(scene.domain) if k != scene.kind])
        strays = _draw_values(rng, scene.domain)
        choices = {name: strays[name] for name in rng.sample(tuple(strays), rng.choice((2, 3)))}
    else:
        choices = _mutated(rng, scene, 0.5)
    return _piece(advice_text(kind, _shuffled(rng, choices)), "parametric")


def _own_reflections(rng: random.Random, scene: Scene, count: int) -> list[Reflection]:
    """Return what the agent concluded from failed checks: the revealed conventions, nearly always right."""
    revealed = draw_revealed(rng, scene.problem.open)
    pieces = []
    for _ in range(count):
        known = {name: value for name, value in _mutated(rng, scene, 0.97, revealed).items() if rng.random() < 0.95}
        if rng.random() < 0.1:  # a guess beyond what the checks revealed
            known |= _mutated(rng, scene, 0.5, (rng.choice(scene.problem.open),))
        pieces.append(_piece(advice_text(scene.kind, _shuffled(rng, known)), "self"))
    return pieces


def _examples(rng: random.Random, scene: Scene) -> list[tuple[Task, Attempt]]:
    """Return up to two tasks of the same world whose attempts passed their visible checks: four choices in five are
    right."""
    shown = []
    for _ in range(rng.choices((0, 1, 2), (0.84, 0.06, 0.1))[0]):
        other = _draw_scene(rng, like=scene)
        shown.append((_task(other.problem), _attempt(other.problem, _mutated(rng, other, 0.8))))
    return shown


def _actor(rng: random.Random, scene: Scene) -> tuple[str, str]:
    reflections = _own_reflections(rng, scene, rng.choices((0, 1, 2, 3, 4), (0.5, 0.2, 0.14, 0.1, 0.06))[0])
    advice = [_advice(rng, scene) for _ in range(rng.choices((0, 1, 2, 5), (0.25, 0.68, 0.05, 0.02))[0])]
    messages = WORDING.actor(_task(scene.problem), [*reflections, *advice], _examples(rng, scene))
    return messages[0].content, solution(scene.problem, scene.gold)


def _failed_attempt(rng: random.Random, scene: Scene) -> tuple[Attempt, tuple[str, ...]]:
    """Return an attempt with wrong choices that some visible check caught, and which conventions the checks reveal."""
    revealed = draw_revealed(rng, scene.problem.open)
    checks = {name: find_checks(scene.problem, rng, name, 1) for name in revealed}
    checks = {name: found for name, found in checks.items() if found}
    choices = _mutated(rng, scene, 0.6)
    if checks and all(choices[name] == scene.gold[name] for name in checks):
        choices |= _mutated(rng, scene, 0.0, (rng.choice(tuple(checks)),))
    broken = rng.random() < 0.04
    words = {name: rng.choice(BROKEN[scene.domain]) if broken else "" for name in checks}
    results = [_result(scene, choices, name, found[0], words[name]) for name, found in checks.items()]
    return _attempt(scene.problem, choices, feedback_text(results)), tuple(checks)


def _result(scene: Scene, choices: Choices, name: str, check: ConventionCheck, broken: str) -> CheckResult:
    """Return a check of a candidate with these choices; of one that came to nothing if `broken` says how."""
    shown = f"{name} of {check.instance['of']}" if scene.domain == "qa" else name
    expected = check.outcomes[scene.gold[name]]
    if broken:
        return CheckResult(shown, ok=False, expected=expected, got=broken)
    ok = choices[name] == scene.gold[name]
    return CheckResult(shown, ok=ok, expected=expected, got=str(check.outcomes[choices[name]]))


def _diagnosis(rng: random.Random, scene: Scene, revealed: tuple[str, ...]) -> str:
    """Return what the feedback shows, and nothing beyond it."""
    return advice_text(scene.kind, _shuffled(rng, {name: scene.gold[name] for name in revealed}))


def _reflect(rng: random.Random, scene: Scene) -> tuple[str, str]:
    attempt, revealed = _failed_attempt(rng, scene)
    messages = WORDING.reflect(_task(scene.problem), [attempt], [], diverse=False)
    return messages[0].content, _diagnosis(rng, scene, revealed)


def _reflect_diverse(rng: random.Random, scene: Scene) -> tuple[str, str]:
    attempt, revealed = _failed_attempt(rng, scene)
    earlier = []
    for _ in range(rng.choice((0, 1, 2, 3, 4))):
        said = _mutated(rng, scene, 0.9, revealed) if revealed else {}
        earlier.append(_piece(advice_text(scene.kind, _shuffled(rng, said)), "self"))
    messages = WORDING.reflect(_task(scene.problem), [attempt], earlier, diverse=True)
    return messages[0].content, _diagnosis(rng, scene, revealed)


def _advise(rng: random.Random, scene: Scene) -> tuple[str, str]:
    messages = WORDING.advise(scene.problem.text)
    return messages[0].content, advice_text(scene.kind, _shuffled(rng, scene.gold))


def _hindsight(rng: random.Random, scene: Scene) -> tuple[str, str]:
    messages = WORDING.hindsight(_task(scene.problem), _attempt(scene.problem, scene.gold))
    return messages[0].content, advice_text(scene.kind, _shuffled(rng, scene.gold))
