"""The client with the service's own routes and book of runs, on a real port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

import parammem
from parammem.client import AdvisedRun, connection, send_unsent
from parammem.core import Step, ToolCall
from parammem.core.advice import OPENING
from parammem.service.access import Access
from parammem.service.run_book import RunBook
from parammem.service.run_routes import routes
from tests.service.books import OneAdvice, book, evidence, handed, settings

STEPS = [
    Step(role="assistant", call=ToolCall(name="look", arguments={"order": 12}, id="c1")),
    Step(role="tool", text="paid", result_of="c1"),
    Step(role="assistant", text="Order 12 is refunded."),
]


@contextmanager
def serving(root: Path, token: str = "", port: int = 0) -> Iterator[tuple[str, RunBook]]:
    kept = book(root, time.time)
    app = Access(Starlette(routes=routes(kept, OneAdvice(), settings(domain="desk"))), token)
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", kept
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        kept.close()


def test_runs_of_the_client_become_evidence_and_experience(tmp_path, monkeypatch):
    with serving(tmp_path) as (url, kept):
        monkeypatch.setenv("PARAMMEM_URL", url)
        said: list[AdvisedRun] = []
        while len(said) < 30 or {run.arm for run in said} != {"champion", "holdout"}:  # a tenth is holdout, by chance
            number = len(said)
            assert number < 500
            with parammem.run(f"Refund order {number}", deadline=20) as run:
                run.add_steps(STEPS, tokens=9)
                run.outcome(number % 3 > 0, source="test", answer="refunded")
            said.append(run)
        kept.sweep(all=True)
    lines = {line.run_id: line for line in evidence(tmp_path)}
    assert [lines[run.run_id].arm for run in said] == [run.arm for run in said]
    assert [bool(run.advice) for run in said] == [run.arm == "champion" for run in said]
    assert {run.arm for run in said} == {"champion", "holdout"}
    outcomes = [lines[run.run_id].outcome for run in said]
    assert [one and one.passed for one in outcomes] == [n % 3 > 0 for n in range(len(said))]
    rows = {row.run_id: row for row in handed(tmp_path)}
    for run in said:
        row = rows[run.run_id]
        assert row.trajectory.attempts[0].steps == tuple(STEPS)
        assert OPENING not in row.task.text
        assert [one.text for one in row.advice] == ([run.given.text] if run.given else [])


def test_a_token_is_asked_for_and_a_run_s_own_is_enough_for_its_outcome(tmp_path, monkeypatch, caplog):
    with serving(tmp_path, "s3cret") as (url, kept):
        monkeypatch.setenv("PARAMMEM_URL", url)
        with parammem.run("Refund order 12", deadline=20) as refused:
            pass
        assert "401" in refused.why_not
        monkeypatch.setenv("PARAMMEM_TOKEN", "s3cret")
        with parammem.run("Refund order 12", run_id="mine#1", deadline=20) as run:
            pass
        monkeypatch.delenv("PARAMMEM_TOKEN")
        parammem.outcome("mine#1", False, token="another's", deadline=20)
        assert "refused the outcome of run mine#1" in caplog.text
        parammem.outcome("mine#1", True, source="person", token=run.token, deadline=20)
        view = kept.get("mine#1")
        assert view is not None
        assert [word.outcome.passed for word in view.outcomes] == [True]


def test_an_outcome_survives_a_restart_of_the_service(tmp_path, monkeypatch, spool_of):
    with serving(tmp_path) as (url, _):
        run = parammem.run("Refund order 12", run_id="r1", url=url, deadline=20)
        run.start()
    run.add_steps(STEPS)
    run.outcome(True)
    run.end()
    assert len(spool_of()) == 1
    with serving(tmp_path, port=int(url.rpartition(":")[2])) as (url, kept):
        assert send_unsent(connection.ServiceAddress(url, deadline=20)) == 0
        view = kept.get("r1")
    assert view is not None
    assert view.outcome is not None
    assert (view.outcome.passed, view.steps) == (True, tuple(STEPS))
    assert spool_of() == []


@pytest.mark.parametrize("wrong", [{"domain": "nobody's"}, {"run_id": "a b"}, {"run_id": "x" * 300}])
def test_what_the_service_refuses_stops_nobody(tmp_path, wrong):
    with serving(tmp_path) as (url, _), parammem.run("t", url=url, deadline=20, **wrong) as run:
        run.outcome(True)
    assert run.advice == ""
    assert "400" in run.why_not


def test_the_same_task_again_is_a_retry_with_another_draw(tmp_path):
    with serving(tmp_path) as (url, _):
        draws = []
        for _ in range(12):
            with parammem.run("Refund order 12", url=url, deadline=20) as run:
                run.outcome(False)
            draws += [run.given.draw] if run.given else []
    assert draws == sorted(set(draws))
    assert len(draws) > 6
