"""One run of an agent: what it is advised, what it did, how it ended. Nothing here raises into the agent's code."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec

from pydantic import ValidationError

from parammem.client.connection import DEADLINE, ServiceAddress, ServiceFailure, log, post, warn_once
from parammem.client.unsent import UnsentReport, deliver, send_unsent_aside
from parammem.core import GivenAdvice, Outcome, Step, digest_of
from parammem.core.advice import marked
from parammem.core.escape import clean, shown
from parammem.core.outcome import OutcomeSource

P = ParamSpec("P")
LONGEST_ERROR, LONGEST_ANSWER = 2000, 1 << 20
"""Characters of an exception's words, and of an answer, that are reported."""
_current: ContextVar[AdvisedRun | None] = ContextVar("parammem_run", default=None)


def _never_raises(method: Callable[Concatenate[AdvisedRun, P], None]) -> Callable[Concatenate[AdvisedRun, P], None]:
    """Return the method of a run; what it raises is logged: an agent must not end because advice or a report failed."""

    @wraps(method)
    def guarded(self: AdvisedRun, *given: P.args, **named: P.kwargs) -> None:
        try:
            method(self, *given, **named)
        except Exception as error:
            self.why_not = self.why_not or f"the client failed: {type(error).__name__}"
            _warn("%s of run %s failed, and the agent goes on: %s", method.__name__, self.run_id, _words_of(error))

    return guarded


class AdvisedRun:
    """A run, as a context manager: `with` and `async with`. It begins and is reported at the ends of the block."""

    def __init__(
        self, task: str, domain: str = "", run_id: str = "", metadata: Mapping[str, str] | None = None,
        service: ServiceAddress | None = None,
    ) -> None:  # fmt: skip
        self.task = clean(str(task))
        self.domain = domain
        self.run_id = clean(run_id) or uuid.uuid4().hex
        self.given: GivenAdvice | None = None
        """The advice with its digest and draw; None: there is none."""
        self.arm = ""
        self.why_not = ""
        """Why there is no advice; empty: there is some, or the run is to have none."""
        self.token = ""
        """With it the run's outcome may be reported from elsewhere; empty: the service has no such run."""
        self._metadata = {str(name): str(value) for name, value in (metadata or {}).items()}
        self._service = service or ServiceAddress.found()
        self._known: Literal["yes", "no", "perhaps"] = "no"
        """Whether the service has the run."""
        self._ended = False
        self._steps: list[Step] = []
        self._tokens = 0
        self._outcome: dict[str, Any] | None = None

    @property
    def advice(self) -> str:
        """Return the advice as the marked block to paste into a prompt; empty if there is none. Bare: `given.text`.

        The mark keeps advice from being taken for a part of the task when the agent's log is read.
        """
        return marked(self.given) if self.given else ""

    @property
    def is_known(self) -> bool:
        """Return whether the service has the run, or may have it; nothing is reported of any other."""
        return self._known != "no"

    @_never_raises
    def add_steps(self, steps: Iterable[Step | Mapping[str, Any]], tokens: int = 0) -> None:
        """Add what the agent did, in order: messages, tool calls and their results.

        Args:
            tokens: that the agent's model calls took for it.
        """
        for step in steps:
            try:
                one = step if isinstance(step, Step) else Step.model_validate(step)
                one.line()  # arguments of a tool may hold what is no JSON
                self._steps.append(one)
            except Exception as error:
                self._warn("a step", error)
        self._tokens += max(0, int(tokens))

    def add_error(self, error: BaseException) -> None:
        """Add an exception that the agent got, as a step."""
        self._steps.append(Step(role="assistant", error=_words_of(error)))

    @_never_raises
    def outcome(
        self, passed: bool | None, value: float | None = None, source: OutcomeSource | None = None, answer: str = ""
    ) -> None:
        """Say how the run ended. In the block it is sent at its end, the last one of several; after it, at once.

        Args:
            passed: whether it turned out right; None: not known yet.
            value: how well, between 0 and 1.
            source: who says so: judge, test, person, reward or model.
            answer: what was handed over, if no step says it.
        """
        body = _outcome_body(passed, value, source, answer)
        if isinstance(body, Exception):
            self._warn("an outcome", body)
            return
        self._outcome = body
        if self._ended:
            self.send()

    def __enter__(self) -> AdvisedRun:
        self.start()
        self._mark = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        _current.reset(self._mark)
        self.end(error)

    async def __aenter__(self) -> AdvisedRun:
        await asyncio.to_thread(self.start)
        self._mark = _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        _current.reset(self._mark)
        await asyncio.to_thread(self.end, error)

    @_never_raises
    def start(self) -> None:
        """Ask the service for advice, as the block's beginning does; for frameworks that have no block."""
        if not self._service.url:
            self.why_not = "switched off"
            return
        try:
            self._take(post(self._service, "/v1/runs", self._body()))
            send_unsent_aside(self._service)
        except ServiceFailure as failure:
            self._known = "perhaps" if failure.sent else "no"
            self.why_not = f"the service: {failure}"
            warn_once("start", f"ParamMem's service at {self._service.url}: {failure}; agents go on without advice")

    def end(self, error: BaseException | None = None) -> None:
        """Report the run, as the block's end does.

        Args:
            error: what ended it before its time; it becomes a step.
        """
        if error is not None:
            self.add_error(error)
        self._ended = True
        self.send()

    @_never_raises
    def send(self) -> None:
        """Report what has been added since the last report; `end` does it by itself."""
        steps, tokens, outcome = tuple(self._steps), self._tokens, self._outcome
        self._steps, self._tokens, self._outcome = [], 0, None
        if not self.is_known or not (steps or tokens or outcome):
            return
        start = {}
        if self._known == "perhaps":  # the answer did not come in time: the agent ran without what it may have said
            start = self._body()
            steps = (Step(role="system", error=f"no advice reached the agent: {self.why_not}"), *steps)
            self._known = "yes"
        report = UnsentReport(
            url=self._service.url, run_id=self.run_id, token=self.token, start=start, steps=steps, tokens=tokens,
            outcome=outcome,
        )  # fmt: skip
        deliver(self._service, report)

    def _body(self) -> dict[str, Any]:
        body = {"task": self.task, "run_id": self.run_id, "domain": self.domain, "metadata": self._metadata}
        return {name: value for name, value in body.items() if value or name == "task"}

    def _take(self, answer: Mapping[str, Any]) -> None:
        self._known = "no" if answer.get("recorded") is False else "yes"  # its spool may be full
        self.run_id = clean(str(answer.get("run_id") or self.run_id))
        self.domain = str(answer.get("domain") or self.domain)
        self.arm, self.token = str(answer.get("arm") or ""), str(answer.get("token") or "")
        self.why_not = str(answer.get("no_advice") or "")
        advice = answer.get("advice")
        if not isinstance(advice, Mapping):
            return
        fields = {name: advice[name] for name in GivenAdvice.model_fields if advice.get(name) is not None}
        fields = {name: clean(value) if isinstance(value, str) else value for name, value in fields.items()}
        try:
            self.given = GivenAdvice.model_validate({"digest": digest_of(str(fields.get("text"))), **fields})
        except ValidationError as error:
            self.why_not = "the service: its advice could not be read"
            self._warn("advice", error)

    def _warn(self, what: str, error: Exception) -> None:
        said = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else _words_of(error)
        _warn("%s of run %s is not as it must be, and is left out: %s", what, self.run_id, said)


def _warn(message: str, *named: str) -> None:
    """Log a warning. What it names may hold what no log can write, or what would begin a new line of it."""
    log.warning(message, *(shown(name, LONGEST_ERROR) for name in named))


def _outcome_body(passed: Any, value: Any, source: Any, answer: Any) -> dict[str, Any] | Exception:
    """Return what is sent of an outcome, or what is wrong with it. Other libraries' truth values count as Python's."""
    if isinstance(passed, str):
        return ValueError("passed is text; say True, False or None")
    try:
        found = Outcome(
            passed=None if passed is None else bool(passed),
            value=None if value is None else float(value),
            source=source or None,
        )
        text = str(answer)[:LONGEST_ANSWER] if answer else ""
    except Exception as error:
        return error
    body: dict[str, Any] = {"passed": found.passed}
    body |= {name: said for name, said in (("value", found.value), ("source", found.source)) if said is not None}
    return body | ({"answer": text} if text else {})


def _words_of(error: BaseException) -> str:
    """Return an exception's name and words, if it has any that can be had."""
    try:
        said = clean(str(error))[:LONGEST_ERROR]
    except Exception:
        return type(error).__name__
    return f"{type(error).__name__}: {said}"[:LONGEST_ERROR]


def current_run() -> AdvisedRun | None:
    """Return the run in whose block the caller is; None: it is in none."""
    return _current.get()


def run(
    task: str, domain: str = "", *, run_id: str = "", metadata: Mapping[str, str] | None = None, url: str | None = None,
    deadline: float = DEADLINE,
) -> AdvisedRun:  # fmt: skip
    """Return a run of an agent on a task, to be used with `with` or `async with`.

        with parammem.run("Refund order 12", domain="support") as run:
            answer = my_agent(run.advice, run.task)
            run.outcome(answer.ok)

    An exception in the block is reported as a step and goes on; it is no outcome unless one is given.

    Args:
        task: the task's text, as the agent gets it; equal texts are tries of one task, and get different advice.
        domain: of the task; empty: the service's own.
        run_id: a name of your own, which no other run has; default: a random one.
        metadata: short texts; `stratum`, or else `model` or `agent`, names the group of tasks that the run is of.
        url: of the service; default: the environment's PARAMMEM_URL, else http://127.0.0.1:8010.
        deadline: seconds that a request to the service may take; then the block runs without advice.
    """
    return AdvisedRun(task, domain, run_id, metadata, ServiceAddress.found(url, deadline))


def outcome(
    run_id: str, passed: bool | None, value: float | None = None, source: OutcomeSource | None = None, *,
    token: str = "", url: str | None = None, deadline: float = DEADLINE,
) -> None:  # fmt: skip
    """Report the outcome of a run later, or from another program: when its ticket stayed closed, or a person rated it.

    Args:
        token: `AdvisedRun.token` of the run; not needed where PARAMMEM_TOKEN is set.
    """
    service, body = ServiceAddress.found(url, deadline), _outcome_body(passed, value, source, "")
    if isinstance(body, Exception):
        _warn("an outcome of run %s is not as it must be, and is left out: %s", run_id, _words_of(body))
    elif service.url:
        deliver(service, UnsentReport(url=service.url, run_id=clean(run_id), token=token, outcome=body))
