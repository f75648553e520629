"""The client: advice in, steps and outcome out, and an agent that goes on whatever is wrong with the service."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import parammem
from parammem.client import connection, current_run, send_unsent
from parammem.core import Step
from parammem.core.advice import without_advice
from tests.client.stub_service import StubService, serve


@pytest.fixture
def service(monkeypatch):
    with serve(StubService()) as found:
        monkeypatch.setenv("PARAMMEM_URL", found.url)
        yield found


def test_five_lines_give_advice_and_report_the_outcome(service):
    with parammem.run("Refund order 12", domain="support") as run:
        assert run.advice.startswith("<parammem-advice digest=")
        assert run.given is not None
        assert run.given.text == "be kind"
        assert without_advice(f"{run.task}\n\n{run.advice}").text == "Refund order 12"
        run.outcome(True)
    told = service.only
    assert (told.task, told.domain, told.outcomes, told.steps) == ("Refund order 12", "support", [{"passed": True}], [])
    assert run.arm == "champion"


def test_steps_come_before_the_outcome(service):
    with parammem.run("t", run_id="mine#1") as run:
        run.outcome(False)
        run.add_steps([Step(role="assistant", text="hello")])
    named = "/v1/runs/mine%231"
    assert [path for path, _ in service.requests] == ["/v1/runs", f"{named}/steps", f"{named}/outcome"]


def test_many_and_large_steps_go_in_parts(service):
    steps = [Step(role="assistant", text=str(number)) for number in range(1234)]
    large = [Step(role="tool", text="x" * 1_500_000) for _ in range(3)]
    with parammem.run("t") as run:
        run.add_steps([*steps, *large], tokens=5)
        run.outcome(True)
    assert [step.text for step in service.only.steps] == [step.text for step in (*steps, *large)]
    assert service.only.tokens == 5
    assert len(service.requests) > 6


def test_a_run_that_the_service_cannot_record_is_advised_and_not_reported(service, spool_of):
    whole, service.start = service.start, lambda body: (200, whole(body)[1] | {"recorded": False})
    with parammem.run("t") as run:
        assert run.advice
        run.outcome(True)
    assert service.only.outcomes == []
    assert spool_of() == []


def test_what_is_reported_is_what_was_added(service):
    with parammem.run("t", run_id="mine", metadata={"ticket": "7"}) as run:
        run.outcome(True)
        run.add_steps([{"role": "tool", "text": "ok", "result_of": "c1"}, {"role": "nobody"}], tokens=12)
        run.outcome(None, value=0.25, source="person", answer="done")
    told = service.runs["mine"]
    assert (told.steps, told.tokens) == ([Step(role="tool", text="ok", result_of="c1")], 12)
    assert told.outcomes == [{"passed": None, "value": 0.25, "source": "person", "answer": "done"}]
    assert told.metadata == {"ticket": "7"}


def test_an_outcome_can_come_later_from_the_run_or_from_anywhere(service):
    service.token = "s3cret"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARAMMEM_TOKEN", "s3cret")
        with parammem.run("t", run_id="mine") as run:
            pass
        run.outcome(False)
    parammem.outcome("mine", True, source="person", token=run.token)  # with the run's own token alone
    assert service.runs["mine"].outcomes == [{"passed": False}, {"passed": True, "source": "person"}]


def test_the_holdout_gets_no_advice_and_is_reported(service):
    service.advice = None
    with parammem.run("t") as run:
        assert (run.advice, run.given, run.arm) == ("", None, "holdout")
        run.outcome(True)
    assert service.only.outcomes == [{"passed": True}]


def test_an_exception_is_a_step_and_no_outcome(service):
    with pytest.raises(ZeroDivisionError), parammem.run("t"):
        raise ZeroDivisionError("by zero")
    assert service.only.steps == [Step(role="assistant", error="ZeroDivisionError: by zero")]
    assert service.only.outcomes == []


def test_an_exception_with_an_outcome_reports_both(service):
    def agent() -> None:
        with parammem.run("t") as run:
            run.outcome(False, source="test")
            raise KeyError("x")

    with pytest.raises(KeyError):
        agent()
    assert service.only.outcomes == [{"passed": False, "source": "test"}]
    assert service.only.steps[0].error == "KeyError: 'x'"


def test_async_runs_do_not_stop_their_neighbours(service):
    service.delay = 0.3

    async def one(number: int) -> str:
        async with parammem.run(f"t{number}") as run:
            assert current_run() is run
            run.outcome(True)
            return run.advice

    async def both() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(4)))

    begun = time.monotonic()
    assert all(asyncio.run(both()))
    assert time.monotonic() - begun < 4 * 0.6
    assert [run.outcomes for run in service.runs.values()] == [[{"passed": True}]] * 4
    assert current_run() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"passed": "False"},
        {"passed": True, "value": 7},
        {"passed": True, "value": "much"},
        {"passed": True, "source": "me"},
    ],
)
def test_an_outcome_that_is_none_is_left_out_and_said(service, caplog, wrong):
    with parammem.run("t") as run:
        run.outcome(**wrong)
    assert service.only.outcomes == []
    assert "an outcome of run" in caplog.text


def test_truth_values_of_numpy_count(service):
    import numpy as np

    with parammem.run("t") as run:
        run.outcome(np.bool_(True), value=np.float32(0.5))  # pyright: ignore[reportArgumentType]
    assert service.only.outcomes == [{"passed": True, "value": 0.5}]


def test_without_a_service_the_block_runs_and_one_warning_is_said(caplog):
    for _ in range(3):
        with parammem.run("t") as run:
            assert run.advice == ""
            run.outcome(True)
    assert len(caplog.records) == 1
    assert "agents go on without advice" in caplog.text
    assert send_unsent() == 0, "a run that the service never had is not made up later"


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x", "http://", "http://127.0.0.1:port", "http://no.invalid"])
def test_a_url_that_is_none_stops_nobody(monkeypatch, url):
    monkeypatch.setenv("PARAMMEM_URL", url)
    with parammem.run("t") as run:
        run.outcome(True)
    assert run.advice == ""
    assert run.why_not
    parammem.outcome("mine", True)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 429, 500, 503, 301])
def test_any_status_stops_nobody(service, status):
    service.status = status
    with parammem.run("t") as run:
        run.outcome(True)
    assert run.advice == ""
    assert str(status) in run.why_not


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"advice": {"text": 7}}', b'{"advice": []}']
)
def test_an_answer_that_is_none_stops_nobody(service, raw):
    service.raw = raw
    with parammem.run("t") as run:
        run.outcome(True)
    assert run.advice == ""


def test_a_slow_service_costs_one_deadline_and_is_then_left_alone(service):
    service.delay = 1.5
    begun = time.monotonic()
    for _ in range(5):
        with parammem.run("t", deadline=0.2) as run:
            run.outcome(True)
        assert run.advice == ""
    assert time.monotonic() - begun < 1.2


def test_an_answer_that_trickles_costs_one_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            peer, _ = listener.accept()
            try:
                while True:
                    peer.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                pass

        threading.Thread(target=trickle, daemon=True).start()
        begun = time.monotonic()
        with parammem.run("t", url=f"http://127.0.0.1:{listener.getsockname()[1]}", deadline=0.3):
            pass
        assert time.monotonic() - begun < 1.0


def test_a_run_whose_answer_came_late_is_reported_with_its_outcome_and_says_so(service, monkeypatch):
    service.delay = 0.5
    with parammem.run("t", run_id="mine", deadline=0.1) as run:
        service.delay = 0
        monkeypatch.setattr(connection, "_resting", {})
        run.outcome(True)
    told = service.runs["mine"]
    assert told.outcomes == [{"passed": True}]
    assert "no advice reached the agent" in told.steps[0].error
    assert len(service.runs) == 1


def test_redirects_and_proxies_get_no_token(service, monkeypatch):
    monkeypatch.setenv("PARAMMEM_TOKEN", "s3cret")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with parammem.run("t") as run:
        assert run.advice
    assert service.requests[0][1]["authorization"] == "Bearer s3cret"


def test_hundred_runs_at_once_get_their_own_answers(service):
    def one(number: int) -> str:
        with parammem.run(f"task {number}", run_id=f"r{number}", deadline=120) as run:
            run.outcome(number % 2 == 0)
        return run.run_id

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(one, range(100))) == [f"r{number}" for number in range(100)]
    assert all(service.runs[f"r{n}"].outcomes == [{"passed": n % 2 == 0}] for n in range(100))
    assert all(service.runs[f"r{n}"].task == f"task {n}" for n in range(100))
