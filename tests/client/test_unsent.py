"""Reports that could not be sent lie in the spool, once, and go when the service has them."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

import parammem
from parammem.client import advised_run, connection, send_unsent, unsent
from tests.client.stub_service import StubService, serve


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def report_while_away(port: int, number: int = 0) -> StubService:
    """A run that begins with a service which is gone when the run ends."""
    service = StubService()
    with serve(service, port), pytest.MonkeyPatch.context() as patch:
        patch.setattr(advised_run, "send_unsent_aside", lambda _: None)  # what lies there is for the test to send
        run = parammem.run(f"t{number}", run_id=f"r{number}", url=service.url)
        run.start()
    run.add_steps([{"role": "assistant", "text": "hello"}], tokens=3)
    run.outcome(True)
    run.end()
    return service


def wait_until(holds, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def free_port() -> int:
    with serve(StubService()) as found:
        return int(found.url.rpartition(":")[2])


def test_a_report_is_kept_and_sent_with_the_next_run(spool, caplog):
    port = free_port()
    service = report_while_away(port)
    (file,) = spool.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert "kept for later" in caplog.text
    with serve(service, port), parammem.run("next", url=service.url):
        wait_until(lambda: not list(spool.iterdir()))
    told = service.runs["r0"]
    assert ([step.text for step in told.steps], told.tokens, told.outcomes) == (["hello"], 3, [{"passed": True}])


def test_the_service_s_token_is_not_in_the_spool(spool, monkeypatch):
    monkeypatch.setenv("PARAMMEM_TOKEN", "s3cret")
    report_while_away(free_port())
    (file,) = spool.iterdir()
    assert "s3cret" not in file.read_text()


def test_what_arrived_is_not_sent_again(spool):
    service = StubService()
    with serve(service):
        run = parammem.run("t", run_id="r", url=service.url)
        run.start()
        run.add_steps([{"role": "assistant", "text": "hello"}])
        run.outcome(True)
        whole, service.outcome = service.outcome, lambda run, body: (503, {})
        run.end()
        assert len(service.runs["r"].steps) == 1
        service.outcome = whole
        assert send_unsent(connection.ServiceAddress(service.url)) == 0
    assert len(service.runs["r"].steps) == 1
    assert service.runs["r"].outcomes == [{"passed": True}]
    assert list(spool.iterdir()) == []


def test_a_service_that_is_still_away_leaves_everything_in_order(spool):
    port = free_port()
    for number in range(3):
        report_while_away(port, number)
    before = sorted(file.name for file in spool.iterdir())
    assert send_unsent(connection.ServiceAddress(f"http://127.0.0.1:{port}")) == 3
    assert sorted(file.name for file in spool.iterdir()) == before


def test_a_refused_report_is_dropped_and_said(spool, caplog):
    port = free_port()
    report_while_away(port)
    with serve(StubService(), port) as other:  # it has never heard of the run
        assert send_unsent(connection.ServiceAddress(other.url)) == 0
    assert list(spool.iterdir()) == []
    assert "refused the outcome of run r0" in caplog.text


def test_a_wrong_token_loses_nothing(spool):
    port = free_port()
    service = report_while_away(port)
    with serve(service, port):
        service.status = 401
        assert send_unsent(connection.ServiceAddress(service.url)) == 1
        service.status = 0
        assert send_unsent(connection.ServiceAddress(service.url)) == 0
    assert service.runs["r0"].outcomes == [{"passed": True}]


def test_a_report_goes_to_its_own_service_and_to_no_other(spool):
    report_while_away(free_port())
    with serve(StubService()) as other:
        assert send_unsent(connection.ServiceAddress(other.url)) == 0
    assert other.requests == []
    assert len(list(spool.iterdir())) == 1


def test_two_senders_send_a_report_once(spool):
    port = free_port()
    service = report_while_away(port)
    with serve(service, port):
        service.delay = 0.2
        senders = [
            threading.Thread(target=send_unsent, args=(connection.ServiceAddress(service.url),)) for _ in range(4)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert service.runs["r0"].outcomes == [{"passed": True}]


def test_a_file_that_a_killed_process_was_sending_is_taken_back(spool):
    port = free_port()
    service = report_while_away(port)
    (file,) = spool.iterdir()
    claim = file.with_name(file.name + unsent.SENDING)
    file.rename(claim)
    with serve(service, port):
        assert send_unsent(connection.ServiceAddress(service.url)) == 0
        assert service.runs["r0"].outcomes == [], "another process may be sending it"
        old = time.time() - unsent.ABANDONED - 1
        os.utime(claim, (old, old))
        assert send_unsent(connection.ServiceAddress(service.url)) == 0
    assert service.runs["r0"].outcomes == [{"passed": True}]
    assert list(spool.iterdir()) == []


def test_old_and_broken_files_go(spool):
    port = free_port()
    service = report_while_away(port)
    (file,) = spool.iterdir()
    old = time.time() - unsent.OLDEST - 1
    os.utime(file, (old, old))
    (spool / "1-broken.json").write_text("{")
    with serve(service, port):
        assert send_unsent(connection.ServiceAddress(service.url)) == 0
    assert list(spool.iterdir()) == []
    assert service.runs["r0"].outcomes == []


def test_a_full_spool_gives_its_oldest_away(spool, monkeypatch, caplog):
    monkeypatch.setattr(unsent, "MOST_FILES", 2)
    port = free_port()
    for number in range(3):
        report_while_away(port, number)
    kept = [unsent.UnsentReport.model_validate_json(file.read_text()).run_id for file in sorted(spool.iterdir())]
    assert kept == ["r1", "r2"]
    assert "oldest report is thrown away" in caplog.text


def test_a_spool_that_cannot_be_written_stops_nobody(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARAMMEM_SPOOL", str(tmp_path / "file" / "spool"))
    report_while_away(free_port())
    assert "could neither be sent nor kept" in caplog.text
