"""A whole service in front of a scripted upstream, with a reflector that writes what the tests tell it to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from parammem.config import Params, load_params
from parammem.core.event import Event, Published
from parammem.core.record import digest_of
from parammem.registry.ledger import Ledger
from parammem.registry.state import Version
from parammem.service.advisor import Advisor
from parammem.service.app import Service
from parammem.service.bounded_http import BoundedHttp
from parammem.service.run_book import RunBook
from tests.service.scripted_upstream import ScriptedUpstream, completion, serving, upstream_server

ROOT = Path(__file__).resolve().parents[2]
V1, V2 = digest_of("v1"), digest_of("v2")
SAY = {"model": "m", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Refund 12"}]}


class ToldWriter:
    """Writes its adapter's name and the draw. `pause` seconds late; `error` is raised in place of advice."""

    def __init__(self, adapter: str, pause: float = 0.0, error: Exception | None = None) -> None:
        self.adapter, self.pause, self.error = adapter, pause, error
        self.asked: list[tuple[str, int]] = []
        self.stuck = self.closed = False

    async def write(self, text: str, draw: int) -> str:
        self.asked.append((text, draw))
        await asyncio.sleep(self.pause)
        if self.error:
            raise self.error
        return f"advice {draw} of {self.adapter[:4]}"

    def is_stuck(self) -> bool:
        return self.stuck

    def close(self) -> None:
        self.closed = True


def ledger_with(root: Path, *adapters: str, domain: str = "code") -> list[Event]:
    """A ledger in which these adapters became champion, one after the other."""
    ledger = Ledger(root)
    for number, adapter in enumerate(adapters, len([e for e in ledger.read() if e.fact.kind == "publish"]) // 2 + 1):
        for stage in ("candidate", "champion"):
            fact = Published(domain=domain, version=number, adapter=adapter, stage=stage, decision="", dvc="")
            ledger.append(fact, "person test")
    return ledger.read()


def params_with(upstream: str = "", holdout: float = 0.0, **service: Any) -> Params:
    loaded = load_params(ROOT / "params.yaml")
    settings = {"upstream": upstream, "follow_seconds": 0.05, "advice_deadline_ms": 300, **service}
    live = loaded.gate.live.model_copy(update={"holdout": holdout})
    gate = loaded.gate.model_copy(update={"live": live})
    return loaded.model_copy(update={"gate": gate, "service": loaded.service.model_copy(update=settings)})


class Running:
    """A service that runs, and what is around it."""

    def __init__(self, root: Path, url: str, service: Service, upstream: ScriptedUpstream) -> None:
        self.root, self.url, self.service, self.upstream = root, url, service, upstream
        self.client = httpx.Client(timeout=20, verify=False)

    def post(self, body: Any = SAY, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(self.url + path, json=body, headers=named)

    def sent(self, at: int = -1) -> Any:
        """The body that upstream got."""
        return self.upstream.received[at].body

    def run(self, answer: httpx.Response, ready: Callable[[Any], bool] = lambda run: bool(run.steps)) -> Any:
        """The run of an answer, as the book has it as soon as it is as it should be."""
        return until(lambda: self.service.book.get(answer.headers["x-parammem-run"]), lambda run: run and ready(run))


def until(find: Callable[[], Any], ready: Callable[[Any], Any] = bool, seconds: float = 5.0) -> Any:
    """What `find` returns as soon as it is ready."""
    end = time.monotonic() + seconds
    while not ready(found := find()):
        assert time.monotonic() < end, f"not ready after {seconds} s: {found}"
        time.sleep(0.01)
    return found


@contextmanager
def proxied(
    root: Path,
    writers: Sequence[ToldWriter] = (),
    answer: Any = None,
    token: str = "",
    key: str = "",
    book: Callable[[Path, Params, Advisor], Any] | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """Run upstream and service; the writers' adapters become champion, one after the other, before it starts."""
    made = {writer.adapter: writer for writer in writers or [ToldWriter(V1)]}
    if not (root / "ledger").exists():
        ledger_with(root, *made)

    def opened(_: str, version: Version) -> ToldWriter:
        return made[version.adapter]

    with upstream_server(answer or (lambda _: completion())) as upstream:
        params = params_with(**{"upstream": upstream.url, **settings})
        advisor = Advisor(root, params, read_ledger=lambda: Ledger(root).read(), open_one=opened)
        runs = book(root, params, advisor) if book else RunBook(root, params, advisor.arms)
        service = Service(root, params, token, key, book=runs, advisor=advisor)
        with serving(service.app, lifespan="on", http=BoundedHttp, ws="none") as url:
            ready = settings.pop("wait_for", made.keys())
            until(lambda: all(advisor.is_ready(one) or one in advisor.faults() for one in list(ready)[-1:]))
            yield Running(root, url, service, upstream)
