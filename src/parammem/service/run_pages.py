"""Pages to read runs: a list with filters, and one run with its task, advice, steps and outcomes.

All text on them comes from outside. It is escaped, what steers or reorders text is shown as an escape, no page has a
script, and the headers forbid the browser to run or load anything but the one style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import parammem.evaluation
from parammem.core.escape import printable
from parammem.core.live_run import LIVE_ARMS
from parammem.core.words import count
from parammem.errors import NotRecorded
from parammem.service.page_parts import (
    clipped,
    counts_by_arm,
    facts_of,
    line,
    list_row,
    outcomes_of_run,
    step_on_page,
)
from parammem.service.run_book import RunBook
from parammem.service.run_words import VERDICTS, advice_words, audit_commands, command_word, end_words, verdict

HERE = Path(__file__).parent
STYLE = "/runs/-/page.css"
"""No run's address: ids have no slash."""
FILTERS = ("domain", "arm", "outcome", "reflector")
RUNS, STEPS = 50, 100
"""Of one page."""
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def routes(book: RunBook, domains: Sequence[str]) -> list[Route]:
    """Return the routes of the pages.

    Args:
        domains: names that the filter offers.
    """

    def listed(request: Request) -> Response:
        return _answered(lambda: list_page(book, domains, dict(request.query_params)))

    def one(request: Request) -> Response:
        first = request.query_params.get("step", "1")
        return _answered(lambda: run_page(book, request.path_params["run_id"], int(first) if first.isdecimal() else 1))

    def style(_: Request) -> Response:
        return Response(style_sheet(), media_type="text/css", headers=HEADERS)

    return [Route("/runs", listed), Route(STYLE, style), Route("/runs/{run_id}", one)]


def page(name: str, status: int = 200, **values: Any) -> Response:
    """Return a page from its template, with the headers that all pages have."""
    text = _templates().get_template(f"{name}.html.j2").render(style=STYLE, **values)
    return Response(text, status, HEADERS, "text/html; charset=utf-8")


def list_page(book: RunBook, domains: Sequence[str], asked: dict[str, str]) -> Response:
    """Return the list of runs, newest first.

    Args:
        asked: values of FILTERS, and `before`: the id of the last run of the page before.
    """
    wanted = {name: line(asked.get(name, "").strip(), 200) for name in FILTERS}
    before = asked.get("before", "")[:200]
    found = book.list(**wanted, limit=RUNS + 1, before=before)
    rows = found[:RUNS]
    following = urlencode({**_said(wanted), "before": rows[-1].run_id}) if len(found) > RUNS else ""
    return page(
        "run_list",
        runs=[list_row(run) for run in rows],
        wanted=wanted,
        choices={"domain": tuple(domains), "arm": LIVE_ARMS, "outcome": VERDICTS},
        following=following,
        newest=urlencode(_said(wanted)) if before else "",
        is_filtered=bool(_said(wanted)),
        counts=counts_by_arm(book.stats().runs, wanted["domain"]),
    )


def run_page(book: RunBook, run_id: str, first: int = 1) -> Response:
    """Return the page of one run; 404 if there is none of that id.

    Args:
        first: number of the first step that is shown, from 1.
    """
    run = book.get(run_id)
    if run is None:
        ask = f"parammem audit answer {command_word(line(run_id))}"
        more = f"Runs that were handed over long ago are no longer here: `{ask}` still knows them."
        return page("run_message", 404, title="No such run", said=f"There is no run {line(run_id)!r} here.", more=more)
    first = max(1, min(first, len(run.steps)))
    steps = [step_on_page(number, one) for number, one in enumerate(run.steps, 1)][first - 1 : first - 1 + STEPS]
    return page(
        "run_page",
        run=run,
        facts=facts_of(run),
        task=clipped(run.text),
        advice=clipped(run.advice.text) if run.advice else None,
        advice_words=line(advice_words(run)),
        outcomes=outcomes_of_run(run),
        verdict=verdict(run),
        outcome=line(end_words(run)),
        error=line(run.error),
        steps=steps,
        first=first,
        last=first - 1 + len(steps),
        earlier=max(1, first - STEPS) if first > 1 else 0,
        later=first + STEPS if first + STEPS <= len(run.steps) else 0,
        commands=[(line(command, 2000), says) for command, says in audit_commands(run)],
        whole=line(f"parammem runs {command_word(run.run_id)}", 2000),
    )


@cache
def style_sheet() -> str:
    """Return the style sheet: the report's, and what these pages add."""
    shared = Path(parammem.evaluation.__file__).with_name("page.css")
    return "\n".join(file.read_text(encoding="utf-8") for file in (shared, HERE / "run_pages.css"))


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["more_words"] = lambda number: count(number, "more character", form=",")
    return made


def _answered(make: Callable[[], Response]) -> Response:
    try:
        return make()
    except NotRecorded as error:
        said = f"The spool cannot be read: {printable(str(error))}"
        return page("run_message", 503, title="No runs to show", said=said, more="")


def _said(wanted: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if value}
