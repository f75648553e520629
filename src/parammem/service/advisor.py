"""Advice for runs, by the reflectors that the ledger names: who advises now, a piece of advice within its deadline, and
how a new champion or challenger takes over while calls go on.

New weights are loaded beside those in use and tried out; then the next run gets them. What fails to load changes
nothing: the old ones advise on, and the log and the metrics say so. Nothing here raises into a call.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from parammem.config import Params
from parammem.core import GivenAdvice
from parammem.core.advice import CLOSING, OPENING
from parammem.core.event import Event
from parammem.core.live_run import LiveArm
from parammem.core.record import digest_of
from parammem.core.words import count
from parammem.errors import LedgerError
from parammem.registry.branch import known
from parammem.registry.state import Version, champion, find_version, trial
from parammem.service.run_records import ArmsNow
from parammem.service.service_log import say_event
from parammem.service.writers import AdviceWriter, open_writer, try_out

if TYPE_CHECKING:
    from parammem.service.run_records import OpenRun

KEEP_SECONDS = 120.0
"""How long weights that no new run is assigned to are kept for runs that began before."""
RETRY_SECONDS, LONGEST_RETRY = 30.0, 3600.0
"""When weights that failed to load are tried again: twice as long each time."""
REMEMBERED = 4096
"""Pieces of advice that are remembered."""

OpenWriter = Callable[[str, Version], AdviceWriter]
ReadLedger = Callable[[], Sequence[Event]]


class AdviceResult(NamedTuple):
    """What a run is given."""

    given: GivenAdvice | None
    why_not: str
    """Why an arm that gives advice gave none: late, loading, failed: …; empty where the arm gives none."""


class LoadFault(NamedTuple):
    """Weights that could not be loaded."""

    why: str
    times: int
    again: float
    """When they are tried again, by the clock."""


class Advisor:
    """Advises runs of all domains. For one event loop; `arms` may be called from any thread."""

    def __init__(
        self,
        root: Path,
        params: Params,
        read_ledger: ReadLedger | None = None,
        open_one: OpenWriter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            read_ledger: the events to their end; by default those of the repository (registry/branch.py).
            open_one: loads the weights of a domain's version; by default by params.service.engine.
        """
        self._params, self._service = params, params.service
        self._read: ReadLedger = read_ledger or (lambda: known(root))
        self._open: OpenWriter = open_one or (lambda name, version: open_writer(root, params.service, name, version))
        self._clock = clock
        holdout = params.gate.live.holdout
        self._shares: dict[LiveArm, float] = {"holdout": holdout, "champion": 1 - holdout}
        self._arms: dict[str, ArmsNow] = {}
        self._writers: dict[str, AdviceWriter] = {}
        self._used: dict[str, float] = {}
        """Adapter → when it was last assigned to runs."""
        self._faults: dict[str, LoadFault] = {}
        self._given: OrderedDict[str, str] = OrderedDict()
        self._drawn: OrderedDict[tuple[str, str, int], str] = OrderedDict()
        self.ledger_fault = ""
        """Why the ledger could not be read when it was last looked at; empty: it could."""
        self.restarts = 0
        self._length = 0
        """Events that the ledger had when it was last read."""

    def arms(self, domain: str) -> ArmsNow:
        """Return the shares of the arms, and the adapter of each, that a run which begins now gets."""
        found = self._arms.get(domain)
        return found or ArmsNow(dict(self._shares), {"champion": ""})

    def is_ready(self, adapter: str) -> bool:
        """Return whether an adapter's weights are loaded and were tried out."""
        return adapter in self._writers

    def faults(self) -> dict[str, str]:
        """Return adapter → why it could not be loaded."""
        return {adapter: fault.why for adapter, fault in self._faults.items()}

    def gave(self, advice: GivenAdvice) -> bool:
        """Return whether a block holds advice that was given here, not long ago."""
        return self._given.get(advice.digest) == advice.text

    async def advise(self, run: OpenRun, text: str) -> AdviceResult:
        """Return a run's advice within the deadline, or why there is none. Never raises."""
        if run.arm == "holdout" or not run.adapter:
            return AdviceResult(None, "")
        try:
            async with asyncio.timeout(self._service.advice_deadline_ms / 1000):
                written = await self._written(run, text)
        except TimeoutError:
            return AdviceResult(None, "late")
        except MemoryError:
            return AdviceResult(None, "failed: out of memory")
        except Exception as error:  # an engine raises whatever its libraries do
            return AdviceResult(None, f"failed: {_short(error)}")
        if not written:
            return AdviceResult(None, self._why_none(run.adapter))
        if OPENING in written or CLOSING in written:
            return AdviceResult(None, "failed: the advice holds the mark of a block")
        given = GivenAdvice(text=written, digest=digest_of(written), draw=run.retry, adapter=run.adapter)
        _remember(self._given, given.digest, written)
        return AdviceResult(given, "")

    async def follow(self) -> None:
        """Look at the ledger again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._service.follow_seconds)
            await self.look()

    async def look(self) -> None:
        """Look at the ledger once, and switch to the versions that it names. Never raises."""
        events = await self.read()
        if events is None:
            return
        for domain in self._params.kinds():
            for version in self._wanted(domain, events).values():
                await self._bring(domain, version)
            self._name_arms(domain, events)
        self._retire()

    async def read(self) -> Sequence[Event] | None:
        """Return the ledger's events, and assign runs as they say as far as weights are loaded: at once after a
        rollback to none. None: the ledger cannot be read, and all stays as it is. Never raises."""
        try:
            events = await asyncio.to_thread(self._read)
            self._check_length(len(events))
            for domain in self._params.kinds():
                self._name_arms(domain, events)
        except Exception as error:  # a broken chain, git, a disk: advice goes on
            if self.ledger_fault != str(error):
                say_event("ledger", "the ledger cannot be read; who advises stays as it is", why=_short(error))
            self.ledger_fault = str(error) or type(error).__name__
            return None
        self.ledger_fault = ""
        return events

    def _check_length(self, length: int) -> None:
        """Believe a ledger that became shorter only when it is so twice: git may be rewriting the file just now.

        Raises:
            LedgerError: it is the first time.
        """
        is_shorter = length < self._length
        self._length = length
        if is_shorter:
            raise LedgerError(f"the ledger has become shorter: {count(length, 'event')}")

    def close(self) -> None:
        """Let all threads end."""
        for writer in self._writers.values():
            writer.close()

    async def _written(self, run: OpenRun, text: str) -> str:
        """Return one draw; empty if there is no writer for the adapter, or it wrote nothing."""
        writer = self._writers.get(run.adapter)
        if writer is None:
            return ""
        key = (run.adapter, run.task, run.retry)
        if key not in self._drawn:
            _remember(self._drawn, key, (await writer.write(text, run.retry)).strip())
        return self._drawn[key]

    def _why_none(self, adapter: str) -> str:
        if adapter in self._writers:
            return "failed: the reflector wrote nothing"
        return f"failed: {self._faults[adapter].why}" if adapter in self._faults else "loading"

    def _wanted(self, domain: str, events: Sequence[Event]) -> dict[LiveArm, Version]:
        """Return the versions that should advise."""
        found: dict[LiveArm, Version] = {}
        if present := champion(events, domain):
            found["champion"] = present
        if (running := trial(events, domain)) is not None:
            found["challenger"] = find_version(events, domain, f"v{running.version}")
        return found

    def _name_arms(self, domain: str, events: Sequence[Event]) -> None:
        """Switch to what the ledger says, as far as its weights are ready."""
        wanted, running = self._wanted(domain, events), trial(events, domain)
        named = wanted["champion"].adapter if "champion" in wanted else ""
        before = self._arms[domain].adapters.get("champion", "") if domain in self._arms else ""
        serving = before if named and not self.is_ready(named) and self.is_ready(before) else named
        adapters: dict[LiveArm, str] = {"champion": serving}
        shares = dict(self._shares)
        if running and self.is_ready(running.challenger) and serving == running.champion:
            adapters["challenger"], shares = running.challenger, dict(running.shares)
        if self._arms.get(domain) != ArmsNow(shares, adapters):
            say_event("arms", "runs that begin now are assigned so", domain=domain, shares=shares, adapters=adapters)
        self._arms[domain] = ArmsNow(shares, adapters)
        self._used |= dict.fromkeys(filter(None, adapters.values()), self._clock())

    async def _bring(self, domain: str, version: Version) -> None:
        """Load a version's weights and try them out, unless they are ready or it is too early to try again."""
        present, fault = self._writers.get(version.adapter), self._faults.get(version.adapter)
        if present and not present.is_stuck():
            return
        if present:
            self.restarts += 1
            say_event("advice", "the reflector does not come back; it is loaded again", adapter=version.adapter)
            self._writers.pop(version.adapter).close()
        if fault and self._clock() < fault.again:
            return
        try:
            writer = await asyncio.to_thread(self._open, domain, version)
            async with asyncio.timeout(max(60.0, self._service.advice_deadline_ms / 1000)):
                await try_out(writer)
        except Exception as error:  # whatever loading raises: who advises now goes on
            self._note_fault(domain, version, fault.times + 1 if fault else 1, error)
            return
        self._faults.pop(version.adapter, None)
        self._writers[version.adapter] = writer
        say_event("advice", "a reflector is loaded and writes", domain=domain, adapter=version.adapter)

    def _note_fault(self, domain: str, version: Version, times: int, error: Exception) -> None:
        wait = min(LONGEST_RETRY, RETRY_SECONDS * 2 ** (times - 1))
        self._faults[version.adapter] = LoadFault(_short(error), times, self._clock() + wait)
        said = "a reflector cannot be used; who advises stays as it is"
        say_event("advice", said, domain=domain, adapter=version.adapter, why=_short(error), again_in=wait)

    def _retire(self) -> None:
        """Let go of weights that no run is assigned to any more."""
        inuse = {adapter for arms in self._arms.values() for adapter in arms.adapters.values()}
        old = [a for a in self._writers if a not in inuse and self._clock() - self._used.get(a, 0) > KEEP_SECONDS]
        for adapter in old:
            self._writers.pop(adapter).close()


def _remember(store: OrderedDict, key: object, value: str) -> None:
    store[key] = value
    while len(store) > REMEMBERED:
        store.popitem(last=False)


def _short(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return (said[0] if said else type(error).__name__)[:200]
