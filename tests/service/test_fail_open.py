"""Whatever fails in the service, the agent's call goes through, and the run says what happened."""

from __future__ import annotations

import threading
import time

import pytest

from parammem.errors import EngineError, LedgerError
from parammem.registry.ledger import Ledger
from parammem.service.run_book import RunBook
from tests.service.proxies import V1, V2, ToldWriter, ledger_with, proxied, until
from tests.service.scripted_upstream import completion


def said(task):
    return {"model": "m", "messages": [{"role": "user", "content": task}]}


def passes_unchanged(up, task):
    answer = up.post(said(task))
    assert (answer.status_code, answer.content) == (200, bytes(completion().body))
    assert up.sent() == said(task)
    return answer


def test_reflector_that_is_late_costs_no_more_than_the_deadline(tmp_path):
    writer = ToldWriter(V1)
    with proxied(tmp_path, [writer], advice_deadline_ms=100) as up:
        writer.pause = 30
        begun = time.monotonic()
        run = up.run(passes_unchanged(up, "late"), lambda run: run.advised)
        assert time.monotonic() - begun < writer.pause
        assert (run.why_not, run.arm, run.adapter) == ("late", "champion", V1)
        more = [*said("late")["messages"], {"role": "assistant", "content": "done"}]
        again = up.post({"model": "m", "messages": more})
        assert again.headers["x-parammem-run"] == run.run_id
        assert len(writer.asked) == 2  # the canary and one draw: a run that got no advice asks for none later


@pytest.mark.parametrize("error", [EngineError("no memory\nat all"), MemoryError(), RuntimeError("CUDA out of memory")])
def test_reflector_that_breaks(tmp_path, error):
    writer = ToldWriter(V1)
    with proxied(tmp_path, [writer]) as up:
        writer.error = error
        run = up.run(passes_unchanged(up, "breaks"), lambda run: run.advised)
        assert run.why_not.startswith("failed: ")
        assert "\n" not in run.why_not
        writer.error = None
        assert up.run(up.post(said("mended")), lambda run: run.advised).advice is not None


def test_reflector_that_does_not_come_back_is_loaded_again(tmp_path):
    writer = ToldWriter(V1)
    with proxied(tmp_path, [writer]) as up:
        writer.stuck = True
        until(lambda: up.service.advisor.restarts)
        assert writer.closed
        writer.stuck = False
        until(lambda: up.service.advisor.is_ready(V1))
        assert up.run(up.post(said("again")), lambda run: run.advised).advice is not None


def test_reflector_that_cannot_be_loaded(tmp_path):
    with proxied(tmp_path, [ToldWriter(V1, error=EngineError("weights are broken"))]) as up:
        run = up.run(passes_unchanged(up, "not loaded"), lambda run: run.advised)
        assert (run.adapter, run.why_not) == (V1, "failed: weights are broken")
        assert up.client.get(f"{up.url}/healthz").json()["faults"] == ["a reflector cannot be loaded"]


def test_ledger_that_cannot_be_read_leaves_who_advises(tmp_path):
    with proxied(tmp_path) as up:
        up.post(said("the first run of a domain takes its number from the ledger"))
        (tmp_path / "ledger/events.jsonl").write_text("no ledger\n")
        until(lambda: up.service.advisor.ledger_fault)
        assert up.run(up.post(said("ledger")), lambda run: run.advised).advice is not None
        assert up.client.get(f"{up.url}/healthz").json()["faults"] == ["the ledger cannot be read"]


def test_ledger_that_cannot_be_read_at_the_start(tmp_path):
    ledger_with(tmp_path, V1)
    whole = (tmp_path / "ledger/events.jsonl").read_bytes()
    (tmp_path / "ledger/events.jsonl").write_text("no ledger\n")
    with pytest.raises(LedgerError):
        Ledger(tmp_path).read()
    with proxied(tmp_path, wait_for=()) as up:
        passes_unchanged(up, "no ledger")
        (tmp_path / "ledger/events.jsonl").write_bytes(whole)
        until(lambda: up.service.advisor.is_ready(V1))
        assert up.run(up.post(said("mended")), lambda run: run.advised).advice is not None


class HangingBook(RunBook):
    raises = False

    def __init__(self, *given):
        super().__init__(*given)
        self.goes_on = threading.Event()
        self.goes_on.set()

    def start(self, *given, **named):
        if self.raises:
            raise OSError(28, "No space left on device")
        self.goes_on.wait(20)
        return super().start(*given, **named)

    def add_steps(self, *given, **named):
        if self.raises:
            raise OSError(28, "No space left on device")
        return super().add_steps(*given, **named)


def hanging(root, params, advisor):
    return HangingBook(root, params, advisor.arms)


def test_run_book_that_hangs_does_not_hold_the_call(tmp_path):
    with proxied(tmp_path, book=hanging, advice_deadline_ms=50) as up:
        book = up.service.book
        assert isinstance(book, HangingBook)
        book.goes_on.clear()
        passes_unchanged(up, "hangs")
        assert not book.goes_on.is_set()
        book.goes_on.set()
        (view,) = until(lambda: [run for run in up.service.book.list() if run.advised])
        assert (view.why_not, view.advice) == ("late", None)


def test_run_book_that_raises(tmp_path):
    with proxied(tmp_path, book=hanging) as up:
        book = up.service.book
        assert isinstance(book, HangingBook)
        book.raises = True
        answer = passes_unchanged(up, "full disk")
        assert "x-parammem-run" not in answer.headers
        assert "parammem_unrecorded_calls_total" in up.client.get(f"{up.url}/metrics").text


def test_full_spool_lets_calls_through_with_advice(tmp_path):
    with proxied(tmp_path, spool_mb=1) as up:
        recorded = []
        for number in range(100):
            answer = up.post(said(f"{number} {'x' * 20_000}"))
            assert answer.status_code == 200
            assert "<parammem-advice" in up.sent()["messages"][0]["content"]
            recorded.append(up.service.book.get(answer.headers["x-parammem-run"]) is not None)
        assert recorded[0]
        assert not recorded[-1]


@pytest.mark.integration
def test_champions_change_under_load_and_no_call_is_lost(tmp_path):
    writers = [ToldWriter(V1, 0.01), ToldWriter(V2, 0.01)]
    ledger_with(tmp_path, V1)
    with proxied(tmp_path, writers, wait_for=[V1], advice_deadline_ms=60_000) as up:
        answers, stop = [], threading.Event()

        def ask(lane):
            import httpx

            with httpx.Client(verify=False) as client:
                number = 0
                while not stop.is_set():
                    number += 1
                    body = said(f"lane {lane} task {number}")
                    answers.append(client.post(f"{up.url}/v1/chat/completions", json=body))

        lanes = [threading.Thread(target=ask, args=(lane,), daemon=True) for lane in range(8)]
        for lane in lanes:
            lane.start()
        time.sleep(1)
        ledger_with(tmp_path, V2)
        until(lambda: up.service.advisor.is_ready(V2))
        time.sleep(1)
        stop.set()
        for lane in lanes:
            lane.join()
        assert {one.status_code for one in answers} == {200}
        runs = [up.run(one, lambda run: run.advised) for one in answers]
    assert {run.adapter for run in runs} == {V1, V2}
    assert [run for run in runs if run.advice is None] == []
    assert all(run.advice.adapter == run.adapter for run in runs)
    by_number = [run.adapter for run in sorted(runs, key=lambda run: run.number)]
    assert by_number == sorted(by_number, key=[V1, V2].index)  # one switch, between two runs
