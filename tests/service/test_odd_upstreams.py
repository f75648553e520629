"""Servers that fail, die, are slow, or answer strangely: calls through the service end as without it."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest
from starlette.responses import JSONResponse

from tests.service.proxies import proxied, until
from tests.service.scripted_upstream import completion, delta, stream

SLOW_SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        part = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\\n\\n'
        while True:
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(part), part))
            self.wfile.flush()
            time.sleep(0.02)
    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def said(task, **fields):
    return {"model": "m", "messages": [{"role": "user", "content": task}], **fields}


class RawServer:
    """A server that says the same bytes to everybody, and keeps what the first packet of each held."""

    def __init__(self):
        self.answer, self.came = b"", []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:  # closed
                return
            with line:
                line.settimeout(5)
                self.came.append(line.recv(2**16))
                line.sendall(self.answer)

    def close(self):
        self._listener.close()


@pytest.fixture(scope="module")
def passing(tmp_path_factory):
    server = RawServer()
    with proxied(tmp_path_factory.mktemp("repo"), upstream=server.url) as up:
        yield server, f"{up.url}/v1"
    server.close()


@pytest.fixture
def server_and_url(passing):
    passing[0].came.clear()
    return passing


def fetched(url, path="/models"):
    """Status and body of a call; None: the connection broke."""
    try:
        with httpx.Client(timeout=10, trust_env=False) as client:
            answer = client.get(url + path)
            return answer.status_code, answer.content
    except httpx.HTTPError:
        return None


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 333\r\n\r\n", 304),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200),
        (b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok", 299),
        (b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n", 302),
    ],
)
def test_a_strange_answer_passes(server_and_url, answer, status):
    server, url = server_and_url
    server.answer = answer
    through = fetched(url)
    assert through is not None
    assert through == fetched(server.url)
    assert through[0] == status
    assert len(server.came) == 2, "nothing was sent twice"


def test_upstream_cannot_speak_for_the_service(server_and_url):
    server, url = server_and_url
    server.answer = b"HTTP/1.1 200 OK\r\nX-ParamMem-Run: evil\r\nx-parammem-run-token: t\r\nContent-Length: 0\r\n\r\n"
    with httpx.Client(trust_env=False) as client:
        assert [name for name in client.get(f"{url}/models").headers if "parammem" in name] == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"no HTTP at all",
        b"HTTP/1.1 999 Beyond\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Bad: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_what_is_no_answer_is_an_error_of_the_gateway(server_and_url, answer):
    server, url = server_and_url
    server.answer = answer
    through = fetched(url)
    assert through is not None
    assert through[0] == 502
    assert len(server.came) == 1, "nothing was sent twice"


def test_an_answer_that_is_shorter_than_it_says_is_broken_off(server_and_url):
    server, url = server_and_url
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
    assert fetched(server.url) is None
    assert fetched(url) is None


def test_one_call_in_ten_that_fails_upstream_fails_here_and_no_other(tmp_path):
    """Each as upstream failed it: with its status and words, sent once; and the run says what happened."""
    with proxied(tmp_path) as up:

        def answer(received):
            number = int(received.body["messages"][0]["content"].split()[1])
            if number % 10:
                return completion(f"done {number}")
            return JSONResponse({"error": {"message": f"no {number}"}}, (429, 500, 503)[number // 10 % 3])

        up.upstream.answer = answer

        async def every():
            async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
                asked = [client.post(f"{up.url}/v1/chat/completions", json=said(f"task {n}")) for n in range(200)]
                return await asyncio.gather(*asked)

        answers = asyncio.run(every())
        expected = [200 if number % 10 else (429, 500, 503)[number // 10 % 3] for number in range(200)]
        assert [one.status_code for one in answers] == expected
        assert all(f" {number}" in one.text for number, one in enumerate(answers))
        assert len(up.upstream.received) == 200
        runs = [up.run(one, lambda run: run.steps or run.error) for one in answers if "x-parammem-run" in one.headers]
        assert len({run.run_id for run in runs}) == len(runs) > 150
        failed = [run for run in runs if run.error]
        assert {run.error[:21] for run in failed} <= {f"upstream answered {code}" for code in (429, 500, 503)}
        assert len(failed) > 10
        assert all(int(run.text.split()[1]) % 10 == 0 for run in failed)


def test_an_upstream_that_is_slow_is_waited_for_and_holds_nobody_up(tmp_path):
    with proxied(tmp_path) as up:
        up.upstream.answer = lambda got: stream([delta("x")], pause=2.0 if b"slow" in got.data else 0.0)
        ended = []
        waiting = threading.Thread(target=lambda: ended.append(up.post(said("slow"))))
        waiting.start()
        until(lambda: up.upstream.received)
        for number in range(20):
            assert up.post(said(f"quick {number}")).status_code == 200
        assert ended == [], "it is still being waited for"
        waiting.join(20)
        assert ended[0].status_code == 200
        assert up.run(ended[0]).error == ""


@contextmanager
def killable(port=0):
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_SERVER, str(port)], stdout=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdout
        yield process, int(process.stdout.readline())
        process.kill()


def test_kill_9_of_upstream_in_the_middle_of_answers(tmp_path):
    """Every stream breaks off, as it would have; a call that comes then is an error of the gateway; the next one after
    upstream has come back goes through."""
    with killable() as (process, port), proxied(tmp_path, upstream=f"http://127.0.0.1:{port}/v1") as up:
        broken = []

        def read(number):
            with httpx.Client(timeout=20, trust_env=False) as client:
                try:
                    with client.stream("POST", f"{up.url}/v1/chat/completions", json=said(f"long {number}")) as answer:
                        for _ in answer.iter_raw():
                            begun.release()
                except httpx.HTTPError:
                    broken.append(answer.headers["x-parammem-run"])

        begun = threading.Semaphore(0)
        readers = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(4)]
        for reader in readers:
            reader.start()
        for _ in range(40):
            assert begun.acquire(timeout=10)
        process.send_signal(signal.SIGKILL)
        for reader in readers:
            reader.join(10)
        assert len(broken) == 4
        for run_id in broken:
            run = until(lambda name=run_id: up.service.book.get(name), lambda run: run and run.error)
            assert run.error.startswith("upstream gave no whole answer")
        assert up.post(said("while it is away")).status_code == 502
        with killable(port) as (process, _):
            body, seen = said("it is back"), 0
            with up.client.stream("POST", f"{up.url}/v1/chat/completions", json=body) as answer:
                for part in answer.iter_raw():
                    seen += len(part)
                    if seen > 100:
                        break
            assert answer.status_code == 200
        assert len(up.service.book.list()) == 6, "no run is doubled"
