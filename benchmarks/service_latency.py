"""What the proxy of `parammem up` adds to a call: `python benchmarks/service_latency.py`

A stub upstream, the service and the client are three processes on this machine. Rounds of direct calls and of calls
through the service take turns, so that whatever else the machine does falls on both. Each call of the proxied rounds
goes the whole way: a run is begun in the run book, advice by a reflector that answers at once is put in, and the call
is recorded. The stub takes as long as a model might (`--think`): else calls in flight would only wait for each other.
Calls begin evenly spread over that time, as those of agents that know nothing of each other do; with `--together` all
at one moment, so that most wait for the others' turn.

Printed are medians and 99th percentiles, what is added to them, calls a second with a stub that answers at once, and
the time to a stream's first byte.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHUNKS, CHUNK_SECONDS = 10, 0.02
ANSWER = {
    "id": "chatcmpl-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "done " * 100}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 100, "total_tokens": 400},
}
SYSTEM = "You answer customers of a shop that sells by mail. " * 30


class Stub(asyncio.Protocol):
    """HTTP/1.1 as far as this benchmark needs it, as cheap as Python allows."""

    def __init__(self, think: float) -> None:
        self.think, self.data = think, b""
        body = json.dumps(ANSWER).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.plain = head.encode() + body

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return
        self.data = b""
        loop = asyncio.get_running_loop()
        if b'"stream": true' in body or b'"stream":true' in body:
            self.streaming = loop.create_task(self.stream())
        else:
            loop.call_later(self.think, self.transport.write, self.plain)

    async def stream(self) -> None:
        await asyncio.sleep(self.think)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for number in range(CHUNKS):
            event = {"id": "c", "choices": [{"index": 0, "delta": {"content": f"word {number} "}}]}
            part = b"data: " + json.dumps(event).encode() + b"\n\n"
            self.transport.write(b"%x\r\n%s\r\n" % (len(part), part))
            await asyncio.sleep(CHUNK_SECONDS)
        self.transport.write(b"0\r\n\r\n")


def run_stub(think: float, port: Any) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Stub(think), "127.0.0.1", 0, backlog=2048)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


class AtOnce:
    """A reflector that takes no time: what is measured is the service."""

    def __init__(self, adapter: str) -> None:
        self.adapter = adapter

    async def write(self, text: str, draw: int) -> str:
        return f"Ask for the order number first. {draw}"

    def is_stuck(self) -> bool:
        return False

    def close(self) -> None:
        pass


def run_service(root: Path, upstream: str, port: Any) -> None:
    import uvicorn

    from parammem.config import load_params
    from parammem.core.event import Published
    from parammem.registry.ledger import Ledger
    from parammem.service.advisor import Advisor
    from parammem.service.app import Service
    from parammem.service.listening import SWITCH_SECONDS, configured, listen

    loaded = load_params(Path(__file__).parents[1] / "params.yaml")
    settings = loaded.service.model_copy(update={"upstream": upstream, "spool_mb": 4096})
    params = loaded.model_copy(update={"service": settings})
    for stage in ("candidate", "champion"):
        fact = Published(domain="code", version=1, adapter="a" * 64, stage=stage, decision="", dvc="")
        Ledger(root).append(fact, "benchmark")
    advisor = Advisor(root, params, lambda: Ledger(root).read(), lambda _, version: AtOnce(version.adapter))
    service = Service(root, params, advisor=advisor)
    listener = listen("127.0.0.1", 0)
    port.send(listener.getsockname()[1])
    server = uvicorn.Server(configured(service.app))
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(server.serve(sockets=[listener]))


class Lane:
    """One client connection, which asks one call after the other."""

    def __init__(self, port: int, stream: bool) -> None:
        self.port, self.is_stream = port, stream
        self.first: list[float] = []
        self.whole: list[float] = []

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, task: str) -> None:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task}]
        body = json.dumps({"model": "m", "messages": messages, "stream": self.is_stream}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
        begun = time.perf_counter()
        self.writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200"), answer
        if self.is_stream:
            data = await self.reader.read(65536)
            self.first.append(time.perf_counter() - begun)
            while not data.endswith(b"0\r\n\r\n"):
                data += await self.reader.read(65536)
        else:
            await self.reader.readexactly(int(answer.partition(b"content-length:")[2].split(b"\r\n")[0]))
        self.whole.append(time.perf_counter() - begun)


async def round_of(
    port: int, lanes: int, seconds: float, stream: bool = False, spread: float = 0.0
) -> tuple[list[Lane], float]:
    """Let so many lanes ask for some seconds; the lanes with their times, and how long it took.

    Args:
        spread: seconds over which the lanes begin, evenly; 0: all at once.
    """
    made = [Lane(port, stream) for _ in range(lanes)]
    await asyncio.gather(*(lane.open() for lane in made))
    end = time.perf_counter() + seconds

    async def go(lane: Lane, place: int) -> None:
        await asyncio.sleep(spread * place / lanes)
        while time.perf_counter() < end:
            await lane.ask(f"Refund order {os.urandom(6).hex()}")

    begun = time.perf_counter()
    await asyncio.gather(*(go(lane, place) for place, lane in enumerate(made)))
    took = time.perf_counter() - begun
    for lane in made:
        lane.writer.close()
    return made, took


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def compared(
    ports: dict[str, int], lanes: int, rounds: int, seconds: float, stream: bool = False, spread: float = 0.0
) -> None:
    """Print one line: direct and proxied calls in turns."""
    times: dict[str, list[float]] = {"direct": [], "proxied": []}
    for _ in range(rounds):
        for name in times:
            made, _took = asyncio.run(round_of(ports[name], lanes, seconds, stream, spread))
            times[name] += [one for lane in made for one in (lane.first if stream else lane.whole)]
    middle = {name: 1000 * statistics.median(values) for name, values in times.items()}
    tail = {name: 1000 * percentile(values, 0.99) for name, values in times.items()}
    print(
        f"{'stream, first byte' if stream else 'plain':18} {lanes:4} in flight  "
        f"median {middle['direct']:7.1f} -> {middle['proxied']:7.1f} ms (+{middle['proxied'] - middle['direct']:.1f})  "
        f"p99 {tail['direct']:7.1f} -> {tail['proxied']:7.1f} ms (+{tail['proxied'] - tail['direct']:.1f})  "
        f"{len(times['proxied'])} calls",
        flush=True,
    )


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, all threads together. It says what a call costs on a busy machine, too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(ports: dict[str, int], pid: int, lanes: int, rounds: int, seconds: float) -> None:
    for name in ("direct", "proxied"):
        rates, calls, computed = [], 0, cpu_seconds(pid)
        for _ in range(rounds):
            made, took = asyncio.run(round_of(ports[name], lanes, seconds))
            calls += (count := sum(len(lane.whole) for lane in made))
            rates.append(count / took)
        cost = 1000 * (cpu_seconds(pid) - computed) / calls
        told = f"; the service computes {cost:.2f} ms a call" if name == "proxied" else ""
        print(f"{name:18} {lanes:4} in flight, stub answers at once: {statistics.median(rates):.0f} calls/s{told}")


async def client_cost(port: int, use_httpx: bool, calls: int = 640, together: int = 32) -> float:
    """Milliseconds that a call costs this thread with one of the two clients, `together` in flight."""
    import aiohttp
    import httpx

    url, data = f"http://127.0.0.1:{port}/v1/chat/completions", b"{}"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        httpx.AsyncClient(limits=limits) as other,
        aiohttp.ClientSession(auto_decompress=False, connector=connector) as session,
    ):

        async def ask() -> None:
            if use_httpx:
                async with other.stream("POST", url, content=data) as answer:
                    async for _ in answer.aiter_raw():
                        pass
                return
            async with session.post(url, data=data) as reply:
                async for _ in reply.content.iter_any():
                    pass

        await asyncio.gather(*(ask() for _ in range(together)))
        begun = time.thread_time()
        for _ in range(calls // together):
            await asyncio.gather(*(ask() for _ in range(together)))
        return 1000 * (time.thread_time() - begun) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--think", type=float, default=1.0, help="seconds that the stub takes for an answer")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one round")
    parser.add_argument("--together", action="store_true", help="all calls begin at one moment")
    parser.add_argument("--clients", action="store_true", help="only compare aiohttp and httpx as the proxy's client")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")

    def started(target: Any, *arguments: Any) -> tuple[Any, int]:
        ours, theirs = context.Pipe()
        places = [theirs if one is None else one for one in arguments]
        process = context.Process(target=target, args=places, daemon=True)
        process.start()
        return process, ours.recv()

    if given.clients:
        _, stub_port = started(run_stub, 0.0, None)
        for name in ("aiohttp", "httpx") * 2:
            print(f"{name}: {asyncio.run(client_cost(stub_port, name == 'httpx')):.2f} ms of computing a call")
        return
    with tempfile.TemporaryDirectory() as folder:
        for think in (given.think, 0.0):
            stub, stub_port = started(run_stub, think, None)
            root = Path(folder) / str(think)
            root.mkdir()
            service, port = started(run_service, root, f"http://127.0.0.1:{stub_port}/v1", None)
            ports = {"direct": stub_port, "proxied": port}
            time.sleep(3)
            if think:
                spread = 0.0 if given.together else think
                for is_stream in (False, True):
                    for lanes in given.lanes:
                        compared(ports, lanes, given.rounds, given.seconds, is_stream, spread)
            else:
                rate(ports, service.pid, 32, given.rounds, given.seconds)
            for process in (service, stub):
                process.terminate()
                process.join(10)


if __name__ == "__main__":
    main()
