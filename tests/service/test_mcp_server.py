"""MCP with the SDK's own client: over stdio, in a process of its own, and over streamable HTTP, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn
import yaml
from mcp import Client, StdioServerParameters
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from parammem.checkout.places import Places
from parammem.core import Attempt, Feedback, ReflectionExample, Trajectory, write_jsonl
from parammem.service.access import Access
from parammem.service.mcp_server import BookRuns, make_server, mount
from parammem.service.run_book import RunBook
from parammem.service.run_routes import routes
from parammem.service.solved_tasks import SolvedTasks
from tests.experience.rows import row as experience
from tests.service.books import ROOT, OneAdvice, arms, book, settings, shown, sure

TOKEN = "a token"


def letters(texts) -> np.ndarray:
    """Vectors of texts by the letters in them, in place of a model's."""
    found = np.array([[text.count(chr(97 + n)) for n in range(26)] for text in texts], dtype=np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def solved(root: Path, domain: str = "desk") -> SolvedTasks:
    """A repository with two solved tasks, one that failed and one that was recalled."""
    rows, told = [], []
    for number, (text, passed) in enumerate([("refund order", True), ("close ticket", True), ("refund all", False)]):
        attempt = Attempt(
            number=1, text=f"answer {number}", candidate="", temperature=0, feedback=Feedback(passed=passed, text="")
        )
        one = Trajectory(
            task_id=f"t{number}", domain=domain, method="m", protocol="p", seed=0, attempts=(attempt,),
            stop="iterations", submission=1,
        )  # fmt: skip
        told.append(one)
        rows += [
            ReflectionExample(
                domain=domain, task_id=f"t{number}", task_text=text, reflection=f"secret advice {number}",
                label_source="experience", part="hindsight" if passed else "failure", author="m",
                trajectory_id=one.trajectory_id, outcome="final",
            )
        ]  # fmt: skip
    places = Places(root, domain)
    write_jsonl(places.validated, rows)
    write_jsonl(places.trajectories, told)
    places.recalled.write_text(rows[1].row_hash + "\n")
    return SolvedTasks(root, letters)


def call(client: Client, name: str, **arguments):
    return client.call_tool(name, arguments)


async def advise_and_report(client: Client) -> tuple[str, dict]:
    """The two tools as an agent uses them; returns the run and what was said of the outcome."""
    begun = (await call(client, "advise", task="Refund order 12", domain="desk")).structured_content
    said = await call(client, "report", run=begun["run"], passed=True, source="test")
    assert not said.is_error, said.content
    return begun["run"], said.structured_content


def test_similar_shows_solved_tasks_and_neither_advice_nor_what_was_recalled(tmp_path):
    found = solved(tmp_path).similar("desk", "refund an order")
    assert found == [{"task": "refund order", "answer": "answer 0"}]
    assert solved(tmp_path).similar("qa", "refund an order") == []


def test_similar_reads_batches_of_experience_and_reads_again_when_they_change(tmp_path):
    finder = solved(tmp_path, "code")
    assert len(finder.similar("code", "count the crates")) == 1
    row = experience(3)
    name = row.trajectory.trajectory_id
    label = ReflectionExample(
        domain="code", task_id=row.task.task_id, task_text=row.task.text, reflection="x", label_source="experience",
        part="contrast", author="m", trajectory_id=name, outcome="final",
    )  # fmt: skip
    write_jsonl(tmp_path / "data/experience/a.jsonl", [row])
    file = Places(tmp_path, "code").validated
    file.write_text(file.read_text() + label.line() + "\n")
    assert row.task.text in [one["task"] for one in finder.similar("code", "count the crates")]


def test_tools_in_memory(tmp_path):
    kept = book(tmp_path)

    async def talk() -> None:
        server = make_server(BookRuns(kept, OneAdvice()), solved(tmp_path), ["desk", "qa"], "desk")
        async with Client(server) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == {"advise", "report", "similar"}
            run, said = await advise_and_report(client)
            assert said["counts"] is True
            assert sure(shown(kept, run).outcome).source == "test"
            for bad in ({"value": 7.0}, {"run": "nobody"}, {"source": "me"}, {"passed": "perhaps"}):
                answer = await call(client, "report", **({"run": run, "passed": True} | bad))
                assert answer.is_error, bad
                assert "Traceback" not in str(answer.content)
            for bad in ({"task": ""}, {"task": "a", "domain": "nowhere"}):
                assert (await call(client, "advise", **bad)).is_error
            silent = (await call(client, "report", run=run, passed=None, value=0.2)).structured_content
            assert silent["outcome"]["passed"] is True, "a model's word does not replace a test's"
            found = await call(client, "similar", task="refund order please")
            assert found.structured_content == {"result": [{"task": "refund order", "answer": "answer 0"}]}

    asyncio.run(talk())
    kept.close()


@contextlib.contextmanager
def service(root: Path, token: str = "") -> Iterator[tuple[str, RunBook]]:
    """Routes of runs and /mcp on a real server on this machine."""
    params, advisor = settings(domain="desk"), OneAdvice()
    kept = RunBook(root, params, arms)
    listed, lifespan = mount(kept, advisor, params)

    @contextlib.asynccontextmanager
    async def open_while_served(_: Starlette):
        async with lifespan():
            yield

    health = Route("/healthz", lambda _: PlainTextResponse("ok"))
    app = Starlette(routes=[*routes(kept, advisor, params), *listed, health], lifespan=open_while_served)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(Access(app, token), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}", kept
    server.should_exit = True
    thread.join()
    kept.close()


def test_streamable_http_with_the_sdks_client(tmp_path):
    solved(tmp_path)
    with service(tmp_path) as (url, kept):

        async def talk() -> tuple[str, dict]:
            async with Client(f"{url}/mcp") as client:
                return await advise_and_report(client)

        run, said = asyncio.run(talk())
        assert said["counts"] is True
        assert shown(kept, run).outcomes[0].by == "MCP"


def test_mcp_needs_the_services_token_where_there_is_one(tmp_path):
    import httpx

    with service(tmp_path, TOKEN) as (url, _):
        hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        assert httpx.post(f"{url}/mcp", json=hello).status_code == 401
        web = {"origin": "https://evil.example", "accept": "application/json, text/event-stream"}
        assert httpx.post(f"{url}/mcp", json=hello, headers=web).status_code == 401


def stdio(root: Path, **environment: str) -> StdioServerParameters:
    plain = yaml.safe_load((ROOT / "params.yaml").read_text())
    plain["domains"] = {"desk": {"kind": "open"}}
    (root / "params.yaml").write_text(yaml.safe_dump(plain))
    paths = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return StdioServerParameters(
        command=sys.executable, args=["-m", "parammem.cli", "mcp"], cwd=root, env={**paths, **environment}
    )


@pytest.mark.integration
def test_stdio_talks_to_a_running_service(tmp_path):
    (tmp_path / "here").mkdir()
    with service(tmp_path / "there", TOKEN) as (url, kept):

        async def talk() -> tuple[str, dict]:
            async with Client(stdio(tmp_path / "here", PARAMMEM_URL=url, PARAMMEM_TOKEN=TOKEN)) as client:
                assert (await call(client, "report", run="no/body", passed=True)).is_error
                return await advise_and_report(client)

        run, said = asyncio.run(talk())
        assert said["counts"] is True
        assert sure(shown(kept, run).outcome).passed is True
    assert not (tmp_path / "here/data/live/spool").exists()


@pytest.mark.integration
def test_stdio_works_without_a_service(tmp_path):
    pytest.importorskip("parammem.service.advisor")

    async def talk() -> tuple[str, dict]:
        async with Client(stdio(tmp_path)) as client:
            return await advise_and_report(client)

    run, said = asyncio.run(talk())
    assert said["counts"] is True
    kept = book(tmp_path)
    view = kept.get(run)
    assert view is not None
    assert view.state == "handed over", "what was open is handed over at the end"
    kept.close()
