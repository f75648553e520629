"""evaluate: every method, and every reflector control, on the same evaluation tasks at the same budget.

All runs go through one loop in one batch. The hidden verdict is asked once, when every loop has ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from parammem.agents.bank import Embed, TrajectoryBank
from parammem.agents.loop import Agent
from parammem.agents.methods import METHODS, get_method
from parammem.agents.run import Job
from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import AnswerKey, ReflectionExample, Task, Trajectory, read_jsonl, write_jsonl
from parammem.core.adapter import read_card
from parammem.core.jsonl import write_text
from parammem.domains import Domain, Example, Prompts
from parammem.domains.conventions import conventions_of, kinds_of
from parammem.embeddings import embed
from parammem.engines.sampling import EVALUATION_DRAWS
from parammem.evaluation.runs import AdviceDraws, OpenTask, Run, slice_of
from parammem.experience.replay import select
from parammem.reflectors.base import Reflector
from parammem.reflectors.parametric import ParamMem, Untrained
from parammem.reflectors.retrieved import Constant, Retrieved
from parammem.stages.bench import Bench
from parammem.stages.collect import final_verdicts
from parammem.stages.common import Engines, accounted, check_failures
from parammem.stages.evaluate_open import evaluate_open
from parammem.stages.majority import majority_advice
from parammem.stages.opening import is_pocket, open_domain
from parammem.stages.own_runs import has_agent, measures
from parammem.stages.protocols import ORACLES, calls_doubled, joined, named, phases_of, under
from parammem.stages.ray.executor import Executor, open_executor
from parammem.stages.rounds import earlier_rounds
from parammem.stages.trusted import stage_keys, stage_tasks

SLICES: tuple[Literal["eval", "unseen"], ...] = ("eval", "unseen")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationBench(Bench):
    """What all arms of one domain's evaluation share."""

    places: Places
    reflectors: Mapping[str, Reflector]
    """trained, untrained, shuffled, other_world, majority, retrieved."""
    embed: Embed = embed
    """Of banks and retrieval."""


def run(params: Params, domain: str, root: Path = Path(".")) -> None:
    """Write reports/evaluation/<domain>/: trajectories, runs, curve runs, advice draws, open tasks and facts.

    Raises:
        TooManyFailures, DataError, EngineError, AdapterError, SandboxError.
    """
    places, engines, opened = Places(root, domain), Engines(params, root), open_domain(params, domain, root)
    with (
        accounted(engines, "evaluate", domain, places.work("evaluate")),
        open_executor(params, engines, opened, root) as executor,
    ):
        bench = _bench(params, places, engines, opened, executor)
        own = has_agent(params, domain) or not measures(params, domain)
        evaluate_open(params, places, bench.reflectors, bench.tasks["eval"]) if own else _evaluate(bench)
        keys = _keys(places)
        write_jsonl(places.evaluation / "draws.jsonl", _draws(bench, keys))
        write_jsonl(places.evaluation / "open_tasks.jsonl", _open_tasks(bench, keys))


def _evaluate(bench: EvaluationBench) -> None:
    """Run our own loop in every arm, and write what came of it."""
    params, places, bank = bench.params, bench.places, _bank(bench)
    trajectories = _under(bench, params.evaluate.protocol, bank)
    others = [t for name in params.evaluate.also for t in _under(bench, name, bank)]
    curve = _curve(bench)
    check_failures([*trajectories, *others, *(t for _, t in curve)], params.agent.max_failed_share)
    keys = _keys(places)
    verdicts = _verdicts(bench, keys, [*trajectories, *others, *(t for _, t in curve)])
    write_jsonl(places.evaluation / "trajectories.jsonl", trajectories)
    write_jsonl(places.evaluation / "runs.jsonl", [_record(bench, t, verdicts[id(t)]) for t in trajectories])
    write_jsonl(places.evaluation / "other_protocols.jsonl", [_record(bench, t, verdicts[id(t)]) for t in others])
    curve_runs = [
        _record(bench, t, verdicts[id(t)]).model_copy(update={"reflector_temperature": at}) for at, t in curve
    ]
    write_jsonl(places.evaluation / "curve_runs.jsonl", curve_runs)
    write_text(places.evaluation / "facts.json", json.dumps(_facts(bench, bank), indent=1, sort_keys=True) + "\n")


def _bench(params: Params, places: Places, engines: Engines, domain: Domain, executor: Executor) -> EvaluationBench:
    actor = engines.open()
    rows = select(read_jsonl(places.validated, ReflectionExample), params.pool)  # those that training had
    base = params.reflector.base
    reflectors: dict[str, Reflector] = {"trained": _adapted(places.reflector, engines, domain.prompts, base)}
    reflectors["untrained"] = Untrained(engines.open(base) if base else actor, domain.prompts)
    for control in (*params.train.controls, *earlier_rounds(params)):
        reflectors[control] = _adapted(places.control(control), engines, domain.prompts, base)
    if is_pocket(params, places.domain):  # the majority of what? Free prose claims nothing that could be counted
        reflectors["majority"] = Constant(majority_advice(domain.kind, rows))
    embedding = engines.embed(embed)
    reflectors["retrieved"] = Retrieved(rows, embedding)
    tasks = {part: stage_tasks(places, part) for part in SLICES}
    return EvaluationBench(params, domain, actor, tasks, executor, places, reflectors, embedding)


def _adapted(folder: Path, engines: Engines, prompts: Prompts, base: str) -> ParamMem:
    adapter = read_card(folder)
    return ParamMem(adapter=adapter, engine=engines.open(base, adapter=folder), prompts=prompts)


def arms(bench: EvaluationBench) -> list[Agent]:
    """Return every method of params, and paramagent once more with each control in the reflector's place."""
    given = {"none": None, "parametric": bench.reflectors["trained"], "retrieved": bench.reflectors["retrieved"]}
    methods = [get_method(name) for name in bench.params.evaluate.methods]
    found = [bench.agent(m, given[m.advisor]) for m in methods]
    for name in ("untrained", *bench.params.train.controls, *earlier_rounds(bench.params), "majority"):
        if name not in bench.reflectors:
            continue
        found.append(bench.agent(METHODS["paramagent"], bench.reflectors[name], f"paramagent.{name}"))
    return found


def _bank(bench: EvaluationBench) -> TrajectoryBank:
    """Return solved tasks of the bank split, by reflexion. Visible checks decide what gets in; a bank task that has
    none gives its final verdict, as a train task may: evaluation tasks give nothing here."""
    tasks = stage_tasks(bench.places, "bank")
    needed = any(get_method(name).bank for name in bench.params.evaluate.methods)
    if not needed or "strict" not in (bench.params.evaluate.protocol, *bench.params.evaluate.also):
        return TrajectoryBank([], [], bench.embed)
    agent = bench.agent(METHODS["reflexion"], arm="bank")
    jobs = [Job(agent, task, bench.params.evaluate.seed) for task in tasks]
    ended = bench.work(jobs, "bank")
    return TrajectoryBank(tasks, ended, bench.embed, _bank_outcomes(bench, tasks, ended))


def _bank_outcomes(bench: EvaluationBench, tasks: Sequence[Task], ended: Sequence[Trajectory]) -> dict[str, bool]:
    """Return trajectory id → final verdict, asked once, where the bank task has no visible verdict. Where all have
    one, the bank split's keys are not read. A task that cannot be judged is named in the log and counts as failed."""
    silent = [(t, t.submitted) for t in ended if all(a.feedback.passed is None for a in t.attempts)]
    asked = [(t, attempt.candidate) for t, attempt in silent if attempt is not None]
    if not asked:
        return {}
    by_id = {task.task_id: task for task in tasks}
    keys = {key.task_id: key for key in stage_keys(bench.places, "bank")}
    scores = bench.domain.judge.score([(by_id[t.task_id], keys[t.task_id], candidate) for t, candidate in asked])
    found = {}
    for (trajectory, _), score in zip(asked, scores, strict=True):
        if isinstance(score, Exception):
            log.warning("bank task %r cannot be judged and stays out of the bank: %s", trajectory.task_id, score)
        found[trajectory.trajectory_id] = not isinstance(score, Exception) and score.passed
    return found


def _one_phase(bench: EvaluationBench, bank: TrajectoryBank) -> list[Trajectory]:
    """Return the trajectories of protocol `strict`: the bank comes from tasks of its own."""
    tasks, seed = bench.everything(), bench.params.evaluate.seed
    shown = dict(zip([t.task_id for t in tasks], bank.retrieve(tasks, bench.params.agent.examples), strict=True))
    every = [(agent, task) for agent in arms(bench) for task in tasks]
    jobs = [Job(agent, task, seed, shown[task.task_id] if agent.method.bank else ()) for agent, task in every]
    return bench.work(jobs, "evaluate")


def _under(bench: EvaluationBench, protocol: str, bank: TrajectoryBank) -> list[Trajectory]:
    return _one_phase(bench, bank) if protocol == "strict" else _two_phases(bench, protocol)


def _two_phases(bench: EvaluationBench, protocol: str = "two-phase") -> list[Trajectory]:
    """Return the trajectories of protocol `two-phase` (the paper's Algorithm 1): methods with a bank fill it with
    the evaluation tasks they solved visibly, and try the others again with it. Resample gets as many calls as they
    do: twice the iterations. Without a visible verdict no task is known to be solved: all are tried again, with an
    empty bank, and the submission rule counts the attempts of both phases. Under `oracle` and `released-code` the
    hidden verdict takes the visible checks' place (stages/protocols.py)."""
    tasks, seed = bench.everything(), bench.params.evaluate.seed
    keys = _keys(bench.places) if protocol in ORACLES else {}
    found: list[Trajectory] = []
    for agent in (under(protocol, one, bench.domain.judge, keys) for one in arms(bench)):
        first = _first_phase(bench, agent, tasks, seed, protocol)
        if phases_of(protocol, agent) == 1:
            found += first
            continue
        bank = TrajectoryBank(tasks, first, bench.embed)
        again = [t for t, done in zip(tasks, first, strict=True) if done.stop != "visible-pass"]
        shown: list[list[Example]] = bank.retrieve(again, bench.params.agent.examples)
        start = agent.budget.iterations + 1
        jobs = [Job(agent, t, seed, seen, protocol, start) for t, seen in zip(again, shown, strict=True)]
        second = {t.task_id: t for t in bench.executor.work(jobs)}
        found += [joined(done, second[done.task_id]) if done.task_id in second else done for done in first]
    return [named(protocol, one) for one in found]


def _first_phase(
    bench: EvaluationBench, agent: Agent, tasks: Sequence[Task], seed: int, protocol: str = "two-phase"
) -> list[Trajectory]:
    if calls_doubled(protocol, agent):
        agent = replace(agent, budget=replace(agent.budget, iterations=2 * agent.budget.iterations))
    return bench.executor.work([Job(agent, task, seed, (), protocol) for task in tasks])


def _curve(bench: EvaluationBench) -> list[tuple[float, Trajectory]]:
    """Return paramagent at several reflector temperatures, on the first evaluation tasks."""
    p = bench.params
    tasks = bench.tasks["eval"][: p.evaluate.curve_tasks]
    pairs = []
    for temperature in p.evaluate.temperatures:
        agent = bench.agent(METHODS["paramagent"], bench.reflectors["trained"])
        agent = replace(agent, budget=replace(agent.budget, reflector_temperature=temperature))
        pairs += [(temperature, Job(agent, task, p.evaluate.seed)) for task in tasks]
    ended = bench.work([job for _, job in pairs], "temperatures")
    return [(temperature, t) for (temperature, _), t in zip(pairs, ended, strict=True)]


def _keys(places: Places) -> dict[str, AnswerKey]:
    return {key.task_id: key for part in SLICES for key in stage_keys(places, part)}


def _verdicts(
    bench: EvaluationBench, keys: Mapping[str, AnswerKey], trajectories: Sequence[Trajectory]
) -> dict[int, bool | None]:
    """Return verdicts by identity of the trajectory: several temperatures of an arm have one id. None: not judged."""
    tasks = {task.task_id: task for task in bench.everything()}
    numbered = [t.model_copy(update={"seed": number}) for number, t in enumerate(trajectories)]
    found = final_verdicts(bench.domain.judge, tasks, keys, numbered)
    pairs = zip(trajectories, (n.trajectory_id for n in numbered), strict=True)
    return {id(t): None if name in found.unjudged else found.passed[name] for t, name in pairs}


def _record(bench: EvaluationBench, trajectory: Trajectory, passed: bool | None) -> Run:
    world, submitted = bench.params.tasks, trajectory.submitted
    claimed = bench.domain.prompts.hypotheses
    texts = [
        " / ".join(r.text for r in trajectory.reflections if r.iteration == number)
        for number in range(1, len(trajectory.attempts) + 1)
    ]
    claims = tuple(
        tuple(sorted({c for r in trajectory.reflections if r.iteration == n for c in claimed(r.text)}))
        for n in range(1, len(trajectory.attempts) + 1)
    )
    # Under an oracle the feedback of an attempt is the verdict, and not what visible checks said.
    visible = submitted.feedback.passed if submitted and trajectory.protocol not in ORACLES else None
    return Run(
        protocol=trajectory.protocol,
        domain=trajectory.domain,
        arm=trajectory.method,
        slice=slice_of(trajectory.domain, trajectory.task_id),
        world=world.world,
        rho=world.rho,
        task_id=trajectory.task_id,
        passed=bool(passed),
        visible_passed=visible if submitted else False,
        solved_at=trajectory.submission if passed else None,
        iterations=len(trajectory.attempts),
        usage=trajectory.usage,
        advice=claims,
        advice_texts=tuple(texts),
        stop=trajectory.stop,
        failed=trajectory.failure is not None or passed is None,
        trajectory_id=trajectory.trajectory_id,
    )


def _draws(bench: EvaluationBench, keys: Mapping[str, AnswerKey]) -> list[AdviceDraws]:
    """Return a fixed number of draws of every reflector on every task, and of the trained one at every temperature."""
    p = bench.params
    every = bench.everything()[: p.evaluate.draw_tasks or None]
    wanted = [
        (name, reflector, p.agent.reflector_temperature, every)
        for name, reflector in bench.reflectors.items()
        if name != "retrieved"
    ]
    others = [t for t in p.evaluate.temperatures if t != p.agent.reflector_temperature]
    trained = bench.reflectors["trained"]
    curve = bench.tasks["eval"][: p.evaluate.curve_tasks][: p.evaluate.draw_tasks or None]
    wanted += [("trained", trained, t, curve) for t in others]
    return [made for name, reflector, at, tasks in wanted for made in _drawn(bench, keys, name, reflector, at, tasks)]


def _drawn(
    bench: EvaluationBench,
    keys: Mapping[str, AnswerKey],
    name: str,
    reflector: Reflector,
    temperature: float,
    tasks: Sequence[Task],
) -> list[AdviceDraws]:
    count, world = bench.params.evaluate.advice_draws, bench.params.tasks
    if reflector.kind == "text":
        texts = [[reflector.text(task, 1)] * count for task in tasks]
    else:
        texts = bench.advice(reflector.engine, tasks, reflector.messages, temperature, count, EVALUATION_DRAWS)
    return [
        AdviceDraws(
            domain=bench.domain.name,
            reflector=name,
            temperature=temperature,
            task_id=task.task_id,
            slice=slice_of(task.domain, task.task_id),
            world=world.world,
            rho=world.rho,
            texts=tuple(said),
            claims=tuple(tuple(sorted(bench.domain.prompts.hypotheses(text))) for text in said),
            gold=key.facts if (key := keys.get(task.task_id)) else {},
            revealed=tuple(key.tags.get("revealed", "").split()) if key else (),
        )
        for task, said in zip(tasks, texts, strict=True)
        if said
    ]


def _open_tasks(bench: EvaluationBench, keys: Mapping[str, AnswerKey]) -> list[OpenTask]:
    values = conventions_of(bench.domain.kind)
    return [
        OpenTask(
            domain=bench.domain.name,
            task_id=task.task_id,
            values={name: len(values[name]) for name in key.facts},
            revealed=tuple(key.tags.get("revealed", "").split()),
            seen_kind=part == "eval",
        )
        for part in SLICES
        for task in bench.tasks[part]
        if (key := keys.get(task.task_id)) and key.facts  # a real task leaves open what nobody has counted
    ]


def _facts(bench: EvaluationBench, bank: TrajectoryBank) -> dict[str, dict[str, int]]:
    """Return sizes, and the proof that the splits share no task."""
    name, places = bench.domain.name, bench.places
    content = {s: {t.content for t in stage_tasks(places, s)} for s in ("train", "bank", *SLICES)}
    rows = read_jsonl(places.validated, ReflectionExample)
    texts = {task.text for task in bench.everything()}
    pairs = [(a, b) for a in ("train", "bank") for b in SLICES] + [("train", "bank"), SLICES]
    overlaps = {f"{name}: {a} and {b}": len(content[a] & content[b]) for a, b in pairs}
    overlaps[f"{name}: reflection rows and evaluation tasks"] = len({r.task_text for r in rows} & texts)
    sizes = {f"{name}: {split} tasks": len(found) for split, found in content.items()}
    sizes |= {f"{name}: reflection rows": len(rows)}
    if is_pocket(bench.params, name):
        sizes |= {f"{name}: kinds of quantity": len(kinds_of(bench.domain.kind))}
    return {"overlaps": overlaps, "sizes": sizes | {f"{name}: bank entries": len(bank)}}
