"""solve(): the reflection loop, on one page.

It is written for one task, as a generator that yields what it needs (a completion, a visible check) and is sent the
result, so that `run_all` can advance any number of tasks together. It takes a Task and never an AnswerKey: an agent
has prompts and visible checks, and no judge that could tell it a hidden verdict.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from parammem.agents.methods import Method
from parammem.core import Attempt, Failure, Feedback, Reflection, Stop, Task, Trajectory, Usage, digest_of
from parammem.domains.base import Example, Prompts, VisibleChecks
from parammem.engines.base import Completion, Engine, Message, Request
from parammem.reflectors.base import Reflector


@dataclass(frozen=True)
class Ask:
    """Something that an engine must write. The answer is a Completion."""

    engine: Engine
    request: Request


@dataclass(frozen=True)
class Check:
    """A candidate that the visible checks must judge. The answer is a Feedback."""

    checks: VisibleChecks
    task: Task
    candidate: str


Step = Ask | Check
Answer = Completion | Feedback


@dataclass(frozen=True)
class Budget:
    """What every method of a comparison has alike."""

    iterations: int
    first_temperature: float
    later_temperature: float
    reflector_temperature: float
    max_tokens: int
    max_advice_tokens: int
    stop: tuple[str, ...] = ()
    """An attempt ends before the first of these."""
    reflected: tuple[int, ...] | None = None
    """Attempts, counted from the first of a phase, that are reflected on if they fail; None: every one but the last."""


@dataclass(frozen=True)
class Agent:
    """A method with its parts."""

    method: Method
    prompts: Prompts
    checks: VisibleChecks
    actor: Engine
    budget: Budget
    reflector: Reflector | None = None
    arm: str = ""
    """How trajectories name it; the method's name if empty."""


@dataclass
class _Log:
    """What a trajectory is made from while it grows."""

    attempts: list[Attempt] = field(default_factory=list)
    reflections: list[Reflection] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)


def solve(
    agent: Agent, task: Task, seed: int, examples: Sequence[Example] = (), protocol: str = "strict", first: int = 1
) -> Generator[Step, Answer, Trajectory]:
    """Run one agent on one task, return its trajectory: at most `budget.iterations` attempts, until the visible checks
    pass.

    Without a visible verdict all iterations run. An exception is recorded on the trajectory and goes no further.

    Args:
        first: number of the first iteration; a second phase goes on counting, and so draws anew.
    """
    log, number = _Log(), first
    stop: Stop = "iterations"
    failure = None
    last = first - 1 + (agent.budget.iterations if agent.method.tries == "all" else 1)
    try:
        for number in range(first, last + 1):
            advice = yield from _advice(agent, task, seed, number, log)
            attempt = yield from _attempt(agent, task, seed, number, advice, examples, log)
            if attempt.feedback.passed:
                stop = "visible-pass"
                break
            if agent.method.reflects != "no" and number < last and _reflected(agent.budget, number - first + 1):
                yield from _reflect(agent, task, seed, number, log)
    except Exception as error:  # one bad task is data, not the end of its neighbours
        stop, failure = "failed", Failure(kind=type(error).__name__, message=str(error)[:500], iteration=number)
    return Trajectory(
        task_id=task.task_id,
        domain=task.domain,
        method=agent.arm or agent.method.name,
        protocol=protocol,
        seed=seed,
        attempts=tuple(log.attempts),
        reflections=tuple(log.reflections),
        examples=tuple(seen.task_id for seen, _ in examples),
        stop=stop,
        submission=submission(log.attempts),
        usage=log.usage,
        failure=failure,
    )


def _reflected(budget: Budget, place: int) -> bool:
    return budget.reflected is None or place in budget.reflected


def submission(attempts: Sequence[Attempt]) -> int | None:
    """Return the number of the attempt that is submitted, by a fixed rule.

    The attempt that passed its visible checks; else the last one; and where no attempt has a visible verdict,
    the last of those with the most frequent candidate.
    """
    if not attempts:
        return None
    passed = [a.number for a in attempts if a.feedback.passed]
    if passed:
        return passed[0]
    if any(a.feedback.passed is not None for a in attempts):
        return attempts[-1].number
    candidates = [a.candidate for a in attempts]
    most = max(candidates.count(candidate) for candidate in candidates)
    return max(a.number for a in attempts if candidates.count(a.candidate) == most)


def _advice(agent: Agent, task: Task, seed: int, number: int, log: _Log) -> Generator[Step, Answer, list[Reflection]]:
    """Return this iteration's advice from elsewhere, if the method has any: r^g_k of the paper."""
    reflector = agent.reflector
    if agent.method.advisor == "none" or reflector is None:
        return []
    if reflector.kind == "text":
        text, cut, temperature = reflector.text(task, number), False, 0.0
    else:
        temperature = agent.budget.reflector_temperature
        text, cut = yield from _ask(
            log,
            "reflector",
            reflector.engine,
            _request(agent, task, seed, number, reflector.messages(task), temperature, True),
        )
    piece = Reflection(
        text=text, source=reflector.source, author=reflector.author, iteration=number, temperature=temperature, cut=cut
    )
    log.reflections.append(piece)
    return [piece]


def _attempt(
    agent: Agent, task: Task, seed: int, number: int, advice: list[Reflection], examples: Sequence[Example], log: _Log
) -> Generator[Step, Answer, Attempt]:
    """Return y_k ~ p(. | task, own reflections so far, this iteration's advice, examples), and what the visible checks
    say."""
    own = [piece for piece in log.reflections if piece.source == "self"]
    temperature = agent.budget.first_temperature if number == 1 else agent.budget.later_temperature
    messages = agent.prompts.actor(task, [*own, *advice], examples)
    text, _ = yield from _ask(
        log, "actor", agent.actor, _request(agent, task, seed, number, messages, temperature, False)
    )
    candidate = agent.prompts.parse(text, task)
    feedback = yield Check(agent.checks, task, candidate)
    assert isinstance(feedback, Feedback)
    attempt = Attempt(number=number, text=text, candidate=candidate, temperature=temperature, feedback=feedback)
    log.attempts.append(attempt)
    return attempt


def _reflect(agent: Agent, task: Task, seed: int, number: int, log: _Log) -> Generator[Step, Answer, None]:
    """Ask for the agent's own reflection on its failed attempts: r_k of the paper."""
    own = [piece for piece in log.reflections if piece.source == "self"]
    temperature = agent.budget.later_temperature
    messages = agent.prompts.reflect(task, log.attempts, own, diverse=agent.method.reflects == "diverse")
    request = _request(agent, task, seed, number, messages, temperature, True)
    text, cut = yield from _ask(log, "self-reflection", agent.actor, request)
    log.reflections.append(
        Reflection(
            text=text,
            source="self",
            author=agent.actor.digest,
            iteration=number + 1,
            temperature=temperature,
            cut=cut,
        )
    )


def _ask(log: _Log, role: str, engine: Engine, request: Request) -> Generator[Step, Answer, tuple[str, bool]]:
    """Return what the engine wrote, and whether the token limit ended it."""
    completion = yield Ask(engine, request.model_copy(update={"role": role}))
    assert isinstance(completion, Completion)
    used = log.usage.get(role, Usage())
    log.usage[role] = used.plus(1, completion.prompt_tokens, completion.completion_tokens)
    return completion.text.strip(), completion.finish == "length"


def _request(
    agent: Agent, task: Task, seed: int, number: int, messages: tuple[Message, ...], temperature: float, advice: bool
) -> Request:
    """Return a request. Methods draw with common random numbers: the same prompt at the same iteration gives the same
    text to each."""
    return Request(
        messages=messages,
        temperature=temperature,
        max_tokens=agent.budget.max_advice_tokens if advice else agent.budget.max_tokens,
        stop=() if advice else agent.budget.stop,
        seed=int(digest_of([seed, task.task_id])[:12], 16),
        first_draw=number - 1,
    )
