"""Facts about contest: all arms meet on the same tasks and seeds, and every guard looks at the real thing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from parammem.checkout.places import Places
from parammem.core import AnswerKey, Outcome, ReflectionExample, Task, Trajectory, digest_of, read_jsonl, write_jsonl
from parammem.core.experience import Experience
from parammem.engines.base import Completion, Request
from parammem.engines.sampling import CANARY_DRAWS
from parammem.errors import AdapterError, AdapterMissingError, RequestFailed
from parammem.evaluation.inputs import Work
from parammem.experience.ingest import ingest
from parammem.experience.source_files import Source
from parammem.experience.split import is_fresh
from parammem.experience.store import open_store
from parammem.gate import Evidence, Rule, decide
from parammem.pocket.world import World, draw_splits
from parammem.registry import Ledger
from parammem.stages.common import Engines
from parammem.stages.contest import compare, fresh_tasks
from tests.experience.rows import line
from tests.stages.arena import Knowing, clone, parsed

DOMAIN = "math"
PARAMS = parsed(gate={"fresh_tasks": 8, "max_token_ratio": 5.0}, evaluate={"advice_draws": 4})


class Saying(Knowing):
    """Knows the answers, and gives advice with words of its own behind it."""

    def __init__(self, words: str) -> None:
        super().__init__(PARAMS, DOMAIN)
        self.words = words

    def _draw(self, request: Request, draw: int) -> Completion:
        said = super()._draw(request, draw)
        if request.messages[-1].content.endswith("solve") or not self.words:
            return said
        # A claim of its own kind after the truth: the same advice in other words would be no diversity.
        more = f"; cut {('flat', 'part')[draw % 2]}" if self.numbered() else ""
        text = f"{said.text} {more} ; {self.words}"
        return said.model_copy(update={"text": text, "completion_tokens": len(text.split())})

    def numbered(self) -> bool:
        """Whether its advice claims another thing every other time."""
        return True


def engines(monkeypatch, **words: str) -> None:
    """The actor, and for each adapter folder of this name an engine that says these words."""
    made = {name: Saying(said) for name, said in {"": "", **words}.items()}
    monkeypatch.setattr(
        Engines, "open", lambda self, model="", adapter=None: made[Path(adapter).name if adapter else ""]
    )


@pytest.fixture
def project(trained, tmp_path) -> Path:
    """A trained project with two adapters: `champion` and `challenger`, which are told apart by their digests."""
    root = clone(trained, tmp_path / "project")
    for name in ("champion", "challenger"):
        shutil.copytree(Places(root, DOMAIN).reflector, root / name)
    card = root / "challenger" / "adapter.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"digest": "c" * 64}))
    return root


@pytest.fixture
def met(project, monkeypatch) -> Callable[..., Evidence]:
    def run(incumbent: bool = True, **words: str) -> Evidence:
        engines(monkeypatch, **({"champion": "softly", "challenger": "plainly"} | words))
        return compare(PARAMS, project, DOMAIN, project / "champion" if incumbent else None, project / "challenger")

    return run


def guard(evidence: Evidence, name: str) -> bool | None:
    return {one.name: one.passed for one in evidence.guards}[name]


def bring_in(root: Path, with_keys: bool = True) -> list[Task]:
    """Experience from another world, ingested; the tasks of it that were kept for judging."""
    drawn = draw_splits(DOMAIN, World(99, 0.9), {"train": 60, "bank": 0, "eval": 1, "unseen": 0})["train"]
    rows = read_jsonl(Places(root, DOMAIN).trajectories, Trajectory)
    lines = []
    for one in drawn:
        trajectory = rows[0].model_copy(update={"task_id": one.task.task_id})
        row = Experience(task=one.task, trajectory=trajectory, outcome=Outcome(passed=True))
        more = {"key": one.key.model_dump(mode="json")} if with_keys else {}
        lines.append(line(row, **more))
    (root / "in.jsonl").write_text("\n".join(lines) + "\n")
    store = open_store(root, [DOMAIN], 0.4, 1.0)
    outcome = ingest(Source.of(root / "in.jsonl"), store, "person ada")
    assert outcome.event.held > 8
    return [one.task for one in drawn if is_fresh(one.task, 0.4)]


def test_all_arms_meet_on_every_evaluation_task(met, project):
    evidence = met()
    (anchor,) = evidence.slices
    tasks = [t for split in ("eval", "unseen") for t in read_jsonl(Places(project, DOMAIN).tasks(split), Task)]
    assert anchor.tasks == tuple(task.content for task in tasks)
    assert len(anchor.none) == len(anchor.champion) == len(anchor.challenger) == 6
    assert set(evidence.solved) == {"anchor.none", "anchor.champion", "anchor.challenger"}
    assert evidence.champion != evidence.challenger == "c" * 64


def test_the_same_meeting_has_the_same_evidence(met):
    assert met() == met()


def test_equal_adapters_do_equally_well_on_every_task(met):
    evidence = met(champion="alike", challenger="alike")
    (anchor,) = evidence.slices
    assert anchor.champion == anchor.challenger


def test_without_a_champion_there_are_two_arms(met):
    evidence = met(incumbent=False)
    assert evidence.champion == ""
    assert evidence.slices[0].champion == ()
    assert decide(evidence, Rule(), 0).answer == "undecided"


def test_more_runs_are_counted_per_task(project, monkeypatch):
    engines(monkeypatch, champion="softly", challenger="plainly")
    params = parsed(gate={"runs": 3})
    evidence = compare(params, project, DOMAIN, project / "champion", project / "challenger")
    (anchor,) = evidence.slices
    assert anchor.runs == 3
    assert max(anchor.none + anchor.champion + anchor.challenger) > 1


def test_a_request_that_fails_costs_one_task_and_not_the_evidence(met, project, monkeypatch):
    whole = met()
    task = read_jsonl(Places(project, DOMAIN).tasks("eval"), Task)[0]

    def draw(self, request: Request, number: int) -> Completion:
        if request.first_draw == CANARY_DRAWS and task.text in request.messages[-1].content:
            raise RequestFailed("the server said 500")
        return Knowing._draw(self, request, number)

    monkeypatch.setattr(Saying, "_draw", draw)
    evidence = met()
    assert guard(evidence, "differs-from-base") is not None
    assert [one.tasks for one in evidence.slices] == [one.tasks for one in whole.slices]
    said = {one.name: one.detail for one in evidence.guards}["differs-from-base"]
    assert " of 5 canary texts" in said, "one of six tasks has no text"


def test_what_a_contest_cost_is_written_down(met, project):
    met()
    assert Work.model_validate_json(Places(project, DOMAIN).work("contest").read_text()).stage == f"contest {DOMAIN}"


def test_a_sound_challenger_passes_every_guard(met):
    assert {one.name: one.passed for one in met().guards} == dict.fromkeys(
        ("validated", "no-leakage", "loads", "differs-from-base", "tokens", "diversity"), True
    )


def test_an_adapter_that_says_what_its_base_says_is_caught(met):
    assert guard(met(challenger=""), "differs-from-base") is False


def test_a_challenger_of_few_words_has_lost_its_diversity(met, monkeypatch):
    monkeypatch.setattr(Saying, "numbered", lambda self: self.words != "always")
    assert guard(met(challenger="always"), "diversity") is False


def test_a_challenger_of_many_words_is_held_back(met):
    assert guard(met(challenger="on and on " * 400), "tokens") is False


def test_rows_that_hold_a_judged_task_are_a_leak(met, project):
    places = Places(project, DOMAIN)
    rows = read_jsonl(places.validated, ReflectionExample)
    judged = read_jsonl(places.tasks("eval"), Task)[0]
    leaked = rows[0].model_copy(update={"task_text": judged.text})
    write_jsonl(places.validated, [leaked, *rows])
    assert guard(met(), "no-leakage") is True, "it was not learned"
    listed = project / "challenger" / "rows.txt"
    listed.write_text(listed.read_text() + leaked.row_hash + "\n")
    assert guard(met(), "no-leakage") is False


def test_rows_that_did_not_come_through_validation_are_caught(met, project):
    listed = project / "challenger" / "rows.txt"
    listed.write_text(listed.read_text() + "f" * 64 + "\n")
    assert guard(met(), "validated") is False
    Places(project, DOMAIN).validation.unlink()
    assert guard(met(), "validated") is None


def test_an_adapter_that_does_not_load_is_refused_without_a_meeting(project, monkeypatch):
    def broken(self, model="", adapter=None):
        raise AdapterError("its weights are not those that adapter.json names")

    monkeypatch.setattr(Engines, "open", broken)
    evidence = compare(PARAMS, project, DOMAIN, project / "champion", project / "challenger")
    decision = decide(evidence, Rule(), 0)
    assert decision.answer == "refuse"
    assert "guard loads failed" in decision.reasons[0]
    assert set(decision.inputs) >= {"params", "validated rows", "validation suite", "outcomes"}


def test_an_adapter_that_is_not_there_is_an_error(project):
    with pytest.raises(AdapterMissingError):
        compare(PARAMS, project, DOMAIN, None, project / "nowhere")


def test_the_fresh_slice_is_the_newest_tasks_that_were_kept_for_judging(met, project):
    held = bring_in(project)
    evidence = met()
    fresh = {one.name: one for one in evidence.slices}["fresh"]
    assert len(fresh.tasks) == PARAMS.gate.fresh_tasks
    assert set(fresh.tasks) <= {task.content for task in held}
    assert not set(fresh.tasks) & set(evidence.slices[0].tasks)


def test_fresh_tasks_are_judged_by_their_keys_where_they_came_with_one(project):
    bring_in(project)
    tasks, keys = fresh_tasks(project, DOMAIN, 100)
    assert {task.task_id for task in tasks} == set(keys)
    assert all(isinstance(key, AnswerKey) for key in keys.values())
    assert all(task.task_id.startswith("fresh-") for task in tasks)


def test_fresh_tasks_without_keys_are_judged_by_their_visible_checks(met, project):
    bring_in(project, with_keys=False)
    tasks, keys = fresh_tasks(project, DOMAIN, 100)
    assert tasks
    assert keys == {}
    assert {one.name for one in met().slices} == {"anchor", "fresh"}


def test_what_is_kept_for_judging_leaks_into_no_row(project, monkeypatch):
    """validate sets rows aside that hold a fresh task, though collect would never make them."""
    from parammem.stages import validate

    held = bring_in(project)
    places = Places(project, DOMAIN)
    rows = read_jsonl(places.reflections, ReflectionExample)
    write_jsonl(places.reflections, [*rows, rows[0].model_copy(update={"task_text": held[0].text, "task_id": "x"})])
    monkeypatch.chdir(project)
    validate.run(PARAMS, DOMAIN, project)
    kept = {row.task_text for row in read_jsonl(places.validated, ReflectionExample)}
    assert held[0].text not in kept
    assert held[0].text in places.quarantine.read_text()


def test_evidence_names_all_that_it_rests_on_by_digest(met, project):
    bring_in(project)
    places, inputs = Places(project, DOMAIN), met().inputs
    report = json.loads(places.validation.read_text())
    assert inputs["validated rows"] == report["kept_digest"]
    assert inputs["validation suite"] == report["suite_digest"]
    assert inputs["validation report"] == hashlib.sha256(places.validation.read_bytes()).hexdigest()
    assert inputs["params"] == digest_of(PARAMS.model_dump(mode="json", by_alias=True))
    assert inputs["anchor answer keys"] != inputs["fresh answer keys"]


@pytest.mark.parametrize("split", ["eval", "fresh"])
def test_another_answer_key_is_another_input(met, project, split):
    bring_in(project)
    before, places = met().inputs, Places(project, DOMAIN)
    [file] = [places.keys("eval")] if split == "eval" else (project / "data/keys/fresh").glob("*.jsonl")
    keys = read_jsonl(file, AnswerKey)
    write_jsonl(file, [key.model_copy(update={"gold": f"{key.gold} "}) for key in keys])
    name = {"eval": "anchor answer keys", "fresh": "fresh answer keys"}[split]
    assert {key for key, digest in met().inputs.items() if digest != before[key]} == {name}


def test_other_params_are_another_input(met, project, monkeypatch):
    before = met().inputs
    other = compare(parsed(gate={"min_distinct": 0.5}), project, DOMAIN, project / "champion", project / "challenger")
    assert other.inputs["params"] != before["params"]


def test_the_ledger_takes_the_decision(met, project):
    from parammem.gate import decide_and_record

    bring_in(project)
    decision = decide_and_record(met(), Rule(), Ledger(project), "flow improve")
    assert decision.inputs["base model"]
    assert [event.fact.kind for event in Ledger(project).read()] == ["ingest", "evaluate", "decide"]


def test_a_key_that_judges_nothing_costs_its_task_alone(met, project):
    places = Places(project, DOMAIN)
    sound = met().slices[0]
    keys = read_jsonl(places.keys("eval"), AnswerKey)
    write_jsonl(places.keys("eval"), [keys[0].model_copy(update={"hidden": {"checks": "?"}}), *keys[1:]])
    found = met().slices[0]
    assert found.tasks == sound.tasks
    assert found.challenger[0] == 0
    assert found.challenger[1:] == sound.challenger[1:]
