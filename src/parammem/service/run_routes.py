"""Runs over HTTP for agents that take advice themselves: begin one and get advice, add steps, say how it ended.

    POST /v1/runs                 {"task", "domain"?, "run_id"?, "metadata"?} -> run_id, domain, arm, advice, token
    POST /v1/runs/{id}/steps      {"steps", "tokens"?, "error"?}
    POST /v1/runs/{id}/outcome    {"passed", "value"?, "source"?, "answer"?} -> counts, outcome
    GET  /v1/runs/{id}

A run is shown to, and judged by, who has the service's token or the run's own. To anybody else it does not exist.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from parammem.config import Params
from parammem.core.advice import GivenAdvice, without_advice
from parammem.core.escape import clean
from parammem.core.outcome import Outcome, OutcomeSource
from parammem.core.step import Step
from parammem.core.task import Task
from parammem.errors import DataError, NotRecorded, UnknownRun
from parammem.experience.formats.base import is_deep
from parammem.service.access import TRUSTED, is_same, presented
from parammem.service.call_body import ClientGone, read_bytes, read_json
from parammem.service.run_book import TOO_LARGE, RunBook
from parammem.service.run_records import OpenRun, RunView
from parammem.service.strata import STRATUM, stratum_of

RUN_TOKEN = "x-parammem-run-token"
"""Header with a run's own token; it may also stand where the service's does."""
LARGEST_BODY = 4 << 20
"""Bytes of a request."""
MOST_STEPS = 1000
"""Of one request."""
OUT_OF_BOUNDS = "a number or the nesting is out of bounds, a name stands twice in an object, or it is not in UTF-8"
DEEPEST = 90
"""Levels of lists and objects in a request."""


class AdvisesRuns(Protocol):
    """What writes advice for a run: service/advisor.py."""

    async def advise(self, run: OpenRun, text: str) -> Any:
        """Return the advice (`given`), or why there is none (`why_not`). Never raises."""
        ...


class Begun(NamedTuple):
    """A run that was begun, and what it was advised."""

    run: OpenRun
    given: GivenAdvice | None
    why_not: str


class BadRequest(Exception):
    """What is wrong with a request, as its sender may read it."""

    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StartBody(_Body):
    """POST /v1/runs."""

    task: str
    domain: str = ""
    run_id: str = ""
    metadata: dict[str, Any] = {}
    """`stratum`, `model` and `agent` say which group of tasks this one is of (strata.py). All else is not kept."""


class StepsBody(_Body):
    """POST /v1/runs/{id}/steps."""

    steps: Annotated[list[Step], Field(max_length=MOST_STEPS)] = []
    tokens: Annotated[int, Field(ge=0, le=10**9, strict=True)] = 0
    error: Annotated[str, Field(max_length=2000)] = ""


class OutcomeBody(_Body):
    """POST /v1/runs/{id}/outcome."""

    passed: StrictBool | None
    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] | None = None
    source: OutcomeSource | Literal[""] | None = None
    answer: Annotated[str, Field(max_length=1 << 20)] = ""


async def begin(
    book: RunBook, advisor: AdvisesRuns, domain: str, task: str, run_id: str = "", stratum: str = ""
) -> Begun:
    """Begin a run and ask for its advice; of a run that was begun before the same again.

    Raises:
        DataError: no such domain, no task, or an id that is none.
        BadRequest: the id is another task's.
    """
    run = await asyncio.to_thread(book.start, domain, task, run_id=run_id, stratum=stratum)
    text = clean(without_advice(task).text).strip()
    if run.task != Task(task_id="", domain=domain, text=text).content:
        raise BadRequest("there is a run of this id, of another task; give each run an id of its own", 409, "conflict")
    if run.advised:
        return Begun(run, run.advice, run.why_not)
    told = await advisor.advise(run, text)
    await asyncio.to_thread(book.advised, run.run_id, told.given, told.why_not)
    return Begun(run, told.given, told.why_not or ("" if run.recorded else run.why_not))


def routes(book: RunBook, advisor: AdvisesRuns, params: Params) -> list[Route]:
    """Return the routes of runs."""
    default = params.service.domain or next(iter(params.domains))

    async def start(request: Request) -> Response:
        body = StartBody.model_validate(await read_body(request))
        if not isinstance(body.metadata.get("stratum", ""), str):
            raise BadRequest("metadata.stratum: no text")
        stratum = stratum_of(request.headers.get(STRATUM, ""), body.metadata)
        begun = await begin(book, advisor, body.domain or default, body.task, body.run_id, stratum)
        return JSONResponse(begun_as_json(begun))

    async def add_steps(request: Request) -> Response:
        run_id = await _allowed(request, book)
        body = StepsBody.model_validate(await read_body(request))
        if not await asyncio.to_thread(book.add_steps, run_id, body.steps, body.tokens, body.error):
            view = await asyncio.to_thread(book.get, run_id)
            if view is None:
                raise UnknownRun("no such run")
            if view.error == TOO_LARGE:
                raise BadRequest(TOO_LARGE, 413, "too_large")
            raise NotRecorded("the spool of runs is full or broken; the steps are not kept, and the run goes on")
        return JSONResponse({"recorded": True})

    async def outcome(request: Request) -> Response:
        run_id = await _allowed(request, book)
        body = OutcomeBody.model_validate(await read_body(request))
        told = Outcome(passed=body.passed, value=body.value, source=body.source or None)
        by = "the service's token" if request.scope.get(TRUSTED, True) else "the run's token"
        result = await asyncio.to_thread(book.report, run_id, told, by, body.answer)
        said = {"counts": result.counts, "late": result.late, "outcome": as_plain(result.outcome)}
        return JSONResponse(said)

    async def show(request: Request) -> Response:
        view = await asyncio.to_thread(book.get, await _allowed(request, book))
        if view is None:
            raise UnknownRun("no such run")
        return JSONResponse(view_as_json(view))

    named = "/v1/runs/{run_id}"
    return [
        Route("/v1/runs", _answering(start), methods=["POST"]),
        Route(f"{named}/steps", _answering(add_steps), methods=["POST"]),
        Route(f"{named}/outcome", _answering(outcome), methods=["POST"]),
        Route(named, _answering(show), methods=["GET"]),
    ]


def _answering(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler with every error turned into an answer."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except ClientGone:
            return Response(status_code=400)  # which nobody reads
        except BadRequest as error:
            return failure(str(error), error.status, error.kind)
        except ValidationError as error:
            return failure(in_words(error), 400)
        except UnknownRun:
            return failure(_UNKNOWN, 404, "not_found")
        except NotRecorded as error:
            return failure(str(error), 507, "not_recorded")
        except DataError as error:
            return failure(str(error), 400)

    return answer


_UNKNOWN = "no run of this id that you may see; send the service's token or the run's own (`token` of its answer)"


def failure(message: str, status: int, kind: str = "invalid_request") -> JSONResponse:
    """Return an error in OpenAI's form."""
    return JSONResponse({"error": {"message": message, "type": kind}}, status)


async def _allowed(request: Request, book: RunBook) -> str:
    """Return the run's id to those who may see it. Raises UnknownRun for others, whether there is such a run or not."""
    run_id = request.path_params["run_id"]
    given = request.headers.get(RUN_TOKEN) or presented(request.headers)
    if not (request.scope.get(TRUSTED, True) or is_same(given, book.token_of(run_id))):
        raise UnknownRun("no such run")
    return run_id


async def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request. Raises BadRequest: it is none, is too large, or holds what is no JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # what a form of a web page can send without being asked is refused
        raise BadRequest("send JSON, with content-type application/json", 415)
    try:
        data = await read_bytes(request.receive, LARGEST_BODY)
    except ValueError:
        said = f"the request is larger than {LARGEST_BODY} bytes; send steps in parts"
        raise BadRequest(said, 413, "too_large") from None
    try:
        body = read_json(data)
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, json.JSONDecodeError) else OUT_OF_BOUNDS
        raise BadRequest(f"this is no JSON: {said}") from None
    if not isinstance(body, dict) or is_deep(body, DEEPEST):
        raise BadRequest(f"send a JSON object of at most {DEEPEST} levels")
    return body


def in_words(error: ValidationError) -> str:
    """Return the first thing that is wrong with a request, without a value of it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))[:200] or 'the request'}: {first['msg']}"


def begun_as_json(begun: Begun) -> dict[str, Any]:
    """Return the answer to an agent that has begun a run, as JSON."""
    run, given = begun.run, begun.given
    return {
        "run_id": run.run_id,
        "domain": run.domain,
        "arm": run.arm,
        "advice": given and {"text": given.text, "digest": given.digest, "draw": given.draw, "adapter": given.adapter},
        "no_advice": "" if given else begun.why_not or f"the arm {run.arm} gives none",
        "recorded": run.recorded,
        "token": run.token,
    }


def view_as_json(view: RunView) -> dict[str, Any]:
    """Return a run as JSON."""
    return vars(view) | {
        "advice": view.advice and view.advice.model_dump(mode="json"),
        "outcome": view.outcome and as_plain(view.outcome),
        "steps": [step.model_dump(mode="json") for step in view.steps],
        "outcomes": [one._asdict() | {"outcome": as_plain(one.outcome)} for one in view.outcomes],
    }


def as_plain(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as an object with all its fields."""
    return {"passed": outcome.passed, "value": outcome.value, "source": outcome.source, "at": outcome.at}
