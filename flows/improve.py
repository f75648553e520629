"""The flows of self-improvement: `improve`, `evaluate_champion` and `rollback`.

Each runs a table of steps of parammem.improve, a step a task, and leaves artifacts that say what came of it. What a
step does is decided below; here is only how often it is tried, and what Prefect shows.

python -m flows.improve [--force]       one turn now
python -m flows.serve                   by schedule
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from flows import ROOT, configured_server, pipeline
from flows.notify import tell_failure, tell_news
from flows.prefect_server import require_answer
from flows.rebuild import rebuild as rebuild_flow
from flows.show import decision_table, news, run_name, turn_page
from parammem.core.escape import markdown
from parammem.core.event import Event
from parammem.errors import ConfigError, LedgerError, ParamMemError
from parammem.improve import champion as room
from parammem.improve.contest_process import contest_in_process
from parammem.improve.run import improve as turn_of
from parammem.improve.steps import STEPS, TurnStep
from parammem.improve.turn import Ended, Tools, Turn, TurnReport
from parammem.registry.branch import ledger_at

# isort: split
from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

PERMANENT = (Ended, ConfigError, LedgerError)
"""Trying again changes nothing."""


class TurnFailed(RuntimeError):
    """A turn ended badly. Names the step, and carries its last lines."""


def worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    return not isinstance(state.result(raise_on_failure=False), PERMANENT)


def tools(actor: str, retries: int = 1) -> Tools:
    """Return what a turn needs, with the `rebuild` flow for the pipeline."""

    def rebuild(tree: Path, targets: list[str]) -> None:
        wanted = pipeline.with_needs(pipeline.stages(tree), targets)
        rebuild_flow(str(tree), wanted, retries, artifact=False)

    return Tools(rebuild=rebuild, compare=contest_in_process, say=say, actor=actor)


def say(text: str) -> None:
    """Write a line to the run's log, also from a thread that Prefect did not start."""
    try:
        get_run_logger().info(text)
    except RuntimeError:  # no run here: a reader thread of a command
        print(text, flush=True)


def as_tasks(names: list[str]) -> Callable[[TurnStep, Turn], None]:
    """Return a runner that makes a task of each step, and shows how far the turn is."""
    progress = create_progress_artifact(progress=0.0, key="improve-progress", description="steps of this turn")
    ended: list[Ended] = []

    def run(step: TurnStep, turn: Turn) -> None:
        @task(name=step.name, cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=worth_retrying)
        def one() -> None:
            try:
                step.run(turn)
            except Ended as end:  # not a failure, so the task does not show one
                ended.append(end)

        try:
            if step.name == "rebuild":
                step.run(turn)  # a flow with tasks of its own
            else:
                one.with_options(retries=step.tries - 1, retry_delay_seconds=5)()
        except (ParamMemError, OSError) as error:  # OSError: a full disk, say
            raise TurnFailed(f"step {step.name!r} failed: {error}\nThis leaves {step.crash}.") from error
        if step.name in names:
            update_progress_artifact(progress, progress=100.0 * (names.index(step.name) + 1) / len(names))  # pyright: ignore
        if ended:
            raise ended.pop()

    return run


@flow(name="improve", persist_result=False, on_failure=[tell_failure], on_crashed=[tell_failure])
def improve(root: str = str(ROOT), force: bool = False, retries: int = 1) -> str:
    """Run one turn of self-improvement: experience in, a challenger out if there is reason, the gate, what follows from
    it.

    Args:
        root: the repository.
        force: train although no trigger says so.
        retries: how often a failed stage of the pipeline is tried again.

    Returns:
        What came of it, in a line.

    Raises:
        TurnFailed, RebuildFailed: a step failed; with its last lines. Nothing is lost: the next run begins again.
    """
    report = turn_of(Path(root), tools("flow improve", retries), as_tasks([step.name for step in STEPS]), force)
    return publish("improve", report, Path(root))


@flow(name="evaluate-champion", persist_result=False, on_failure=[tell_failure], on_crashed=[tell_failure])
def evaluate_champion(root: str = str(ROOT), night: str = "") -> str:
    """Check, nightly, that each champion still holds; after two failures in a row it is rolled back."""
    report = room.evaluate_champion(Path(root), tools("flow evaluate-champion"), night, around=as_tasks([]))
    return publish("evaluate-champion", report, Path(root))


@flow(name="rollback", persist_result=False, on_failure=[tell_failure], on_crashed=[tell_failure])
def rollback(domain: str, to: str = "before", reason: str = "asked for", root: str = str(ROOT)) -> str:
    """Make an earlier champion champion again: a version (v2), "before" for the one before this one, or "none"."""
    report = room.rollback(Path(root), tools("flow rollback"), domain, to, reason, around=as_tasks([]))
    return publish("rollback", report, Path(root))


def publish(kind: str, report: TurnReport, root: Path) -> str:
    """Leave artifacts and events, which notifications are made from, and name the run after what it did."""
    events = written(root, report.commit)
    name_run(run_name(kind, report, events))
    create_markdown_artifact(key=kind, markdown=turn_page(report), description=markdown(report.headline))
    if report.decisions:
        create_table_artifact(
            key=f"{kind}-decisions",
            table=decision_table(report.decisions),
            description="shares solved in percent, the gain in points; none: no reflector",
        )
    told = news(report, events)
    tell_news(root, told, say)
    for one in told:
        resource = {"prefect.resource.id": f"parammem.reflector.{one.domain}"}
        emit_event(event=one.event, resource=resource, payload=one.payload)
    return report.headline


def name_run(name: str) -> None:
    """Rename the flow run that this is part of. That a name could not be given fails no run."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException
    from prefect.runtime import flow_run

    if not flow_run.id:
        return
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run.id), name=name)
    except (HTTPError, PrefectException) as error:
        say(f"the run keeps its first name: {type(error).__name__}")


def written(root: Path, commit: str) -> list[Event]:
    """Return what a commit added to the ledger; nothing for no commit. Checks and rollbacks make one commit each."""
    if not commit:
        return []
    before = {event.digest for event in ledger_at(root, f"{commit}^")}
    return [event for event in ledger_at(root, commit) if event.digest not in before]


def main() -> int:
    """Run `python -m flows.improve`. Exit code 1 when the turn failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.improve", description="Run one turn of self-improvement.")
    parser.add_argument("--root", default=str(ROOT), help="the repository (default: this one)")
    parser.add_argument("--force", action="store_true", help="train although no trigger says so")
    given = parser.parse_args()
    try:
        if api := configured_server():
            require_answer(api)
        print(improve(given.root, given.force))
    except (TurnFailed, ParamMemError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
