"""Who writes a reflector's advice: the model in this process, or a vLLM server. And how one is opened and tried out.

A writer belongs to one adapter, whose digest it was checked against. Before it is used it must have written something
for a fixed task: what does not load, or writes nothing, never replaces a writer that works.
"""

from __future__ import annotations

import asyncio
import queue
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from parammem.checkout.places import Places
from parammem.core.adapter import read_card
from parammem.engines.base import Completion, ConcurrentEngine, Engine, Request
from parammem.errors import AdapterError, EngineError
from parammem.live_params import ServiceParams
from parammem.reflectors.parametric import MAX_TOKENS, Advises, ParamMem, find_base
from parammem.registry.state import Version
from parammem.registry.storage import fetch

MOST_TOGETHER = 32
"""Requests that are written in one batch."""
MOST_WAITING = 256
"""Beyond so many a request is refused: it would be late."""
STUCK_SECONDS = 60.0
"""A batch that takes longer is given up, and the model is loaded again."""
CANARY = "What should be considered before this is solved?"
SEED_DIGITS = 8


class AdviceWriter(Protocol):
    """Writes a reflector's advice. `is_stuck`: it has not come back for so long that it never will."""

    adapter: str
    """Digest of its weights."""

    async def write(self, text: str, draw: int) -> str:
        """Return a piece of advice for a task; the same draw gives the same advice. Raises EngineError."""
        ...

    def is_stuck(self) -> bool: ...

    def close(self) -> None: ...


class Asking:
    """How a reflector is asked: its prompt, and how its answer is sampled."""

    def __init__(self, adapter: str, prompts: Advises, max_tokens: int, temperature: float) -> None:
        self.adapter, self._prompts = adapter, prompts
        self._max_tokens, self._temperature = max_tokens, temperature

    def request(self, text: str, draw: int) -> Request:
        """Return the request for one draw. Its randomness follows from the adapter, the task and the draw's number."""
        return Request(
            messages=self._prompts.advise(text),
            temperature=self._temperature,
            max_tokens=self._max_tokens,
            seed=int(self.adapter[:SEED_DIGITS] or "0", 16),
            first_draw=draw,
            role="reflector",
        )


class LocalWriter:
    """Advice from an engine in this process: one thread, which writes all requests that wait in one batch."""

    def __init__(self, engine: Engine, asking: Asking, clock: Callable[[], float] = time.monotonic) -> None:
        self.adapter = asking.adapter
        self._engine, self._asking, self._clock = engine, asking, clock
        self._waiting: queue.SimpleQueue[tuple[Request, Future[str]] | None] = queue.SimpleQueue()
        self._since = 0.0
        """When the batch in hand was begun; 0: there is none."""
        self._thread = threading.Thread(target=self._work, name=f"advice-{self.adapter[:12]}", daemon=True)
        self._thread.start()

    async def write(self, text: str, draw: int) -> str:
        if not self._thread.is_alive():
            raise EngineError("the thread that writes advice has ended")
        if self._waiting.qsize() >= MOST_WAITING:
            raise EngineError(f"more than {MOST_WAITING} requests wait for advice")
        future: Future[str] = Future()
        self._waiting.put((self._asking.request(text, draw), future))
        return await asyncio.wrap_future(future)

    def is_stuck(self) -> bool:
        since = self._since
        return not self._thread.is_alive() or (since > 0 and self._clock() - since > STUCK_SECONDS)

    def close(self) -> None:
        self._waiting.put(None)

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = [first], False
            while len(batch) < MOST_TOGETHER and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            # Who was late has given up, and cancelled.
            wanted = [(request, future) for request, future in batch if future.set_running_or_notify_cancel()]
            self._since = self._clock()
            self._write(wanted)
            self._since = 0.0
            if last:
                break
        self._fail_the_rest()

    def _write(self, wanted: Sequence[tuple[Request, Future[str]]]) -> None:
        if not wanted:
            return
        try:
            answers = self._engine.complete([request for request, _ in wanted])
        except BaseException as error:  # whatever a library raises: the thread must live on
            if len(wanted) > 1:  # one prompt that is too long, or memory that suffices for fewer
                for one in wanted:
                    self._write([one])
            else:
                wanted[0][1].set_exception(error if isinstance(error, Exception) else EngineError(repr(error)))
            return
        for (_, future), draws in zip(wanted, answers, strict=True):
            future.set_result(draws[0].text)

    def _fail_the_rest(self) -> None:
        while not self._waiting.empty():
            if (one := self._waiting.get()) is not None and one[1].set_running_or_notify_cancel():
                one[1].set_exception(EngineError("another reflector has taken over"))


class ServedWriter:
    """Advice from an adapter on a server."""

    def __init__(self, engine: ConcurrentEngine, asking: Asking) -> None:
        self.adapter = asking.adapter
        self._engine, self._asking = engine, asking

    async def write(self, text: str, draw: int) -> str:
        future: Future[list[Completion]] = self._engine.submit(self._asking.request(text, draw))
        return (await asyncio.wrap_future(future))[0].text

    def is_stuck(self) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: other services may use the adapter, and its name on the server stands for these weights alone."""


def open_writer(root: Path, params: ServiceParams, domain: str, version: Version) -> AdviceWriter:
    """Return the writer of a version, loaded and tried out. It takes seconds to minutes.

    Raises:
        AdapterError, EngineError, LedgerError: its weights cannot be had or loaded, are not those that the ledger
            names, or write nothing.
    """
    folder = adapter_folder(root, domain, version)
    found = read_card(folder).digest
    if found != version.adapter:
        raise AdapterError(f"{folder} holds the adapter {found[:16]}, and the ledger names {version.adapter[:16]}")
    return _local(folder, params) if params.engine == "hf" else _served(folder, params)


async def try_out(writer: AdviceWriter) -> None:
    """Let a writer advise on a fixed task. Raises EngineError: it writes nothing in any of a few draws."""
    for draw in range(4):
        if (await writer.write(CANARY, draw)).strip():
            return
    raise EngineError(f"the adapter {writer.adapter[:16]} loads, but writes nothing for a fixed task; train it again")


def adapter_folder(root: Path, domain: str, version: Version) -> Path:
    """Return a version's adapter folder, in which nothing changes any more: brought from DVC where it is not there.

    Raises:
        LedgerError: it is neither in DVC's cache nor in its remote, or has no tag.
    """
    place = Places(root, domain).start(version.adapter)
    if place.is_dir():
        return place
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    made = Places(root, domain).reflector
    try:
        is_here = read_card(made).digest == version.adapter
    except AdapterError:
        is_here = False
    if is_here:
        shutil.copytree(made, part)
    else:
        fetch(root, domain, version, part)
    part.rename(place)
    return place


def _local(folder: Path, params: ServiceParams) -> LocalWriter:
    memory = ParamMem.load(folder, device=params.device)
    return LocalWriter(memory.engine, Asking(memory.author, memory.prompts, memory.max_tokens, params.temperature))


def _served(folder: Path, params: ServiceParams) -> ServedWriter:
    from parammem.domains import get_domain
    from parammem.engines.folders import hub_parts
    from parammem.engines.openai.account import Account, Terms
    from parammem.engines.openai.server import Server, ServerSettings
    from parammem.engines.openai.vllm import open_adapter

    card = read_card(folder)
    name, revision = hub_parts(card.base_model)
    settings = ServerSettings(params.vllm_url, retries=0, key_param="service.vllm_url")
    base = find_base(folder, card)
    engine = open_adapter(Server(settings, Account(Terms())), name, folder, base, revision)
    real, kind = card.recipe.get("prompts") == "benchmarks", card.recipe.get("domain_kind", "")
    prompts = get_domain(card.domain, kind=kind, real=real).prompts
    asking = Asking(card.digest, prompts, card.max_advice_tokens or MAX_TOKENS, params.temperature)
    return ServedWriter(engine, asking)
