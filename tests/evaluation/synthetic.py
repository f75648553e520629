"""Runs and draws of make-believe agents with known chances, so that every figure of a report has something to show."""

from __future__ import annotations

import random

from parammem.core import Usage
from parammem.evaluation.inputs import ARMS, REFLECTORS, LossPoint, ReportInputs, Work
from parammem.evaluation.runs import AdviceDraws, OpenTask, Run, Slice

ITERATIONS = 5
CONVENTIONS = {"limit": ("inside", "outside"), "empty": ("zero", "minus", "none"), "ties": ("first", "last")}
SKILL = {"trained": 0.75, "untrained": 0.4, "shuffled": 0.4, "other_world": 0.35, "majority": 0.45}
SOLVES = {"base": 0.12, "resample": 0.3, "reflexion": 0.36, "dot": 0.35, "dot_bank": 0.4, "retrieved": 0.42}


def make_run(
    passed: bool = True,
    *,
    task_id: str = "t",
    arm: str = "reflexion",
    world: int = 1,
    domain: str = "code",
    solved_at: int | None = None,
    advice: tuple[tuple[str, ...], ...] = (),
    texts: tuple[str, ...] = (),
    part: Slice = "eval",
    visible: bool | None = True,
    temperature: float | None = None,
    usage: dict[str, Usage] | None = None,
) -> Run:
    """One run with as little said as possible."""
    return Run(
        domain=domain,
        arm=arm,
        slice=part,
        world=world,
        task_id=task_id,
        passed=passed,
        visible_passed=visible,
        solved_at=(solved_at or 1) if passed else None,
        iterations=ITERATIONS,
        usage=usage or {},
        advice=advice,
        advice_texts=texts,
        reflector_temperature=temperature,
        stop="visible-pass" if passed else "iterations",
    )


def make_task(domain: str, number: int, part: Slice) -> OpenTask:
    rng = random.Random(f"{domain}-{number}-{part}")
    names = rng.sample(sorted(CONVENTIONS), rng.choice((2, 3)))
    return OpenTask(
        domain=domain,
        task_id=f"{domain}-{part}-{number}",
        values={name: len(CONVENTIONS[name]) for name in names},
        revealed=tuple(name for name in names if rng.random() < 0.5),
        seen_kind=part == "eval",
    )


def make_draws(task: OpenTask, reflector: str, temperature: float, n: int = 6) -> AdviceDraws:
    rng = random.Random(f"{task.task_id}-{reflector}-{temperature}")
    gold = {name: rng.choice(CONVENTIONS[name]) for name in task.values}
    skill = SKILL[reflector] if task.seen_kind else 0.4
    claims = []
    for _ in range(1 if reflector == "majority" else n):
        said = [f"{k}={v if rng.random() < skill else rng.choice(CONVENTIONS[k])}" for k, v in gold.items()]
        claims.append(tuple(sorted(said[: rng.choice((1, 2, 3))] if temperature > 1 else said)))
    return AdviceDraws(
        domain=task.domain,
        reflector=reflector,
        temperature=temperature,
        task_id=task.task_id,
        slice="eval" if task.seen_kind else "unseen",
        world=1,
        rho=0.9,
        texts=tuple(" ".join(claim) for claim in claims),
        claims=tuple(claims),
        gold=gold,
        revealed=task.revealed,
    )


def simulate(task: OpenTask, arm: str, temperature: float | None = None) -> Run:
    rng = random.Random(f"{task.task_id}-{arm}-{temperature}")
    reflector = arm.partition(".")[2] or "trained"
    chance = SOLVES.get(arm, 0.2 + 0.5 * SKILL.get(reflector, 0.7)) * (1.0 if task.seen_kind else 0.6)
    passed = rng.random() < chance
    at = 1 if arm == "base" else rng.randint(1, ITERATIONS)
    steps = 1 if arm == "base" else (at if passed else ITERATIONS)
    pool = [(f"limit={v}",) for v in CONVENTIONS["limit"]] + [(f"empty={v}",) for v in CONVENTIONS["empty"]]
    starts = {"base": steps, "resample": steps}.get(arm, 0 if arm.startswith("param") or arm == "retrieved" else 1)
    advice = tuple(() if i < starts else rng.choice(pool) for i in range(steps))
    return make_run(
        passed,
        task_id=task.task_id,
        arm=arm,
        domain=task.domain,
        solved_at=at,
        advice=advice,
        texts=tuple(" ".join(claims) for claims in advice),
        part="eval" if task.seen_kind else "unseen",
        visible=passed or rng.random() < 0.3,
        temperature=temperature,
        usage={
            "actor": Usage(calls=steps, prompt_tokens=130 * steps + rng.randint(0, 30), completion_tokens=60 * steps),
            "reflector": Usage(calls=steps, prompt_tokens=60 * steps, completion_tokens=9 * steps),
        },
    )


def make_worlds(worlds: int = 8, tasks: int = 75, lift: float = 0.5) -> list[dict]:
    """Entries of study.json in which the regularities, and so ParamAgent's lift, grow with ρ."""
    entries = []
    for rho in (0.0, 0.5, 0.9):
        for world in range(worlds):
            for domain in ("code", "math", "qa"):
                rng = random.Random(f"{rho}-{world}-{domain}")
                vectors = {}
                for arm in ARMS:
                    chance = SOLVES.get(arm, 0.4)
                    if arm in ("paramagent", "paramagent_plus"):
                        chance += lift * rho * (0.8 + 0.4 * rng.random())
                    vectors[arm] = "".join(str(int(rng.random() < chance)) for _ in range(tasks))
                entries.append(
                    {
                        "world": world,
                        "rho": rho,
                        "domain": domain,
                        "arms": {arm: {"passed": v.count("1"), "tasks": len(v)} for arm, v in vectors.items()},
                        "vectors": vectors,
                        "advice_accuracy": {name: 0.4 + (0.4 * rho if name == "trained" else 0) for name in REFLECTORS},
                    }
                )
    return entries


def make_inputs(
    tasks: int = 40, unseen: int = 15, study: bool = False, domains: tuple[str, ...] = ("code", "math", "qa")
):
    listed = [make_task(d, i, "eval") for d in domains for i in range(tasks)]
    listed += [make_task(d, i, "unseen") for d in domains for i in range(unseen)]
    curve = [task for task in listed if task.seen_kind][::3]
    warm = (0.2, 0.6, 1.0, 1.4)
    return ReportInputs(
        protocol="strict",
        sandbox_level="strict",
        model="pocket-1m",
        world=1,
        rho=0.9,
        iterations=ITERATIONS,
        seeds={"collect": 11, "train": 7, "evaluate": 101},
        runs=tuple(simulate(task, arm) for task in listed for arm in ARMS),
        curve_runs=tuple(simulate(task, "paramagent", t) for task in curve for t in warm),
        draws=tuple(make_draws(t, name, 1.0) for t in listed for name in REFLECTORS)
        + tuple(make_draws(t, "trained", w) for t in curve for w in warm if w != 1.0),
        open_tasks=tuple(listed),
        losses=tuple(
            LossPoint(domain=d, adapter=a, step=s, loss=3 / (1 + s / 40), held_out=h)
            for d in domains
            for a in ("trained", "shuffled")
            for h in (False, True)
            for s in range(10, 300, 100 if h else 10)
        ),
        work=(Work(stage="collect", generated_tokens=123456, made=4000, cache_hits=12),),
        sizes={f"{d}: reflection rows": 812 for d in domains},
        overlaps={f"{d}: train and eval": 0 for d in domains},
        study={"worlds": make_worlds(worlds=8, tasks=40)} if study else None,
        bootstrap=300,
    )
