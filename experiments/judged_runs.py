"""A project's own train runs as `parammem ingest` reads them: each with its task and its final verdict.

    python -m experiments.judged_runs --folder DIR --out FILE [--domain NAME] [--count N]

For another project, say one with another model: where they were made they are learned from already. Evaluation runs are
never among them. A run that cannot be judged is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.clones import ROOT
from parammem.checkout.places import Places
from parammem.config import load_params
from parammem.core import Trajectory, read_jsonl
from parammem.core.jsonl import write_text
from parammem.core.words import count as counted
from parammem.errors import DataError, ParamMemError
from parammem.stages.collect import final_verdicts
from parammem.stages.opening import open_domain
from parammem.stages.trusted import stage_keys, stage_tasks


def main(arguments: Sequence[str] | None = None) -> int:
    """Write them. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.judged_runs", description="Own runs, to be ingested.")
    parser.add_argument("--folder", type=Path, default=ROOT, help="the project whose runs are read")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--domain", default="code")
    parser.add_argument("--count", type=int, default=0, help="the first so many; 0: all")
    given = parser.parse_args(arguments)
    try:
        lines = list(judged_runs(given.folder, given.domain, given.count))
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_text(given.out, "".join(line + "\n" for line in lines))
    right = sum(json.loads(line)["outcome"] for line in lines)
    print(f"{counted(len(lines), 'run')} in {given.out}, {right} of them right by the final verdict")
    return 0


def judged_runs(folder: Path, domain: str, count: int = 0) -> Iterator[str]:
    """Yield a line for each run of the stage `collect`: {"task": …, "trajectory": …, "outcome": …}.

    Raises:
        DataError: there are no runs.
    """
    places = Places(folder, domain)
    if not places.trajectories.is_file():
        raise DataError(f"no {places.trajectories}; run `dvc repro collect@{domain}` there first")
    runs = read_jsonl(places.trajectories, Trajectory)[: count or None]
    tasks = {task.task_id: task for task in stage_tasks(places, "train")}
    keys = {key.task_id: key for key in stage_keys(places, "train")}
    judge = open_domain(load_params(folder / "params.yaml"), domain, folder).judge
    verdicts = final_verdicts(judge, tasks, keys, runs)
    for run in runs:
        if run.trajectory_id not in verdicts.unjudged:
            task, trajectory = tasks[run.task_id].model_dump(mode="json"), run.model_dump(mode="json")
            yield json.dumps({"task": task, "trajectory": trajectory, "outcome": verdicts.passed[run.trajectory_id]})


if __name__ == "__main__":
    sys.exit(main())
