"""Facts about programs of the user's: whatever one does wrong harms its own task only."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from parammem.agents.own_agent import Ordered, OwnAgent, ProgramJudge, outcome_of
from parammem.agents.program import UserProgram
from parammem.core import Outcome, Task
from parammem.domain_params import ProgramParams
from tests.stages.desk import DOMAIN, agent, judge, ticket

TASKS = [Task(task_id=f"t{n}", domain=DOMAIN, text=ticket(n)) for n in (1, 2, 4)]


def program(root, given, **more) -> UserProgram:
    return UserProgram(ProgramParams.model_validate(given | more), root)


def orders() -> list[Ordered]:
    return [Ordered("base", task, 0) for task in TASKS]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("hangs", "did not answer within 4 seconds"),
        ("dies", "exit code 9"),
        ("rubbish", "answered no JSON"),
        ("other", "another task"),
        ("seven", "less than or equal to 1"),
        ("half", "half a surrogate pair"),
        ("no-answer", "`answer` is no text"),
        ("steps", "Step: role"),
    ],
)
def test_an_agent_that_fails_harms_its_own_task_only(tmp_path, fault, said):
    more = {"timeout_seconds": 4} if fault == "hangs" else {}
    own = OwnAgent(program(tmp_path, agent(tmp_path, fault), concurrency=3, **more), None, 1.0)
    first, second, bad = own.work(orders())
    assert (first.outcome.passed, second.outcome.passed, bad.outcome.passed) == (False, True, None)
    assert first.trajectory.attempts[0].steps[0].text == "I look it up."
    assert bad.trajectory.stop == "failed"
    assert said in bad.trajectory.failure.message  # type: ignore[union-attr]
    assert not first.trajectory.failure
    assert not second.trajectory.failure


def test_a_judge_says_the_outcome_that_the_agent_does_not(tmp_path):
    own = program(tmp_path, agent(tmp_path, outcome=False))
    judged = OwnAgent(own, ProgramJudge(program(tmp_path, judge(tmp_path)), 0.5), 0.5).work(orders()[:1])
    assert [(run.outcome.passed, run.outcome.value) for run in judged] == [(True, 0.9)]
    bad = OwnAgent(own, ProgramJudge(program(tmp_path, judge(tmp_path, "bad")), 0.5), 0.5).work(orders()[:1])
    assert bad[0].trajectory.failure.kind == "NotJudged"  # type: ignore[union-attr]
    assert "no verdict today" in bad[0].trajectory.failure.message  # type: ignore[union-attr]


def test_of_a_long_traceback_the_end_is_shown(tmp_path):
    code = "import sys; sys.exit('\\n'.join(['\\tat a line'] * 99 + ['RuntimeError: no verdict today']))"
    (said,) = program(tmp_path, {"command": [sys.executable, "-c", code], "retries": 0}).each([{}])
    assert str(said).endswith("at a line RuntimeError: no verdict today")


def test_calls_beyond_the_budget_are_recorded_as_not_run(tmp_path):
    own = OwnAgent(program(tmp_path, agent(tmp_path), budget_calls=1, concurrency=1), None, 1.0)
    first, *rest = own.work(orders())
    assert first.trajectory.failure is None
    assert {run.trajectory.failure.kind for run in rest} == {"BudgetSpent"}  # type: ignore[union-attr]


def test_a_command_that_answers_without_end_or_does_not_exist_is_stopped(tmp_path):
    endless = program(tmp_path, {"command": [sys.executable, "-c", "while 1: print('x' * 10**6)"], "retries": 0})
    started = time.monotonic()
    (said,) = UserProgram(endless.params.model_copy(update={"output_mb": 1}), tmp_path).each([{}])
    assert "wrote more than output_mb" in str(said)
    assert time.monotonic() - started < 60
    (said,) = program(tmp_path, {"command": ["./nothing"], "retries": 0}).each([{}])
    assert "cannot be started" in str(said)


FORKS = "import os, time\nif os.fork() == 0: time.sleep(60)\n"
HANDS_OVER = 'print(\'{"answer": "x"}\')'


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (FORKS + HANDS_OVER, None),
        (FORKS + "time.sleep(60)", "did not answer within 2 seconds"),
        ("import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)", "did not answer within 2 seconds"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "did not answer within 2 seconds"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "exit code -9"),
        ("import sys\nfor _ in range(1024): sys.stdout.write('x' * 2**20)", "wrote more than output_mb"),
        ("import sys\nfor _ in range(1024): sys.stderr.write('x' * 2**20)", "wrote more than output_mb"),
        ("""print('{"answer": "x", "outcome": NaN}')""", "answered no JSON"),
        ("""print('{"answer": "x", "steps": [1e999]}')""", "too large"),
        ("import os\nos.close(1)", "answered no JSON"),
        (f"{HANDS_OVER}\n{HANDS_OVER}", "answered no JSON"),
    ],
    ids=["forks", "hangs in two", "ignores SIGTERM", "stops", "is killed", "1 GB", "1 GB of errors", "NaN", "infinity",
         "says nothing", "says two things"],
)  # fmt: skip
def test_what_a_command_may_do(tmp_path, code, said):
    given = {"command": [sys.executable, "-S", "-c", code], "retries": 0, "timeout_seconds": 2, "output_mb": 1}
    started = time.monotonic()
    (found,) = program(tmp_path, given).each([{}])
    assert time.monotonic() - started < 40
    if said:
        assert said in str(found)
    else:
        assert found == {"answer": "x"}


def test_an_address_is_posted_to_and_asked_again_after_a_fault(tmp_path):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            body = b'{"answer": "done", "outcome": true}'
            self.send_response(503 if len(asked) == 1 else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/run"
        (run,) = OwnAgent(program(tmp_path, {"url": url, "retries": 1}), None, 1.0).work(orders()[:1])
    finally:
        server.shutdown()
        server.server_close()
    assert run.outcome.passed is True
    assert len(asked) == 2
    assert b"Ticket 1" in asked[0]
    (run,) = OwnAgent(program(tmp_path, {"url": url, "retries": 0}), None, 1.0).work(orders()[:1])
    assert "cannot be reached" in run.trajectory.failure.message  # type: ignore[union-attr]


def test_outcomes_of_programs_are_read_by_the_value_at_which_they_pass():
    assert outcome_of(0.7, 0.5) == Outcome(passed=True, value=0.7)
    assert outcome_of({"value": 0.4}, 0.5).passed is False
    assert outcome_of({"value": 0.4, "passed": True}, 0.5).passed is True
    assert [outcome_of(word, 1.0).passed for word in (True, False, None)] == [True, False, None]
    for wrong in (7, -1, "yes", [], float("nan"), {"passed": "yes"}):
        with pytest.raises(ValueError):
            outcome_of(wrong, 1.0)


CALLS = """
import os, sys
from pathlib import Path
from parammem.agents.program import UserProgram
from parammem.domain_params import ProgramParams
code = "import os, time; open(f'{os.getpid()}.pid', 'w'); time.sleep(60)"
params = ProgramParams(command=(sys.executable, "-c", code), timeout_seconds=60, retries=1, concurrency=2)
UserProgram(params, Path()).each([{}] * 4)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_programs_end_when_the_stage_that_calls_them_is_interrupted_or_killed(tmp_path, how):
    wants = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    stage = subprocess.Popen([sys.executable, "-c", wants + CALLS], cwd=tmp_path, stderr=subprocess.DEVNULL)
    until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    stage.send_signal(how)
    assert stage.wait(timeout=30) != 0
    started = [int(file.stem) for file in tmp_path.glob("*.pid")]
    until(lambda: not any(map(alive, started)))
    assert not any(map(alive, started))


def until(holds) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """A process that has ended and whose parent has not asked for it yet is none."""
    file = Path(f"/proc/{pid}/stat")
    return file.is_file() and file.read_text().rpartition(")")[2].split()[0] != "Z"
