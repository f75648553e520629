"""A run's beginning in the proxy: it is found or started in the run book, and gets its advice, within the deadline.

Whatever fails here, the call goes on without advice, and the run says why.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from parammem.config import Params
from parammem.core import Task
from parammem.core.advice import marked
from parammem.core.record import digest_of
from parammem.service.advisor import AdviceResult, Advisor
from parammem.service.correlate import AgentCall, Correlator, OngoingRun
from parammem.service.insert import asked_in, with_block
from parammem.service.recorder import Recorder
from parammem.service.service_log import say_event

if TYPE_CHECKING:
    from parammem.service.run_book import RunBook
    from parammem.service.run_records import OpenRun
    from parammem.service.service_metrics import ServiceMetrics

GRACE_SECONDS = 0.25
"""Beyond the advice's own deadline: for the run book."""
THREADS = 8
MOST_STARTS = 512
"""Runs that wait for the run book at a time; with a disk that hangs, more would only fill the memory."""


class Beginning:
    """Finds each call's run and its advice. For one event loop."""

    def __init__(
        self, book: RunBook, advisor: Advisor, params: Params, recorder: Recorder, metrics: ServiceMetrics
    ) -> None:
        self._book, self._advisor, self._recorder, self._metrics = book, advisor, recorder, metrics
        self._service = params.service
        self._domains = params.kinds()
        self._usual = params.service.domain or next(iter(params.domains))
        self._wait = params.service.advice_deadline_ms / 1000 + GRACE_SECONDS
        self._threads = ThreadPoolExecutor(THREADS, "runs")
        self._starting = 0
        self.correlator = Correlator(params.service.match_minutes * 60)

    async def run_of(self, call: AgentCall) -> OngoingRun:
        """Return the run of a call, which has its advice by then, or will have none. Never raises, and keeps the
        deadline."""
        ongoing = self.correlator.find(call)
        if ongoing is None:
            ongoing = self.correlator.begin(call)
            ongoing.begun = asyncio.create_task(self._begin(ongoing, call))
        self.correlator.touch(ongoing, call)
        if ongoing.begun is not None and not ongoing.begun.done():
            await asyncio.wait([ongoing.begun], timeout=self._wait)
        ongoing.is_settled = True  # advice that comes now is late
        return ongoing

    def body_with_advice(self, ongoing: OngoingRun, call: AgentCall) -> dict | None:
        """Return a call's body with its run's block in it; None: it goes on as it came.

        A call gets the block where its first user message is the run's task: other calls in the same trace ask for
        something else. Where upstream keeps the conversation, it has kept the block too.
        """
        if ongoing.given is None or not ongoing.is_ours or digest_of(call.task) != ongoing.task:
            return None
        if call.is_held_upstream and ongoing.answered:
            return None
        block = marked(ongoing.given)
        return None if block in asked_in(call.messages) else with_block(call.body, block)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, ongoing: OngoingRun, call: AgentCall) -> None:
        domain = call.domain or self._usual
        if domain not in self._domains:
            say_event("run", "a call names a domain that params.yaml does not have; it goes on without advice")
            self._metrics.unrecorded.labels("no such domain").inc()
            ongoing.is_settled = True
            return
        try:
            ongoing.run, ongoing.is_ours = await self._started(ongoing.key, call, domain)
        except Exception as error:  # whatever a broken disk raises: the call goes on
            say_event("run", "a run could not be started; its call goes on", why=type(error).__name__)
            self._metrics.unrecorded.labels("the run book failed").inc()
            ongoing.is_settled = True
            return
        run = ongoing.run
        if run.advised:
            _take_up(ongoing, run, call)
            return
        result = AdviceResult(None, "late") if ongoing.is_settled else await self._advisor.advise(run, call.task)
        if ongoing.is_settled:  # the call has gone on meanwhile, without advice
            result = AdviceResult(None, "late")
        ongoing.given, ongoing.is_settled = result.given, True
        self._note(ongoing, result)

    async def _started(self, key: str, call: AgentCall, domain: str) -> tuple[OpenRun, bool]:
        if self._starting >= MOST_STARTS:
            raise TimeoutError("too many runs wait for the run book")
        self._starting += 1
        try:
            work = asyncio.get_running_loop().run_in_executor(self._threads, self._start, key, call, domain)
            return await work
        finally:
            self._starting -= 1

    def _start(self, key: str, call: AgentCall, domain: str) -> tuple[OpenRun, bool]:
        """Find the run in the book, or start it; and whether the proxy gives it its advice. In a thread.

        Ids are looked up; the messages' digest is so only where the model has said something already, since without
        that it is a new try.
        """
        if not key.startswith("first:"):
            found = self._book.find(key, self._service.run_minutes)
        else:
            found = None if call.is_beginning else self._book.find(key)
        if found is not None or not call.run_id:
            return found or self._book.start(domain, call.task, key=key, stratum=call.stratum), True
        run = self._book.start(domain, call.task, run_id=call.run_id, stratum=call.stratum)
        if not run.advised:  # else POST /v1/runs or MCP has begun it, and given it its advice
            self._book.add_key(run.run_id, key)
        return run, not run.advised

    def _note(self, ongoing: OngoingRun, result: AdviceResult) -> None:
        """Record what a run was advised."""
        run = ongoing.run
        assert run is not None
        self._metrics.advice.labels(self._metrics.result(result.why_not, result.given is not None, run.arm)).inc()
        self._recorder.put(run.run_id, 0, lambda: self._book.advised(run.run_id, result.given, result.why_not))


def _take_up(ongoing: OngoingRun, run: OpenRun, call: AgentCall) -> None:
    """Go on with a run that was begun before this process, or by POST /v1/runs: with the advice that it got."""
    ongoing.given, ongoing.is_settled = run.advice, True
    ongoing.answered += call.is_held_upstream or not call.is_beginning
    is_its_task = Task(task_id="", domain=run.domain, text=call.task).content == run.task
    ongoing.task = digest_of(call.task) if is_its_task else ""
