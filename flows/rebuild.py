"""The `rebuild` flow: the DVC pipeline stage by stage, with retries, and one artifact that says what happened.

python -m flows.rebuild [STAGE...]      run now, and log to W&B (a temporary Prefect server when none is configured)
python -m flows.serve --cron CRON       run by schedule
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from flows import ROOT, configured_server, pipeline
from flows.notify import tell_failure
from flows.pipeline import StageResult
from flows.prefect_server import require_answer
from parammem.checkout.lock import locked
from parammem.checkout.processes import run_guarded
from parammem.config import load_params
from parammem.errors import ConfigError, DataError, LineageError, ParamMemError, ValidationFailed

# isort: split
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

ARTIFACT_KEY = "rebuild"
USAGE_ERROR = 2
PERMANENT = {USAGE_ERROR, *(kind.exit_code for kind in (ConfigError, DataError, LineageError, ValidationFailed))}
"""Exit codes of a stage that would fail again: trying again changes nothing."""
METRIC_ROWS = 40
TRACK = "track"
WAIT_SECONDS = 3600.0
"""How long to wait for another run, where there is no params.yaml to say it."""


class StageFailed(RuntimeError):
    """One stage failed. Carries its result, so that the flow can report it."""

    def __init__(self, result: StageResult):
        super().__init__(explain(result))
        self.result = result


class RebuildFailed(RuntimeError):
    """The pipeline could not be brought up to date. Names every failed stage with its last lines."""


def worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether this failure is one that may go away by itself."""
    error = state.result(raise_on_failure=False)
    return not (isinstance(error, StageFailed) and error.result.exit_code in PERMANENT)


# NO_CACHE: equal arguments do not mean that there is nothing to do; DVC finds out whether there is.
@task(cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=worth_retrying)
def run_stage(stage: str, root: str) -> StageResult:
    """Run one stage through DVC. Raises StageFailed."""
    result = pipeline.reproduce(stage, Path(root), get_run_logger().info)
    if result.outcome == "failed":
        raise StageFailed(result)
    return result


@task(name=TRACK, cache_policy=NO_CACHE, persist_result=False)
def track_runs(root: str) -> StageResult:
    """Log the new runs to W&B (offline without a key). What it has logged before it does not log again."""
    command = [sys.executable, "-m", "parammem.cli", "track"]
    code, tail = run_guarded(command, Path(root), get_run_logger().info)
    return StageResult(TRACK, "failed" if code else "ran", exit_code=code, tail=tuple(tail) if code else ())


@flow(name="rebuild", persist_result=False, on_failure=[tell_failure], on_crashed=[tell_failure])
def rebuild(
    root: str = str(ROOT),
    targets: list[str] | None = None,
    retries: int = 1,
    retry_seconds: int = 10,
    track: bool = False,
    artifact: bool = True,
) -> list[StageResult]:
    """Bring the pipeline up to date, in this very tree, with the repository's lock held.

    Args:
        root: the repository.
        targets: stages to run, in pipeline order; all when empty. Stages they depend on are not added,
            but for `code`, which tells them whether their sources changed.
        retries: how often a failed stage is tried again, unless its exit code says that this is no use.
        retry_seconds: the wait before that.
        track: log the new runs to W&B afterwards.
        artifact: leave a page that says what became of each stage.

    Raises:
        RebuildFailed: a stage failed; stages that do not depend on it ran all the same.
        DataError: another run held the lock for longer than `improve.wait_seconds`.
    """
    with locked(Path(root), "flow rebuild", patience(Path(root)), get_run_logger().info):
        results = bring_up_to_date(root, targets or [], retries, retry_seconds)
        if track:
            results.append(track_runs(root))
    if artifact:
        create_markdown_artifact(key=ARTIFACT_KEY, markdown=summary(results, pipeline.metrics(Path(root))))
    failed = [result for result in results if result.outcome == "failed"]
    if failed:
        raise RebuildFailed("\n\n".join(map(explain, failed)))
    return results


def patience(root: Path) -> float:
    """Return seconds to wait for the lock, as for any other run."""
    params = root / "params.yaml"
    return load_params(params).improve.wait_seconds if params.is_file() else WAIT_SECONDS


def bring_up_to_date(root: str, targets: list[str], retries: int, retry_seconds: int) -> list[StageResult]:
    """Bring stages up to date; return what became of each stage that was asked for. Raises ValueError for a stage that
    is not there."""
    graph = pipeline.stages(Path(root))
    unknown = sorted(set(targets) - set(graph))
    if unknown:
        raise ValueError(f"no stage {', '.join(unknown)} in {root}/dvc.yaml; there are: {', '.join(graph)}")
    names = [name for name in graph if not targets or name in targets or name == pipeline.CODE]
    if pipeline.stale(Path(root)).isdisjoint(names):
        get_run_logger().info("nothing to do: every stage is up to date")
        return [StageResult(name, "unchanged") for name in names]
    return run_in_order(names, graph, root, retries, retry_seconds)


def run_in_order(
    names: list[str], graph: dict[str, set[str]], root: str, retries: int, retry_seconds: int
) -> list[StageResult]:
    """Run each stage after what it needs; a failure keeps back only the stages that depend on it."""
    results: list[StageResult] = []
    broken: set[str] = set()
    for name in names:
        if graph[name] & broken:
            broken.add(name)
            results.append(StageResult(name, "not run"))
            continue
        attempt = run_stage.with_options(name=name, retries=retries, retry_delay_seconds=retry_seconds)
        try:
            results.append(attempt(name, root))
        except StageFailed as failure:
            broken.add(name)
            results.append(failure.result)
    return results


def explain(result: StageResult) -> str:
    """Describe a failed stage in words: its name, its code, its last lines, and what to do."""
    what, again = f"stage {result.stage!r}", f"dvc repro {result.stage}"
    if result.stage == TRACK:  # no stage of the pipeline
        what, again = "logging to W&B", "parammem track"
    code = f" with exit code {result.exit_code}" if result.exit_code is not None else ""
    tail = "\n".join(f"    {line}" for line in result.tail)
    return f"{what} failed{code}. Its last lines:\n{tail}\nMend it, then `{again}`."


def summary(results: list[StageResult], metrics: dict[str, float]) -> str:
    """Return the artifact: a headline, what became of each stage, and the pass rates (or the first metrics there
    are)."""
    lines = [f"# {headline(results)}", "", "| stage | outcome | seconds |", "|---|---|---|"]
    lines += [f"| {result.stage} | {result.outcome} | {result.seconds:.1f} |" for result in results]
    for result in results:
        if result.outcome == "failed":
            lines += ["", f"## {result.stage}", "", "```", *result.tail, "```"]
    shown = {key: value for key, value in metrics.items() if key.endswith(".pass_rate")} or metrics
    if shown:
        lines += ["", "| metric | value |", "|---|---|"]
        lines += [f"| {key} | {value:.4g} |" for key, value in list(shown.items())[:METRIC_ROWS]]
    return "\n".join(lines)


def headline(results: list[StageResult]) -> str:
    """Return how many stages did what. Logging counts only if it failed: it looks every time whether there is
    something."""
    counted = [result for result in results if result.stage != TRACK or result.outcome == "failed"]
    counts = {kind: sum(result.outcome == kind for result in counted) for kind in ("ran", "restored", "failed")}
    if not any(counts.values()):
        return "Nothing to do: every stage is up to date"
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return f"{said}, of {sum(result.stage != TRACK for result in results)} stages"


def main() -> int:
    """Run `python -m flows.rebuild`. Exit code 1 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.rebuild", description="Bring the pipeline up to date.")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="stages to run; all when none is named")
    parser.add_argument("--root", default=str(ROOT), help="the repository (default: this one)")
    parser.add_argument("--retries", type=int, default=1, help="tries again of a failed stage (default: 1)")
    parser.add_argument(
        "--track",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="log the new runs to W&B afterwards, offline without a key",
    )
    given = parser.parse_args()
    try:
        if api := configured_server():
            require_answer(api)
        results = rebuild(given.root, given.targets or None, given.retries, track=given.track)
    except (ParamMemError, RebuildFailed, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(headline(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
