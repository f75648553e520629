"""contest: champion, challenger and no reflector at all on the same tasks and seeds, as evidence for the gate.

The anchor slice is the evaluation tasks of the pipeline; the fresh slice the newest tasks that ingestion kept apart.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parammem.agents.loop import Agent
from parammem.agents.methods import METHODS
from parammem.agents.run import Job
from parammem.checkout.places import FRESH, FRESH_KEYS, Places
from parammem.config import Params
from parammem.core import Adapter, AnswerKey, ReflectionExample, Task, Trajectory, digest_of, read_jsonl
from parammem.core.adapter import read_card
from parammem.core.decision import Guard
from parammem.core.experience import Experience
from parammem.domains import Prompts
from parammem.engines.sampling import CANARY_DRAWS
from parammem.errors import AdapterError
from parammem.experience.checks import can_judge
from parammem.experience.ingest import ingested
from parammem.gate import guards
from parammem.gate.evidence import NO_OUTCOMES, Evidence, SliceOutcomes
from parammem.reflectors.base import Reflector
from parammem.reflectors.parametric import ParamMem
from parammem.registry.ledger import Ledger
from parammem.stages.bench import Bench
from parammem.stages.collect import final_verdicts
from parammem.stages.common import Engines, accounted, check_failures
from parammem.stages.opening import open_domain
from parammem.stages.own_runs import has_agent, measures, own_agent, own_runs
from parammem.stages.ray.executor import open_executor
from parammem.stages.trusted import stage_keys, stage_tasks

CANARIES = 8
"""Tasks whose advice is compared to see that two models are not the same."""
CANNOT_DECIDE = (
    "fixed tasks cannot decide about {domain}: its outcomes are only reported, so none can be measured here; give "
    "domains.{domain}.agent or .judge in params.yaml, or let runs in use decide: "
    "`parammem gate --live --domain {domain}` shows what they say"
)


@dataclass(frozen=True)
class Contest(Bench):
    """What all arms of one domain share, and what they did."""

    root: Path
    arms: Mapping[str, Reflector | None]
    """none, challenger, and champion if there is one."""
    keys: Mapping[str, AnswerKey]
    """By task id. A task without one is judged by its visible checks."""
    ended: dict[tuple[str, str, int], Trajectory] = field(default_factory=dict)
    """By arm, task id and run."""
    own: dict[tuple[str, str, int], bool] = field(default_factory=dict)
    """Whether it passed, by the same, where the user's own agent ran."""


def compare(params: Params, root: Path, domain: str, champion: Path | None, challenger: Path) -> Evidence:
    """Compare two adapters on the same tasks and check every guard.

    Args:
        root: the repository or worktree whose tasks, rows and validation report belong to the challenger.
        champion: adapter folder; None where there is no champion yet.
        challenger: adapter folder.

    Raises:
        AdapterMissingError: a folder has no adapter.
        DataError, EngineError, SandboxError, TooManyFailures.
    """
    places, engines, opened = Places(root, domain), Engines(params, root), open_domain(params, domain, root)
    cards = {"challenger": read_card(challenger)} | ({"champion": read_card(champion)} if champion else {})
    tasks, keys = _tasks(params, root, domain)
    try:
        arms = _arms(engines, opened.prompts, champion, challenger)
    except AdapterError as error:  # an adapter that does not load is the gate's business; one that is missing is not
        return _unloadable(domain, cards, str(error), decided_under(params, root, domain))
    with (
        accounted(engines, "contest", domain, places.work("contest")),
        open_executor(params, engines, opened, root) as executor,
    ):
        contest = Contest(params, opened, engines.open(), tasks, executor, root, arms, keys)
        return _evidence(contest, cards, challenger)


def _evidence(contest: Contest, cards: Mapping[str, Adapter], challenger: Path) -> Evidence:
    domain = contest.domain.name
    measured = measures(contest.params, domain)
    if measured:
        _run(contest)
    unmeasured = {} if measured else {NO_OUTCOMES: CANNOT_DECIDE.format(domain=domain)}
    return Evidence(
        domain=domain,
        champion=cards["champion"].digest if "champion" in cards else "",
        challenger=cards["challenger"].digest,
        slices=tuple(_outcomes(contest, name) for name in contest.tasks if contest.tasks[name] and measured),
        guards=_guards(contest, challenger),
        inputs=_inputs(contest) | continued_from(cards["challenger"]) | unmeasured,
    )


def _arms(engines: Engines, prompts: Prompts, champion: Path | None, challenger: Path) -> dict[str, Reflector | None]:
    found: dict[str, Reflector | None] = {"none": None}
    for name, folder in (("champion", champion), ("challenger", challenger)):
        if folder:
            found[name] = ParamMem(adapter=read_card(folder), engine=engines.open(adapter=folder), prompts=prompts)
    return found


def _unloadable(domain: str, cards: Mapping[str, Any], why: str, inputs: dict[str, str]) -> Evidence:
    return Evidence(
        domain=domain,
        champion=cards["champion"].digest if "champion" in cards else "",
        challenger=cards["challenger"].digest,
        slices=(),
        guards=(Guard(name="loads", passed=False, detail=why),),
        inputs=inputs | continued_from(cards["challenger"]),
    )


def _tasks(params: Params, root: Path, domain: str) -> tuple[dict[str, list[Task]], dict[str, AnswerKey]]:
    """Return the tasks by slice, none in both, and the answer keys there are. Fresh tasks are named by their
    content."""
    places = Places(root, domain)
    anchor = [task for split in ("eval", "unseen") for task in stage_tasks(places, split)]
    keys = {key.task_id: key for split in ("eval", "unseen") for key in stage_keys(places, split)}
    fresh, fresh_keys = fresh_tasks(
        root, domain, params.gate.fresh_tasks, real=bool(params.benchmarks.sources), kind=params.kind(domain)
    )
    known = {task.content for task in anchor}
    return {"anchor": anchor, "fresh": [t for t in fresh if t.content not in known]}, keys | fresh_keys


def fresh_tasks(
    root: Path, domain: str, most: int, *, real: bool = False, kind: str = ""
) -> tuple[list[Task], dict[str, AnswerKey]]:
    """Return the newest tasks that were kept for judging and can be judged, each once, newest batch first, with their
    keys.

    Task ids are those of third parties, so a task is named `fresh-` and the beginning of its content's digest here.
    What a third party sent is never made into trusted tests; a task that cannot be judged costs itself alone.
    """
    found: dict[str, Task] = {}
    keys: dict[str, AnswerKey] = {}
    for fact in reversed(ingested(Ledger(root).read())):
        file, key_file = root / FRESH / f"{fact.fresh}.jsonl", root / FRESH_KEYS / f"{fact.fresh}.jsonl"
        if not fact.fresh or not file.is_file():
            continue
        given = {(k.domain, k.task_id): k for k in read_jsonl(key_file, AnswerKey)} if key_file.is_file() else {}
        for row in read_jsonl(file, Experience):
            task, key = row.task, given.get((row.task.domain, row.task.task_id))
            if task.domain != domain or task.content in found or not can_judge(task, key, real, kind):
                continue
            if len(found) == most:
                return list(found.values()), keys
            name = {"task_id": f"fresh-{task.content[:16]}"}
            found[task.content] = task.model_copy(update=name)
            if key is None and kind == "open":  # it says that the judge may be asked
                key = AnswerKey(task_id=task.task_id, domain=domain, hidden={}, gold="")
            if key:
                keys[name["task_id"]] = key.model_copy(update=name)
    return list(found.values()), keys


def _run(contest: Contest) -> None:
    """Run all arms on all tasks, in one batch."""
    p = contest.params
    if has_agent(p, contest.domain.name):
        _run_own(contest)
        return
    asked = [
        (arm, task, number) for arm in contest.arms for task in contest.everything() for number in range(p.gate.runs)
    ]
    agents = {arm: _agent(contest, arm) for arm in contest.arms}
    # One number of all runs of a task: no completion is shared with `evaluate`, whose seeds are its own.
    jobs = [Job(agents[arm], task, p.evaluate.seed + 1000 + number) for arm, task, number in asked]
    ended = contest.work(jobs, "contest")
    contest.ended.update({(arm, task.task_id, n): t for (arm, task, n), t in zip(asked, ended, strict=True)})
    # A failed run counts as not solved. Only those of our own tasks end the gate: others choose the fresh ones.
    ours = {task.task_id for task in contest.tasks["anchor"]}
    check_failures([t for t in ended if t.task_id in ours], p.agent.max_failed_share)


def _run_own(contest: Contest) -> None:
    """Run the user's own agent in all arms on all tasks."""
    p, agent = contest.params, own_agent(contest.params, contest.domain.name, contest.root)
    seeds = [p.evaluate.seed + 1000 + number for number in range(p.gate.runs)]
    done = own_runs(p, agent, contest.arms, contest.everything(), seeds)
    contest.ended.update((place, run.trajectory) for place, run in done.items())
    contest.own.update((place, bool(run.outcome.passed) and not run.trajectory.failure) for place, run in done.items())
    check_failures(list(contest.ended.values()), p.agent.max_failed_share)


def _agent(contest: Contest, arm: str) -> Agent:
    reflector = contest.arms[arm]
    method = METHODS["paramagent"] if reflector else METHODS["reflexion"]  # the same loop without the advice
    return contest.agent(method, reflector, arm)


def _outcomes(contest: Contest, name: str) -> SliceOutcomes:
    tasks, runs = contest.tasks[name], contest.params.gate.runs
    passed = _verdicts(contest, tasks)
    solved = {
        arm: tuple(sum(passed[arm, task.task_id, n] for n in range(runs)) for task in tasks) for arm in contest.arms
    }
    which: Literal["anchor", "fresh"] = "anchor" if name == "anchor" else "fresh"
    return SliceOutcomes(
        name=which,
        tasks=tuple(task.content for task in tasks),
        runs=runs,
        none=solved["none"],
        champion=solved.get("champion", ()),
        challenger=solved["challenger"],
    )


def _verdicts(contest: Contest, tasks: Sequence[Task]) -> dict[tuple[str, str, int], bool]:
    """Return the hidden verdict on every run of these tasks, or the visible one where there is no key. Keys may be
    those of third parties: however many of them judge nothing, the gate goes on, and their tasks count as not solved
    by any arm."""
    if contest.own:
        return contest.own
    wanted = {task.task_id: task for task in tasks}
    runs = {place: t for place, t in contest.ended.items() if place[1] in wanted}
    keyed = {place: t for place, t in runs.items() if place[1] in contest.keys}
    # Numbered anew, since the verdicts are handed back by trajectory id, and arms may share one.
    numbered = [t.model_copy(update={"seed": number}) for number, t in enumerate(keyed.values())]
    passed = final_verdicts(contest.domain.judge, wanted, contest.keys, numbered, allowed=1.0).passed
    hidden = {place: passed[t.trajectory_id] for place, t in zip(keyed, numbered, strict=True)}
    visible = {place: t.stop == "visible-pass" for place, t in runs.items() if place not in keyed}
    return hidden | visible


def _guards(contest: Contest, challenger: Path) -> tuple[Guard, ...]:
    p, places = contest.params, Places(contest.root, contest.domain.name)
    rows = read_jsonl(places.validated, ReflectionExample)
    report = json.loads(places.validation.read_text(encoding="utf-8")) if places.validation.is_file() else None
    listed = challenger / "rows.txt"
    hashes = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    learned = [row for row in rows if row.row_hash in set(hashes)]
    if read_card(challenger).imported:
        about_rows = [guards.unknown(name, p.gate.accept_imported) for name in ("validated", "no-leakage")]
    else:
        about_rows = [
            guards.validated(report, hashes, [row.row_hash for row in rows]),
            guards.no_leakage(learned, contest.everything(), p.validate_.near_duplicate),
        ]
    found = [
        *about_rows,
        Guard(name="loads", passed=True, detail="weights and base model are those that adapter.json names"),
        _differs(contest),
        _token_guard(contest),
        guards.diversity(
            _distinct(contest, "champion") if "champion" in contest.arms else None,
            _distinct(contest, "challenger"),
            p.gate.min_diversity_ratio,
            p.gate.min_distinct,
        ),
    ]
    return tuple(found)


def _differs(contest: Contest) -> Guard:
    """Compare the most likely advice of the challenger's model and of its base on a few tasks."""
    arms = contest.arms["challenger"], contest.arms["none"]
    tasks = contest.everything()[:CANARIES]
    said = [_advice(contest, arm, tasks, 0.0, 1) for arm in arms]
    both = [(ours[0], theirs[0]) for ours, theirs in zip(*said, strict=True) if ours and theirs]
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    return guards.differs("differs-from-base", "the base model's", ours, theirs)


def _advice(
    contest: Contest, reflector: Reflector | None, tasks: Sequence[Task], temperature: float, draws: int
) -> list[list[str]]:
    """Return draws of an arm's model for each task, without a reflector those of the base model; none for a task whose
    request failed."""
    engine = reflector.engine if isinstance(reflector, ParamMem) else contest.actor
    prompts = contest.domain.prompts
    return contest.advice(engine, tasks, lambda task: prompts.advise(task.text), temperature, draws, CANARY_DRAWS)


def _distinct(contest: Contest, arm: str) -> float:
    """Return mean number of distinct pieces of advice in as many draws as evaluation takes, over up to `curve_tasks`
    tasks.

    Advice is the same when it claims the same, in whatever order or words; where a domain reads no claims out of it,
    when its words are the same.
    """
    p = contest.params
    tasks = contest.everything()[: max(CANARIES, p.evaluate.curve_tasks)]
    said = _advice(contest, contest.arms[arm], tasks, p.agent.reflector_temperature, p.evaluate.advice_draws)
    claimed = [{contest.domain.prompts.hypotheses(text) or text for text in texts} for texts in said if texts]
    return sum(map(len, claimed)) / len(claimed) if claimed else 0.0


def _token_guard(contest: Contest) -> Guard:
    """Compare the tokens that champion and challenger need for a task.

    A first challenger is compared with no reflector at all: there only what the agent itself writes is counted, since
    to write advice is what any reflector is for.
    """
    most = contest.params.gate.max_token_ratio
    if contest.own or not contest.ended:
        return Guard(name="tokens", passed=True, detail="nothing to compare: our own agent was not run")
    if "champion" in contest.arms:
        return guards.tokens(_tokens(contest, "champion"), _tokens(contest, "challenger"), most)
    without = {"reflector"}
    ours, theirs = _tokens(contest, "challenger", without), _tokens(contest, "none", without)
    return guards.tokens(theirs, ours, most, "no reflector, advice not counted:")


def _tokens(contest: Contest, arm: str, without: Collection[str] = ()) -> float:
    """Return the tokens written per run of an arm, over all roles but those named."""
    runs = [t for (name, _, _), t in contest.ended.items() if name == arm]
    written = sum(used.completion_tokens for t in runs for role, used in t.usage.items() if role not in without)
    return written / max(1, len(runs))


def continued_from(card: Adapter) -> dict[str, str]:
    """Return the adapter that this one was trained on from, if it did not start from the base."""
    start = card.recipe.get("start")
    return {"continued from": start} if start else {}


def _inputs(contest: Contest) -> dict[str, str]:
    """Return what the outcomes were made from, by digest."""
    found = {f"{name} tasks": digest_of([t.content for t in tasks]) for name, tasks in contest.tasks.items()}
    for name, tasks in contest.tasks.items():
        keys = [contest.keys[task.task_id] for task in tasks if task.task_id in contest.keys]
        found[f"{name} answer keys"] = digest_of([key.model_dump(mode="json") for key in keys])
    found |= {"base model": contest.actor.digest}
    return found | decided_under(contest.params, contest.root, contest.domain.name)


def decided_under(params: Params, root: Path, domain: str) -> dict[str, str]:
    """Return digests of the params, the validated rows and what vouches for them. What is not there has none."""
    places = Places(root, domain)
    found = {"params": digest_of(params.model_dump(mode="json", by_alias=True))}
    if places.validated.is_file():
        rows = read_jsonl(places.validated, ReflectionExample)
        found["validated rows"] = digest_of([row.row_hash for row in rows])  # `kept_digest` of the validation report
    if places.validation.is_file():
        data = places.validation.read_bytes()
        found["validation report"] = digest_of(data)
        found["validation suite"] = str(json.loads(data)["suite_digest"])
    return found
