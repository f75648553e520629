"""Champion and challenger meet: the same agent with no reflector, with the one and with the other, on the same tasks and
seeds. Here outcomes and guards are gathered; what follows from them is the gate's affair.

python -m parammem.improve.judge --domain code --challenger DIR [--champion DIR] --out FILE
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parammem.agents import batch
from parammem.agents.loop import Agent, solve
from parammem.agents.methods import METHODS
from parammem.config import Params, load_params
from parammem.core import AnswerKey, ReflectionExample, Task, Trajectory, digest_of, read_jsonl
from parammem.core.decision import Guard
from parammem.core.event import Ingested
from parammem.core.experience import Experience
from parammem.core.jsonl import write_text
from parammem.domains import Domain
from parammem.engines.base import Engine, Request
from parammem.errors import ParamMemError
from parammem.experience.store import FRESH, KEYS
from parammem.gate import guards
from parammem.gate.evidence import Evidence, SliceOutcomes
from parammem.reflectors.parametric import ParamMem, Untrained, read_adapter
from parammem.registry.ledger import Ledger
from parammem.stages.collect import final_verdicts
from parammem.stages.common import Engines, budget, check_failures, progress_bar
from parammem.stages.opening import open_domain
from parammem.stages.places import Places

CANARIES = 12
"""Tasks whose greedy advice tells two models apart."""
DRAWS = 5
"""Pieces of advice per task in which diversity is counted."""
DRAWN_TASKS = 40


@dataclass(frozen=True)
class Slice:
    """Tasks with their keys."""

    name: str
    tasks: list[Task]
    keys: dict[str, AnswerKey]


@dataclass(frozen=True)
class Arm:
    """One agent of the meeting."""

    name: str
    agent: Agent
    reflector: ParamMem | None


def meet(params: Params, domain: str, champion: Path | None, challenger: Path, root: Path = Path()) -> Evidence:
    """Run the arms `none`, champion and challenger on the anchor and the fresh slice, and look at every guard.

    Args:
        champion: its adapter folder; None: there is none, and the arm `none` stands in its place.
        root: has data/, reports/ and the base model; in a turn the worktree.

    Raises:
        TooManyFailures, DataError, EngineError, AdapterError, SandboxError.
    """
    places, engines, judge = Places(root, domain), Engines(params, root), open_domain(params, domain)
    actor = engines.open()
    arms = _arms(params, judge, actor, engines, champion, challenger)
    slices = [anchor(places), fresh(root, domain, params.gate.fresh_tasks)]
    runs = {one.name: _run(params, arms, one) for one in slices}
    check_failures([t for by_arm in runs.values() for t in _all(by_arm)], params.agent.max_failed_share)
    outcomes = tuple(_outcomes(params, judge, one, runs[one.name]) for one in slices)
    return Evidence(
        domain=domain,
        champion=read_adapter(champion).digest if champion else "",
        challenger=read_adapter(challenger).digest,
        slices=outcomes,
        guards=_guards(params, places, arms, slices, runs, actor, judge, challenger),
        inputs=_inputs(places, slices),
    )


def anchor(places: Places) -> Slice:
    """The evaluation tasks that do not change: those of known kinds."""
    keys = {key.task_id: key for key in read_jsonl(places.keys("eval"), AnswerKey)}
    return Slice("anchor", [t for t in read_jsonl(places.tasks("eval"), Task) if t.task_id in keys], keys)


def fresh(root: Path, domain: str, most: int) -> Slice:
    """The newest tasks that were split off from experience and came with a key, each once."""
    facts = [e.fact for e in Ledger(root).read() if isinstance(e.fact, Ingested) and e.fact.fresh]
    tasks: dict[str, Task] = {}
    keys: dict[str, AnswerKey] = {}
    for name in dict.fromkeys(fact.fresh for fact in reversed(facts)):
        place, answers = root / FRESH / f"{name}.jsonl", root / KEYS / f"{name}.jsonl"
        if not place.is_file() or not answers.is_file():
            continue
        known = {key.task_id: key for key in read_jsonl(answers, AnswerKey) if key.domain == domain}
        for row in read_jsonl(place, Experience):
            if row.task.domain == domain and row.task.task_id in known and row.task.content not in tasks:
                named = {"task_id": f"{name[:12]}/{row.task.task_id}"}  # ids of other agents may be the same
                tasks[row.task.content] = row.task.model_copy(update=named)
                keys[named["task_id"]] = known[row.task.task_id].model_copy(update=named)
    newest = list(tasks.values())[:most]
    return Slice("fresh", newest, {task.task_id: keys[task.task_id] for task in newest})


def _arms(
    params: Params, judge: Domain, actor: Engine, engines: Engines, champion: Path | None, challenger: Path
) -> list[Arm]:
    """The same loop for all: reflexion, with advice from the reflector where there is one."""
    shared = {"domain": judge, "actor": actor, "budget": budget(params)}
    found = [Arm("none", Agent(method=METHODS["reflexion"], arm="none", **shared), None)]
    for name, folder in (("champion", champion), ("challenger", challenger)):
        if folder is not None:
            engine = engines.open(params.reflector.base, adapter=folder)
            reflector = ParamMem(adapter=read_adapter(folder), engine=engine, domain=judge)
            agent = Agent(method=METHODS["paramagent"], reflector=reflector, arm=name, **shared)
            found.append(Arm(name, agent, reflector))
    return found


def _run(params: Params, arms: Sequence[Arm], one: Slice) -> dict[str, list[list[Trajectory]]]:
    """Arm → run → trajectories in the order of the tasks. All in one batch, which the engines like."""
    seeds = [params.evaluate.seed + number for number in range(params.gate.runs)]
    wanted = [(arm.name, seed) for arm in arms for seed in seeds]
    agents = {arm.name: arm.agent for arm in arms}
    runs = [solve(agents[name], task, seed) for name, seed in wanted for task in one.tasks]
    done = batch.run(runs, progress_bar(len(runs), f"{one.name} slice")) if runs else []
    size = len(one.tasks)
    found: dict[str, list[list[Trajectory]]] = {arm.name: [] for arm in arms}
    for place, (name, _) in enumerate(wanted):
        found[name].append(done[place * size : (place + 1) * size])
    return found


def _outcomes(params: Params, judge: Domain, one: Slice, runs: Mapping[str, list[list[Trajectory]]]) -> SliceOutcomes:
    """The hidden verdicts, asked once and after all loops."""
    tasks = {task.task_id: task for task in one.tasks}
    passed = final_verdicts(judge, tasks, one.keys, _all(runs)) if tasks else {}
    counts = {
        arm: tuple(sum(passed[t.trajectory_id] for t in of_task) for of_task in zip(*by_run, strict=True))
        for arm, by_run in runs.items()
    }
    contents = tuple(task.content for task in one.tasks)
    return SliceOutcomes(name=one.name, tasks=contents, runs=params.gate.runs, **counts)  # pyright: ignore


def _all(runs: Mapping[str, list[list[Trajectory]]]) -> list[Trajectory]:
    return [t for by_run in runs.values() for one in by_run for t in one]


def _guards(
    params: Params,
    places: Places,
    arms: Sequence[Arm],
    slices: Sequence[Slice],
    runs: Mapping[str, Mapping[str, list[list[Trajectory]]]],
    actor: Engine,
    judge: Domain,
    challenger: Path,
) -> tuple[Guard, ...]:
    """Data, leakage, that the adapter is in force, tokens and diversity."""
    rows = read_jsonl(places.validated, ReflectionExample)
    report = json.loads(places.validation.read_text()) if places.validation.is_file() else None
    trained_on = (challenger / "rows.txt").read_text().split()
    judged = [task for one in slices for task in one.tasks]
    reflectors = {arm.name: arm.reflector for arm in arms if arm.reflector}
    new = reflectors["challenger"]
    base = Untrained(actor, judge)
    canary = judged[:CANARIES]
    said = {name: _advice(one, canary, 0.0, 1, params) for name, one in reflectors.items()}
    said["base"] = _advice(base, canary, 0.0, 1, params)
    sample = judged[:DRAWN_TASKS]
    old = reflectors.get("champion", base)
    temperature = params.agent.reflector_temperature
    reigning = "champion" if "champion" in reflectors else "none"
    found = [
        guards.validated(report, trained_on, [row.row_hash for row in rows]),
        guards.no_leakage(rows, judged, params.validate_.near_duplicate),
        guards.differs("loads", "the base model's", _flat(said["challenger"]), _flat(said["base"])),
        guards.tokens(_tokens(runs, reigning), _tokens(runs, "challenger"), params.gate.max_token_ratio),
        guards.diversity(
            _distinct(_advice(old, sample, temperature, DRAWS, params)),
            _distinct(_advice(new, sample, temperature, DRAWS, params)),
            params.gate.min_diversity_ratio if reigning == "champion" else 0.0,
        ),
    ]
    return tuple(found)


def _advice(
    reflector: ParamMem | Untrained, tasks: Sequence[Task], temperature: float, count: int, params: Params
) -> list[list[str]]:
    requests = [
        Request(
            messages=reflector.messages(task),
            temperature=temperature,
            max_tokens=params.engine.max_advice_tokens,
            seed=params.evaluate.seed,
            n=count,
            first_draw=2000,  # not the draws that the loop has used
        )
        for task in tasks
    ]
    return [[draw.text.strip() for draw in draws] for draws in reflector.engine.complete(requests)]


def _flat(texts: Sequence[Sequence[str]]) -> list[str]:
    return [text for many in texts for text in many]


def _distinct(texts: Sequence[Sequence[str]]) -> float:
    """Distinct pieces of advice per task."""
    return sum(len(set(many)) for many in texts) / len(texts) if texts else 0.0


def _tokens(runs: Mapping[str, Mapping[str, list[list[Trajectory]]]], arm: str) -> float:
    """Tokens written per task, by whoever wrote them."""
    done = [t for by_arm in runs.values() for one in by_arm[arm] for t in one]
    written = sum(used.completion_tokens for t in done for used in t.usage.values())
    return written / len(done) if done else 0.0


def _inputs(places: Places, slices: Sequence[Slice]) -> dict[str, str]:
    files = {"validated rows": places.validated, "validation": places.validation}
    found = {name: digest_of(path.read_bytes()) for name, path in files.items() if path.is_file()}
    return found | {f"{one.name} tasks": digest_of([task.content for task in one.tasks]) for one in slices}


def main() -> int:
    """For `meet_in_process`. The evidence goes to a file; errors are one line."""
    parser = argparse.ArgumentParser(prog="python -m parammem.improve.judge")
    parser.add_argument("--domain", required=True)
    parser.add_argument("--challenger", type=Path, required=True)
    parser.add_argument("--champion", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        evidence = meet(load_params(), given.domain, given.champion, given.challenger)
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_text(given.out, evidence.model_dump_json(indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
