"""Nothing is raised into the agent's code: whatever the service answers, and whatever the agent hands over."""

from __future__ import annotations

import pytest

import parammem
from tests.client.stub_service import StubService, serve

HALF = "\ud800"


class NoWords(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class NoVerdict:
    def __bool__(self) -> bool:
        raise RuntimeError("ambiguous")


def nested(levels: int) -> dict:
    found: dict = {}
    for _ in range(levels):
        found = {"a": found}
    return found


@pytest.fixture
def service(monkeypatch):
    with serve(StubService()) as found:
        monkeypatch.setenv("PARAMMEM_URL", found.url)
        yield found


@pytest.mark.parametrize(
    "answer",
    [{"advice": {"text": HALF}}, {"advice": {"text": [1], "draw": -1}}, {"advice": [1]}, {"run_id": HALF},
     {"run_id": {"a": [1]}}, {"token": "a\nb"}, {"token": HALF}, {"arm": {}, "no_advice": [1], "domain": HALF}],
)  # fmt: skip
def test_odd_answers(service, answer):
    whole = service.start
    service.start = lambda body: (200, whole(body)[1] | answer)
    with parammem.run("Refund order 12") as run:
        assert isinstance(run.advice, str)
        run.outcome(True)
    assert (run.advice + run.run_id).encode(), "may be put into a prompt, and written"


@pytest.mark.parametrize(
    "named", [{"task": f"x{HALF}"}, {"run_id": f"x{HALF}"}, {"domain": HALF}, {"metadata": {"a": HALF}}]
)
def test_texts_with_half_a_character_begin_a_run(service, named):
    with parammem.run(**{"task": "t", **named}) as run:
        run.outcome(True)
    assert service.only.outcomes == [{"passed": True}]


HANDED = {
    "an exception without words": lambda run: run.add_error(NoWords()),
    "an exception with half a character": lambda run: run.add_error(ValueError(HALF)),
    "no steps": lambda run: run.add_steps(None),
    "no step": lambda run: run.add_steps([{"role": "x"}, 5, None]),
    "tokens": lambda run: run.add_steps([], tokens="many"),
    "no number of tokens": lambda run: run.add_steps([], tokens=float("nan")),
    "arguments that are no JSON": lambda run: run.add_steps([step({"x": object(), "y": {1, 2}})]),
    "deep arguments": lambda run: run.add_steps([step(nested(3000))]),
    "a verdict that is none": lambda run: run.outcome(NoVerdict()),
    "a value that is none": lambda run: run.outcome(True, value="x"),
    "an answer without words": lambda run: run.outcome(True, answer=NoWords()),
}


def step(arguments: dict) -> dict:
    return {"role": "assistant", "call": {"name": "a", "arguments": arguments}}


@pytest.mark.parametrize("name", HANDED)
def test_what_cannot_be_reported_is_left_out_and_the_rest_is_told(service, name, caplog):
    with parammem.run("t") as run:
        run.add_steps([{"role": "assistant", "text": "before"}])
        HANDED[name](run)
        run.outcome(False)
    assert service.only.outcomes[-1] == {"passed": False}
    assert "before" in [one.text for one in service.only.steps]


def test_the_exception_of_the_agent_is_its_own(service):
    with pytest.raises(NoWords), parammem.run("t"):
        raise NoWords
    assert [one.error for one in service.only.steps] == ["NoWords"]


def test_an_outcome_from_elsewhere_raises_nothing(service, caplog):
    for name in (HALF, "../../x?y#z", "a\nb"):
        parammem.outcome(name, True)
        parammem.outcome(name, NoVerdict())  # pyright: ignore[reportArgumentType]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) >= 3
    assert all(line.isprintable() and line.encode() for line in said), "a log can write it, on one line"
