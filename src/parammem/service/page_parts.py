"""What a page shows of a run, as plain words: all text from outside is one visible line, or clipped and printable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from parammem.core.escape import printable, shown
from parammem.core.live_run import LIVE_ARMS
from parammem.core.step import Step
from parammem.service.run_records import RunView, Verdict
from parammem.service.run_words import (
    VERDICTS,
    advice_words,
    arguments_text,
    counting_place,
    end_words,
    first_line,
    outcome_words,
    verdict,
    when,
)

LONGEST = 20_000
"""Characters of a text that a page shows; the terminal shows all."""


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


def list_row(run: RunView) -> dict[str, str]:
    """Return a run as a row of the list."""
    return {
        "address": address(run.run_id),
        "started": when(run.started),
        "domain": line(run.domain),
        "arm": run.arm,
        "attempt": f"{run.retry + 1}",
        "task": line(first_line(run.text), 160),
        "advice": line(run.advice.text if run.advice else advice_words(run), 160),
        "is_advised": "yes" if run.advice else "",
        "reflector": line(run.adapter[:12]) or "–",
        "verdict": verdict(run),
        "outcome": line(end_words(run)),
        "state": "" if run.state == "open" else run.state,
    }


def facts_of(run: RunView) -> list[tuple[str, str]]:
    """Return what stands at the head of a run's page, each with its name."""
    attempt = f"{run.retry + 1}" if run.retry else "1 (the first run of this task)"
    return [
        ("arm", run.arm),
        ("domain", f"{line(run.domain)}, run {run.number}"),
        ("state", run.state),
        ("try of this task", attempt),
        ("started, UTC", when(run.started)),
        ("last heard of, UTC", when(run.heard)),
        ("tokens", f"{run.tokens:,}" if run.tokens else "not known"),
        ("task's digest", run.task[:16]),
    ]


def outcomes_of_run(run: RunView) -> list[dict[str, str]]:
    """Return the rows of a run's outcomes; one says that it counts."""
    counting = counting_place(run)
    return [
        {
            "said": line(outcome_words(word.outcome)),
            "by": line(word.by) or "–",
            "at": when(word.at),
            "counts": "counts" if place == counting else "late: changed nothing" if word.late else "",
        }
        for place, word in enumerate(run.outcomes)
    ]


def step_on_page(number: int, step: Step) -> StepOnPage:
    """Return a step as a page shows it."""
    call = step.call
    named = f"call {call.id}" if call and call.id else f"result of {step.result_of}" if step.result_of else ""
    return StepOnPage(
        number, step.role, clipped(step.text), line(call.name) if call else "", clipped(arguments_text(step)),
        line(named), line(step.error, 2000),
    )  # fmt: skip


def counts_by_arm(runs: Mapping[tuple[str, str, Verdict], int], domain: str) -> list[list[str]]:
    """Return rows of an arm and its runs by outcome, of one domain or of all (an empty name)."""
    rows = []
    for arm in LIVE_ARMS:
        numbers = [
            sum(n for (name, of, how), n in runs.items() if of == arm and how == wanted and domain in ("", name))
            for wanted in VERDICTS
        ]
        if any(numbers):
            rows.append([arm, *(f"{number:,}" for number in (sum(numbers), *numbers))])
    return rows


def address(run_id: str) -> str:
    """Return the address of a run's page."""
    return f"/runs/{quote(run_id, safe='')}"


def line(text: str, most: int = 300) -> str:
    """Return text from outside as one visible line."""
    return shown(text, most)


def clipped(text: str) -> PageText:
    """Return text from outside with its lines, as far as a page shows it."""
    return PageText(printable(text[:LONGEST]), max(0, len(text) - LONGEST))
