"""Pages to read runs: a list with filters, and one run with its task, advice, steps and outcomes.

All text on them comes from outside. It is escaped, what steers or reorders text is shown as an escape, no page has a
script, and the headers forbid the browser to run or load anything but the one style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import parammem.evaluation
from parammem.core.escape import printable, shown
from parammem.core.live_run import LIVE_ARMS
from parammem.core.step import Step
from parammem.core.words import count
from parammem.errors import NotRecorded
from parammem.service.run_book import RunBook
from parammem.service.run_records import RunView
from parammem.service.run_words import (
    VERDICTS,
    advice_words,
    arguments_text,
    audit_commands,
    counting_place,
    end_words,
    first_line,
    outcome_words,
    verdict,
    when,
)

HERE = Path(__file__).parent
STYLE = "/runs/-/page.css"
"""No run's address: ids have no slash."""
FILTERS = ("domain", "arm", "outcome", "reflector")
RUNS, STEPS = 50, 100
"""Of one page."""
LONGEST = 20_000
"""Characters of a text that a page shows; the terminal shows all."""
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class PageText(NamedTuple):
    """A text as a page shows it."""

    text: str
    left_out: int
    """Characters behind it that are not shown."""


class StepOnPage(NamedTuple):
    """A step as a page shows it."""

    number: int
    role: str
    text: PageText
    call: str
    """Name of the tool; empty: the step is no call."""
    arguments: PageText
    ids: str
    """By which a call and its result belong together."""
    error: str


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
    wanted = {name: _line(asked.get(name, "").strip(), 200) for name in FILTERS}
    before = asked.get("before", "")[:200]
    found = book.list(**wanted, limit=RUNS + 1, before=before)
    rows = found[:RUNS]
    following = urlencode({**_said(wanted), "before": rows[-1].run_id}) if len(found) > RUNS else ""
    return page(
        "run_list",
        runs=[_row(run) for run in rows],
        wanted=wanted,
        choices={"domain": tuple(domains), "arm": LIVE_ARMS, "outcome": VERDICTS},
        following=following,
        newest=urlencode(_said(wanted)) if before else "",
        is_filtered=bool(_said(wanted)),
        counts=_counts(book, wanted["domain"]),
    )


def run_page(book: RunBook, run_id: str, first: int = 1) -> Response:
    """Return the page of one run; 404 if there is none of that id.

    Args:
        first: number of the first step that is shown, from 1.
    """
    run = book.get(run_id)
    if run is None:
        said = shown(run_id)
        more = (
            f"Runs that were handed over long ago are no longer here: `parammem audit answer {said}` still knows them."
        )
        return page("run_message", 404, title="No such run", said=f"There is no run {said!r} here.", more=more)
    first = max(1, min(first, len(run.steps)))
    steps = [_step(number, one) for number, one in enumerate(run.steps, 1)][first - 1 : first - 1 + STEPS]
    return page(
        "run_page",
        run=run,
        facts=_facts(run),
        task=_clipped(run.text),
        advice=_clipped(run.advice.text) if run.advice else None,
        advice_words=_line(advice_words(run)),
        outcomes=_outcomes(run),
        verdict=verdict(run),
        outcome=_line(end_words(run)),
        error=_line(run.error),
        steps=steps,
        first=first,
        last=first - 1 + len(steps),
        earlier=max(1, first - STEPS) if first > 1 else 0,
        later=first + STEPS if first + STEPS <= len(run.steps) else 0,
        commands=[(_line(command), says) for command, says in audit_commands(run)],
        whole=_line(f"parammem runs {run.run_id}"),
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
    made.globals["runs_words"] = lambda number: count(number, "run", form=",")
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


def _row(run: RunView) -> dict[str, str]:
    return {
        "address": _address(run.run_id),
        "started": when(run.started),
        "domain": _line(run.domain),
        "arm": run.arm,
        "attempt": f"{run.retry + 1}",
        "task": _line(first_line(run.text), 160),
        "advice": _line(run.advice.text if run.advice else advice_words(run), 160),
        "is_advised": "yes" if run.advice else "",
        "reflector": _line(run.adapter[:12]) or "–",
        "verdict": verdict(run),
        "outcome": _line(end_words(run)),
        "state": "" if run.state == "open" else run.state,
    }


def _facts(run: RunView) -> list[tuple[str, str]]:
    attempt = f"{run.retry + 1}" if run.retry else "1 (the first run of this task)"
    return [
        ("arm", run.arm),
        ("domain", f"{_line(run.domain)}, run {run.number}"),
        ("state", run.state),
        ("try of this task", attempt),
        ("started, UTC", when(run.started)),
        ("last heard of, UTC", when(run.heard)),
        ("tokens", f"{run.tokens:,}" if run.tokens else "not known"),
        ("task's digest", run.task[:16]),
    ]


def _outcomes(run: RunView) -> list[dict[str, str]]:
    counting = counting_place(run)
    return [
        {
            "said": _line(outcome_words(word.outcome)),
            "by": _line(word.by) or "–",
            "at": when(word.at),
            "counts": "counts" if place == counting else "late: changed nothing" if word.late else "",
        }
        for place, word in enumerate(run.outcomes)
    ]


def _step(number: int, step: Step) -> StepOnPage:
    call = step.call
    named = f"call {call.id}" if call and call.id else f"result of {step.result_of}" if step.result_of else ""
    return StepOnPage(
        number, step.role, _clipped(step.text), _line(call.name) if call else "", _clipped(arguments_text(step)),
        _line(named), _line(step.error, 2000),
    )  # fmt: skip


def _counts(book: RunBook, domain: str) -> list[list[str]]:
    """Arm, and its runs by outcome, of one domain or of all."""
    runs = book.stats().runs
    rows = []
    for arm in LIVE_ARMS:
        numbers = [
            sum(n for (name, of, how), n in runs.items() if of == arm and how == wanted and domain in ("", name))
            for wanted in VERDICTS
        ]
        if any(numbers):
            rows.append([arm, *(f"{number:,}" for number in (sum(numbers), *numbers))])
    return rows


def _address(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


def _line(text: str, most: int = 300) -> str:
    return shown(text, most)


def _clipped(text: str) -> PageText:
    return PageText(printable(text[:LONGEST]), max(0, len(text) - LONGEST))
