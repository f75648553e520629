"""Evaluation of a domain of kind open without our own loop: by the user's own agent, or by what can be said offline."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from parammem.agents.own_agent import OwnRun
from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import Task, write_jsonl
from parammem.core.jsonl import write_text
from parammem.evaluation.runs import Run
from parammem.reflectors.base import Reflector
from parammem.stages.common import check_failures
from parammem.stages.own_runs import has_agent, own_agent, own_runs

NOT_MEASURED = "No outcome was measured: the domain has neither an agent nor a judge, so nothing could be run."
MEASURED = "Outcomes are those of the user's own agent, one run of every arm on every task."
NO_TASKS = "No outcome was measured: there are no evaluation tasks; give some in data/tasks-in, or bring in experience."


def evaluate_open(params: Params, places: Places, reflectors: Mapping[str, Reflector], tasks: Sequence[Task]) -> None:
    """Write runs of the user's agent, where there is one, and facts.json with what else can be said.

    Raises:
        TooManyFailures: more runs failed than agent.max_failed_share allows.
    """
    runs: list[OwnRun] = []
    if has_agent(params, places.domain):
        arms: dict[str, Reflector | None] = {"base": None, "paramagent": reflectors["trained"]}
        arms |= {f"paramagent.{name}": reflectors[name] for name in ("untrained", *params.train.controls)}
        agent = own_agent(params, places.domain, places.root)
        runs = list(own_runs(params, agent, arms, tasks, [params.evaluate.seed]).values())
        check_failures([run.trajectory for run in runs], params.agent.max_failed_share)
    write_jsonl(places.evaluation / "trajectories.jsonl", [run.trajectory for run in runs])
    write_jsonl(places.evaluation / "runs.jsonl", map(_record, runs))
    for name in ("other_protocols", "curve_runs"):
        write_jsonl(places.evaluation / f"{name}.jsonl", [])
    said = MEASURED if runs else NO_TASKS if has_agent(params, places.domain) else NOT_MEASURED
    facts = {"overlaps": {}, "sizes": {f"{places.domain}: evaluation tasks": len(tasks)}, "outcomes": said}
    losses = {name: _held_out_loss(places.reflector if name == "trained" else places.control(name))
              for name in ("trained", *params.train.controls)}  # fmt: skip
    text = json.dumps(facts | {"held_out_loss": losses}, indent=1, sort_keys=True)
    write_text(places.evaluation / "facts.json", text + "\n")


def _record(run: OwnRun) -> Run:
    done, passed = run.trajectory, bool(run.outcome.passed)
    advice = done.reflections[0].text if done.reflections else ""
    return Run(
        protocol=done.protocol,
        domain=done.domain,
        arm=done.method,
        task_id=done.task_id,
        passed=passed and not done.failure,
        visible_passed=None,
        solved_at=1 if passed and not done.failure else None,
        iterations=len(done.attempts),
        advice=((),),
        advice_texts=(advice,),
        stop=done.stop,
        failed=done.failure is not None or run.outcome.passed is None,
        trajectory_id=done.trajectory_id,
    )


def _held_out_loss(adapter: Path) -> dict[str, float]:
    """Return the loss on held-out rows, in nats per token, at the first and the last step at which it was taken. At
    step 0 an adapter changes nothing yet, so that is the base model's."""
    with (adapter / "losses.csv").open(encoding="utf-8") as lines:
        taken = [row for row in csv.DictReader(lines) if row["held_out_loss"]]
    return {f"step {row['step']}": float(row["held_out_loss"]) for row in (taken[:1] + taken[-1:])}
