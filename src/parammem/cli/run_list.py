"""`parammem runs`: runs of agents in use, read from the spool; a service may be running beside it, or none."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from parammem.cli.options import PARAMS, ParamsFile
from parammem.cli.say import say
from parammem.cli.text_table import aligned
from parammem.config import load_params
from parammem.core.escape import shown
from parammem.core.live_run import LIVE_ARMS, LiveArm
from parammem.core.words import count
from parammem.errors import UnknownRun
from parammem.service.run_records import ArmsNow, RunView, Verdict

HEAD = ("started, UTC", "domain", "arm", "try", "outcome", "reflector", "run", "task")
TASK = 60
"""Characters of a task in the list."""


def runs(
    run: Annotated[str, typer.Argument(help="Id of a run: show it whole.", show_default=False)] = "",
    domain: Annotated[str, typer.Option("--domain", "-d", help="Runs of this domain.", show_default="all")] = "",
    arm: Annotated[
        LiveArm | None, typer.Option(help=f"Runs of this arm: {', '.join(LIVE_ARMS)}.", show_default="all")
    ] = None,
    outcome: Annotated[Verdict | None, typer.Option(help="Runs that ended so.", show_default="all")] = None,
    reflector: Annotated[str, typer.Option(help="Beginning of the digest of an adapter.", show_default="all")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    before: Annotated[str, typer.Option(help="Id of a run: go on behind it.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout: a list, or with an id one object.")] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """List runs of agents in use, newest first, or show one with its task, advice, steps and outcomes."""
    loaded = load_params(params)
    from parammem.service.run_book import RunBook

    book = RunBook(params.resolve().parent, loaded, lambda _: ArmsNow({"holdout": 1.0}, {}), read_only=True)
    try:
        if run:
            _say_one(book.get(run), run, as_json)
        else:
            found = book.list(domain, arm or "", outcome or "", reflector, limit, before)
            _say_all(found, limit, as_json)
    finally:
        book.close()


def _say_all(found: list[RunView], limit: int, as_json: bool) -> None:
    from parammem.service.run_routes import view_as_json
    from parammem.service.run_words import command_word

    if as_json:
        say(json.dumps([view_as_json(one) for one in found], indent=2))
    elif not found:
        say("no run is like that; `parammem runs` lists all")
    else:
        say(aligned(HEAD, [_row(one) for one in found], left=len(HEAD)))
        if len(found) == limit:
            say(f"older ones: --before {command_word(found[-1].run_id)}", err=True)


def _row(run: RunView) -> tuple[str, ...]:
    from parammem.service.run_words import end_words, first_line, when

    author = run.adapter[:12] or "–"
    told = (when(run.started), run.domain, run.arm, str(run.retry + 1), end_words(run), author, run.run_id)
    return *told, shown(first_line(run.text), TASK)


def _say_one(run: RunView | None, name: str, as_json: bool) -> None:
    from parammem.service.run_words import command_word

    if run is None:
        raise UnknownRun(
            f"no run {name!r} in the spool; `parammem runs` lists those that are there, and `parammem audit answer "
            f"{command_word(shown(name))}` finds those that were handed over long ago"
        )
    if as_json:
        from parammem.service.run_routes import view_as_json

        say(json.dumps(view_as_json(run), indent=2))
    else:
        say("\n".join(_lines(run)))


def _lines(run: RunView) -> list[str]:
    """Return a run as lines of text: what its page shows, with all texts whole."""
    from parammem.service.run_words import advice_words, audit_commands, counting_place, end_words, outcome_words, when

    known = (
        f"try {run.retry + 1} of its task, {count(run.tokens, 'token', form=',') if run.tokens else 'tokens not known'}"
    )
    lines = [
        f"run {run.run_id}: {end_words(run)}",
        f"  {run.domain}, run {run.number}; arm {run.arm}; {run.state}; {known}",
        f"  started {when(run.started)}, last heard of {when(run.heard)} (UTC)",
        *([f"  {run.error}"] if run.error else []),
        "",
        "task",
        _indented(run.text),
        "",
        f"advice: {advice_words(run)}",
    ]
    if run.advice:
        author = run.advice.adapter[:16] or "not known"
        lines += [_indented(run.advice.text), f"  digest {run.advice.digest[:16]}, by reflector {author}"]
    counting = counting_place(run)
    lines += ["", "outcomes" if run.outcomes else "outcomes: none was reported"]
    for place, word in enumerate(run.outcomes):
        what = "  (counts)" if place == counting else "  (late: changed nothing)" if word.late else ""
        lines.append(f"  {when(word.at)}  {outcome_words(word.outcome)}{f', {word.by}' if word.by else ''}{what}")
    lines += ["", count(len(run.steps), "step"), *(_step(number, run) for number in range(1, len(run.steps) + 1))]
    return [*lines, "", *(f"{command}  {says}" for command, says in audit_commands(run))]


def _step(number: int, run: RunView) -> str:
    from parammem.service.run_words import arguments_text

    step = run.steps[number - 1]
    called = f" calls {step.call.name}" if step.call else ""
    named = step.call.id if step.call else step.result_of
    parts = [f"{number} {step.role}{called}{f' ({named})' if named else ''}"]
    parts += [_indented(text) for text in (step.text, arguments_text(step)) if text]
    return "\n".join([*parts, *([f"  error: {step.error}"] if step.error else [])])


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
