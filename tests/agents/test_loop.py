"""Facts about the reflection loop: what each method asks, when, how warm, and what is submitted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parammem.agents.loop import solve, submission
from parammem.agents.methods import METHODS, get_method
from parammem.agents.run import run_all
from parammem.core import Attempt, Feedback, Task, Trajectory
from parammem.domains.base import Example
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import ConfigError
from tests.agents.worlds import BUDGET, Echo, actor_says, attempts_of, make_agent, prompt_of, task

ALL_TRIES = [name for name, method in METHODS.items() if method.tries == "all"]


def work(method: str, engine: ScriptedEngine, seed: int = 3, examples: tuple[Example, ...] = (), **changes):
    """One agent on one task."""
    (trajectory,) = run_all([solve(make_agent(method, engine, **changes), task(), seed, examples)])
    return trajectory


def attempt(number: int, passed: bool | None, candidate: str = "x") -> Attempt:
    said = Feedback(passed=passed, text="")
    return Attempt(number=number, text=candidate, candidate=candidate, temperature=1.0, feedback=said)


def calls_of_actor(trajectory: Trajectory) -> int:
    return trajectory.usage["actor"].calls


@pytest.mark.parametrize("method", ALL_TRIES)
def test_every_method_has_the_same_number_of_actor_calls_on_a_task_that_never_passes(method):
    engine = actor_says("wrong")
    trajectory = work(method, engine)
    assert calls_of_actor(trajectory) == len(attempts_of(engine)) == 5
    assert [a.number for a in trajectory.attempts] == [1, 2, 3, 4, 5]
    assert (trajectory.stop, trajectory.submission, trajectory.failure) == ("iterations", 5, None)


def test_base_makes_one_attempt():
    trajectory = work("base", actor_says("wrong"))
    assert (len(trajectory.attempts), trajectory.stop, trajectory.submission) == (1, "iterations", 1)


def test_resample_neither_reflects_nor_is_advised():
    engine = actor_says("wrong")
    trajectory = work("resample", engine)
    assert trajectory.reflections == ()
    assert {prompt_of(request) for request in engine.requests} == {"question 1\nsolve"}
    assert set(trajectory.usage) == {"actor"}


def test_reflexion_shows_all_its_own_reflections_in_order():
    engine = actor_says("wrong")
    trajectory = work("reflexion", engine)
    assert [prompt_of(request) for request in attempts_of(engine)] == [
        "question 1\n" + "".join(f"reflection own {k}\n" for k in range(shown)) + "solve" for shown in range(5)
    ]
    assert [(r.text, r.source, r.iteration) for r in trajectory.reflections] == [
        (f"own {k}", "self", k + 2) for k in range(4)
    ]


def test_nothing_is_reflected_on_after_the_last_attempt():
    engine = actor_says("wrong")
    trajectory = work("reflexion", engine)
    assert trajectory.usage["self-reflection"].calls == 4
    assert prompt_of(engine.requests[-1]).endswith("solve")


def test_a_plain_reflection_sees_the_last_attempt_with_its_feedback_and_no_earlier_reflection():
    engine = actor_says(lambda prompt, draw: f"wrong {draw}")
    work("reflexion", engine)
    asked = [prompt_of(r) for r in engine.requests if prompt_of(r).endswith("reflect")]
    assert asked == [f"question 1\nattempt\nwrong {k}\nfeedback said wrong {k}\nreflect" for k in range(4)]


@pytest.mark.parametrize("method", ["dot", "dot_bank"])
def test_the_diverse_prompt_lists_the_earlier_reflections(method):
    engine = actor_says("wrong")
    work(method, engine)
    asked = [prompt_of(r) for r in engine.requests if prompt_of(r).endswith("reflect anew")]
    assert [[line for line in prompt.splitlines() if line.startswith("earlier")] for prompt in asked] == [
        [f"earlier own {k}" for k in range(shown)] for shown in range(4)
    ]


@pytest.mark.parametrize("method", ["paramagent", "paramagent_plus"])
def test_paramagent_sees_its_own_reflections_and_this_iteration_s_advice_alone(method):
    engine = actor_says("wrong")
    trajectory = work(method, engine)
    for number, request in enumerate(attempts_of(engine), 1):
        own = [f"reflection own {k}" for k in range(number - 1)]
        assert prompt_of(request).splitlines() == ["question 1", *own, f"advice advice {number - 1}", "solve"]
    advised = [r for r in trajectory.reflections if r.source == "parametric"]
    assert [r.iteration for r in advised] == [1, 2, 3, 4, 5]
    assert {r.author for r in advised} == {"adapter"}
    assert trajectory.usage["reflector"].calls == 5


def test_retrieved_uses_the_row_of_the_iteration_s_number_and_costs_no_tokens():
    engine = actor_says("wrong")
    trajectory = work("retrieved", engine)
    shown = [[line for line in prompt_of(r).splitlines() if line.startswith("advice")] for r in attempts_of(engine)]
    assert shown == [[f"advice row {k}"] for k in range(1, 6)]
    assert "reflector" not in trajectory.usage
    assert [r.temperature for r in trajectory.reflections if r.source == "retrieved"] == [0.0] * 5


def test_temperatures_follow_the_paper():
    engine = actor_says("wrong")
    trajectory = work("paramagent", engine)
    assert [r.temperature for r in attempts_of(engine)] == [0.2, 1.0, 1.0, 1.0, 1.0]
    assert [a.temperature for a in trajectory.attempts] == [0.2, 1.0, 1.0, 1.0, 1.0]
    assert {r.temperature for r in engine.requests if prompt_of(r).endswith("advise")} == {0.7}
    assert {r.temperature for r in engine.requests if prompt_of(r).endswith("reflect")} == {1.0}


def test_an_attempt_ends_at_the_stop_string_and_advice_does_not():
    engine = ScriptedEngine(lambda request, draw: "wrong STOP and why it is so")
    agent = make_agent("paramagent", engine)
    agent = replace(agent, budget=replace(agent.budget, stop=("STOP",)))
    (trajectory,) = run_all([solve(agent, task(), 3)])
    assert {a.text for a in trajectory.attempts} == {"wrong"}
    assert all("why it is so" in r.text for r in trajectory.reflections if r.source == "self")


def test_attempts_and_advice_have_token_limits_of_their_own():
    engine = actor_says("wrong")
    work("paramagent", engine)
    assert {r.max_tokens for r in attempts_of(engine)} == {50}
    assert {r.max_tokens for r in engine.requests if not prompt_of(r).endswith("solve")} == {12}


@pytest.mark.parametrize("method", list(METHODS))
def test_a_visible_pass_ends_the_loop_and_is_submitted(method):
    engine = actor_says(lambda prompt, draw: "good" if draw == (0 if method == "base" else 2) else "wrong")
    trajectory = work(method, engine)
    last = 1 if method == "base" else 3
    assert (trajectory.stop, trajectory.submission) == ("visible-pass", last)
    assert len(trajectory.attempts) == calls_of_actor(trajectory) == last
    assert trajectory.submitted is not None
    assert trajectory.submitted.candidate == "good"
    assert all(r.iteration <= last for r in trajectory.reflections)


def test_without_a_visible_verdict_all_iterations_run():
    trajectory = work("reflexion", actor_says(lambda prompt, draw: "blind a" if draw in (1, 2) else f"blind {draw}"))
    assert (len(trajectory.attempts), trajectory.stop) == (5, "iterations")
    assert trajectory.submission == 3


@pytest.mark.parametrize(
    ("attempts", "number"),
    [
        ([], None),
        ([(1, False), (2, True)], 2),
        ([(1, True), (2, False), (3, True)], 1),
        ([(1, False), (2, False), (3, False)], 3),
        ([(1, None), (2, False), (3, None)], 3),
        ([(6, False), (7, False)], 7),
    ],
)
def test_the_attempt_that_passed_is_submitted_else_the_last(attempts, number):
    assert submission([attempt(n, passed) for n, passed in attempts]) == number


@pytest.mark.parametrize(
    ("candidates", "number"), [("a", 1), ("abc", 3), ("aba", 3), ("aab", 2), ("abab", 4), ("abbaa", 5), ("abbac", 4)]
)
def test_without_visible_verdicts_the_last_of_the_most_frequent_candidates_is_submitted(candidates, number):
    assert submission([attempt(n, None, c) for n, c in enumerate(candidates, 1)]) == number


def test_a_second_phase_counts_on_and_draws_anew():
    engine = actor_says("wrong")
    agent = make_agent("paramagent", engine)
    first, second = (run_all([solve(agent, task(), 3, (), "two-phase", first=f)])[0] for f in (1, 6))
    assert [a.number for a in second.attempts] == [6, 7, 8, 9, 10]
    assert [a.temperature for a in second.attempts] == [1.0] * 5
    assert [r.first_draw for r in attempts_of(engine)] == list(range(10))
    assert {r.iteration for r in second.reflections} == {6, 7, 8, 9, 10}
    assert second.submission == 10
    assert first.trajectory_id == second.trajectory_id


def test_draws_differ_by_iteration_and_seeds_by_task_and_run():
    engine = actor_says("wrong")
    agent = make_agent("resample", engine)
    run_all([solve(agent, task(number), seed) for number in (1, 2) for seed in (3, 4)])
    assert len({(r.seed, r.first_draw) for r in engine.requests}) == len(engine.requests) == 20
    assert {r.n for r in engine.requests} == {1}


def test_methods_share_random_numbers():
    """The same prompt at the same iteration is the same request, whatever the method: its answer is the same too."""
    asked = {}
    for method in METHODS:
        engine = actor_says("wrong")
        work(method, engine)
        asked[method] = attempts_of(engine)
    randomness = {method: [(r.seed, r.first_draw) for r in requests] for method, requests in asked.items()}
    assert {tuple(found) for method, found in randomness.items() if method != "base"} == {tuple(randomness["resample"])}
    assert randomness["base"] == randomness["resample"][:1]
    assert len({asked[method][0] for method in ("base", "resample", "reflexion", "dot", "dot_bank")}) == 1


def test_bank_examples_are_shown_in_every_attempt_and_named_on_the_trajectory():
    seen = (task(7), attempt(1, True, "good plan\nbody"))
    engine = actor_says("wrong")
    trajectory = work("dot_bank", engine, examples=(seen,))
    assert trajectory.examples == ("math-7",)
    assert all(prompt_of(r).startswith("example question 7\ngood plan\nquestion 1\n") for r in attempts_of(engine))


def test_usage_is_kept_by_role():
    trajectory = work("paramagent", actor_says("wrong answer"))
    assert {role: used.calls for role, used in trajectory.usage.items()} == {
        "actor": 5,
        "reflector": 5,
        "self-reflection": 4,
    }
    assert trajectory.usage["actor"].completion_tokens == 10
    assert trajectory.usage["reflector"].prompt_tokens == 5 * len("question 1 advise".split())


def test_a_trajectory_says_what_made_it():
    agent = make_agent("paramagent", actor_says("good"), arm="paramagent.untrained")
    (named,) = run_all([solve(agent, task(4), 9, protocol="two-phase")])
    assert (named.method, named.protocol, named.seed) == ("paramagent.untrained", "two-phase", 9)
    assert (named.task_id, named.domain) == ("math-4", "math")
    assert work("dot", actor_says("good")).method == "dot"


def test_the_budget_sets_the_number_of_attempts():
    for iterations in (1, 2, 10):
        trajectory = work("reflexion", actor_says("wrong"), budget=replace(BUDGET, iterations=iterations))
        assert len(trajectory.attempts) == iterations


def test_a_task_and_seed_give_the_same_trajectory_again():
    one, other = (work("dot", actor_says(lambda prompt, draw: f"wrong {draw}")) for _ in range(2))
    assert one.line() == other.line()


def test_an_attempt_keeps_what_the_actor_wrote_and_what_was_read_from_it():
    class Cut(Echo):
        def parse(self, text: str, task: Task | None = None) -> str:
            return text.split(" ; ")[0]

    trajectory = work("base", actor_says("good one ; chatter"), echo=Cut())
    assert (trajectory.attempts[0].text, trajectory.attempts[0].candidate) == ("good one ; chatter", "good one")


def test_methods_are_those_of_the_paper_and_an_unknown_one_names_them():
    assert set(METHODS) == {
        "base", "resample", "reflexion", "dot", "dot_bank", "retrieved", "paramagent", "paramagent_plus",
    }  # fmt: skip
    assert {name for name, method in METHODS.items() if method.bank} == {"dot_bank", "paramagent_plus"}
    with pytest.raises(ConfigError, match="no method 'cot'; known: base, resample, reflexion"):
        get_method("cot")


def test_solve_takes_a_task():
    with pytest.raises(AttributeError):
        run_all([solve(make_agent("base", actor_says("good")), "question", 3)])  # pyright: ignore[reportArgumentType]
    assert isinstance(task(), Task)


def test_a_reflection_that_the_limit_cut_is_marked():
    engine = ScriptedEngine(lambda request, draw: "wrong " * 200 if request.role == "self-reflection" else "wrong")
    agent = make_agent("reflexion", engine)
    made = run_all([solve(agent, task(), 0)])[0]
    assert made.reflections
    assert all(piece.cut for piece in made.reflections)
    short = make_agent("reflexion", ScriptedEngine(lambda request, draw: "wrong"))
    assert not any(piece.cut for piece in run_all([solve(short, task(), 0)])[0].reflections)
