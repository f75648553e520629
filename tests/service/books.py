"""Books of runs for tests: params, arms, a clock that stands still, an advisor that says one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from parammem.checkout.places import LIVE_INBOX
from parammem.config import Params, load_params
from parammem.core import GivenAdvice, Outcome, Step, ToolCall
from parammem.core.experience import Experience
from parammem.core.live_run import LiveRun
from parammem.service.run_book import RunBook
from parammem.service.run_records import ArmsNow, OpenRun, RunView

ROOT = Path(__file__).parents[2]
T = TypeVar("T")

CHAMPION = "c" * 64


def settings(**service: Any) -> Params:
    """The project's params with other values of `service`, and a domain of kind open."""
    loaded = load_params(ROOT / "params.yaml")
    plain = loaded.model_dump(by_alias=True)
    plain["domains"] = {**plain["domains"], "desk": {"kind": "open", "passes_at": 0.6}}
    plain["service"] |= service
    return Params.model_validate(plain)


def arms(_: str) -> ArmsNow:
    return ArmsNow({"holdout": 0.1, "champion": 0.9}, {"champion": CHAMPION})


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def book(root: Path, clock: Any = None, **service: Any) -> RunBook:
    return RunBook(root, settings(**service), arms, clock or Clock())


def steps(number: int = 1) -> list[Step]:
    """A run that calls a tool and answers."""
    return [
        Step(role="user", text=f"Refund order {number}"),
        Step(role="assistant", call=ToolCall(name="look", arguments={"order": number}, id="c1")),
        Step(role="tool", text="paid yesterday", result_of="c1"),
        Step(role="assistant", text=f"Order {number} is refunded."),
    ]


def advice(run: OpenRun, text: str = "ask for the invoice first") -> GivenAdvice | None:
    return GivenAdvice(text=text, digest="d1", draw=run.retry, adapter=run.adapter) if run.adapter else None


def whole(kept: RunBook, number: int, passed: bool | None = True, domain: str = "desk") -> OpenRun:
    """A run from its start to its outcome."""
    run = kept.start(domain, f"Refund order {number}")
    kept.advised(run.run_id, advice(run))
    kept.add_steps(run.run_id, steps(number), tokens=7)
    kept.report(run.run_id, Outcome(passed=passed, source="test"))
    return run


def sure(value: T | None) -> T:
    """The value, which is there."""
    assert value is not None
    return value


def shown(kept: RunBook, run_id: str) -> RunView:
    """A run that is there."""
    return sure(kept.get(run_id))


def evidence(root: Path) -> list[LiveRun]:
    """All lines of evidence, in order of their numbers."""
    lines = [line for file in (root / LIVE_INBOX).glob("*.jsonl") for line in file.read_text().splitlines()]
    return sorted((LiveRun.model_validate_json(line) for line in lines), key=lambda run: (run.domain, run.number))


def handed(root: Path) -> list[Experience]:
    """All rows of the inbox."""
    files = sorted((root / "data/inbox").glob("*.jsonl"))
    return [Experience.model_validate_json(line) for file in files for line in file.read_text().splitlines()]


class Told(NamedTuple):
    """What the advisor of the tests says."""

    given: GivenAdvice | None
    why_not: str = ""


class OneAdvice:
    """An advisor that says the same to all, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def advise(self, run: OpenRun, text: str) -> Told:
        self.asked += 1
        return Told(advice(run))
