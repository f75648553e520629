"""Parts for tests of agents: checks whose verdicts are the candidate's own words, engines, and reflectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from parammem.agents.loop import Agent, Budget
from parammem.agents.methods import METHODS
from parammem.core import Feedback, Task
from parammem.core.reflection import AdviceSource
from parammem.domains.conventions import parse_claims
from parammem.domains.wording import Wording
from parammem.engines.base import Engine, Message, Request, chat
from parammem.engines.scripted import ScriptedEngine
from parammem.reflectors.base import Reflector

BUDGET = Budget(
    iterations=5,
    first_temperature=0.2,
    later_temperature=1.0,
    reflector_temperature=0.7,
    max_tokens=50,
    max_advice_tokens=12,
)


@dataclass(frozen=True)
class Echo(Wording):
    """Prompts and checks in one. A candidate passes if it is `good`; `blind` means there is no visible verdict; `bad`
    cannot be judged."""

    checked: list[list[str]] = field(default_factory=list)
    """The candidates of every call of `check`."""

    def parse(self, text: str, task: Task | None = None) -> str:
        return text

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        self.checked.append([candidate for _, candidate in items])
        return [self._judge(candidate) for _, candidate in items]

    def _judge(self, candidate: str) -> Feedback | Exception:
        word = candidate.split()[0] if candidate.split() else ""
        if word == "bad":
            return ValueError("this one cannot be judged")
        return Feedback(passed=None if word == "blind" else word == "good", text=f"said {candidate}")

    def hypotheses(self, advice: str) -> frozenset[str]:
        return parse_claims("math", advice)


@dataclass(frozen=True)
class Sampled:
    """A reflector that asks an engine."""

    engine: Engine
    kind: Literal["sampling"] = "sampling"
    source: AdviceSource = "parametric"
    author: str = "adapter"

    def messages(self, task: Task) -> tuple[Message, ...]:
        return chat(f"{task.text}\nadvise")


@dataclass(frozen=True)
class Told:
    """A reflector that knows its texts."""

    kind: Literal["text"] = "text"
    source: AdviceSource = "retrieved"
    author: str = "rows"

    def text(self, task: Task, iteration: int) -> str:
        return f"row {iteration}"


def task(number: int = 1, text: str = "") -> Task:
    return Task(task_id=f"math-{number}", domain="math", text=text or f"question {number}")


def prompt_of(request: Request) -> str:
    return request.messages[-1].content


def actor_says(words: Callable[[str, int], str] | str) -> ScriptedEngine:
    """An engine for all roles: attempts by `words` of (prompt, draw), and numbered reflections and advice."""

    def reply(request: Request, draw: int) -> str:
        prompt = prompt_of(request)
        if prompt.endswith("solve"):
            return words if isinstance(words, str) else words(prompt, draw)
        return f"advice {draw}" if prompt.endswith("advise") else f"own {draw}"

    return ScriptedEngine(reply)


def attempts_of(engine: ScriptedEngine) -> list[Request]:
    return [request for request in engine.requests if prompt_of(request).endswith("solve")]


def make_agent(method: str, engine: Engine, echo: Echo | None = None, **changes) -> Agent:
    """An agent of this method with whatever reflector it needs."""
    advisor = METHODS[method].advisor
    reflectors: dict[str, Reflector | None] = {"none": None, "parametric": Sampled(engine), "retrieved": Told()}
    fields = {"budget": BUDGET, "reflector": reflectors[advisor]} | changes
    echo = echo or Echo()
    return Agent(method=METHODS[method], prompts=echo, checks=echo, actor=engine, **fields)
