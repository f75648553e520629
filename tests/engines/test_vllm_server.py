"""Facts about a real vLLM server: it answers as the model does that is run here, adapters included.

The models are a pocket model and SmolLM2-135M, which is made of the wheel of `make real` (or is where that put it);
without a package index its tests are skipped and say so. Both sides compute in float32, so that a greedy choice between
two tokens falls alike; bfloat16 sums differ between two programs in the third digit, and greedy texts with them.

vLLM is in an environment of its own, which `make vllm-env` makes (its CPU build; 3.4 GB), or which PARAMMEM_VLLM_PYTHON
names the interpreter of. Where there is none, these tests are skipped and say so.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import real
from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import Adapter, Task, read_jsonl
from parammem.domains import get_domain
from parammem.engines.base import Completion, Engine, Request, chat
from parammem.engines.digests import adapter_digest
from parammem.engines.hf import HfEngine
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.openai.vllm import adapter_name, open_adapter
from parammem.errors import AdapterError, ModelMissingError
from parammem.evaluation.runs import Run
from parammem.stages import collect, evaluate, tasks, train, validate
from tests.engines.vllm_process import free_port, serving, vllm_python
from tests.stages.arena import ROOT, clone, knowing_everywhere, write_params

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

POCKET, SMOLLM2 = "models/pocket-1m", "models/smollm2"
on_both = pytest.mark.parametrize("project", [POCKET, SMOLLM2], indirect=True, scope="module")
on_pocket = pytest.mark.parametrize("project", [POCKET], indirect=True, scope="module")
DOMAIN = "math"
GREEDY = {"first_temperature": 0.0, "later_temperature": 0.0, "reflector_temperature": 0.0, "iterations": 3}


def folder_of(model: str, tmp_path_factory) -> Path:
    if model == POCKET:
        return ROOT / POCKET
    made = ROOT / ".cache" / "real"
    if not (made / SMOLLM2 / "config.json").is_file():
        made = tmp_path_factory.mktemp("real")
        (made / "src").symlink_to(ROOT / "src")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(real, "DOWNLOAD_TRIES", 1)
            try:
                real.make_model(made)
            except ModelMissingError as error:
                pytest.skip(f"no SmolLM2: {error}")
    return made / SMOLLM2


@pytest.fixture(scope="module")
def project(request, tmp_path_factory) -> tuple[Path, Params]:
    """A folder in which a small world of math was collected by an engine that knows, and adapters of the model were
    trained on it: the reflector, and the shuffled control, which serves as another version."""
    vllm_python()
    model, root = request.param, tmp_path_factory.mktemp("project")
    (root / "models").mkdir()
    (root / model).symlink_to(folder_of(model, tmp_path_factory))
    large = {} if model == POCKET else {"max_steps": 6, "batch": 2, "micro_batch": 2}
    params = write_params(
        root,
        engine={"model": model, "batch": 16, "max_new_tokens": 60, "max_advice_tokens": 16},
        train={
            "rank": 8,
            "max_steps": 30,
            "batch": 8,
            "controls": ["shuffled"],
            "target_modules": ["q_proj", "v_proj"],
            **large,
        },
        evaluate={"methods": ["base", "reflexion", "paramagent"], "temperatures": [0.0], "advice_draws": 2},
        agent=GREEDY,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        with pytest.MonkeyPatch.context() as knowing:
            knowing_everywhere(knowing, params, DOMAIN)
            for stage in (tasks, collect, validate):
                stage.run(params, DOMAIN)
        train.run(params, DOMAIN)
    return root, params


@pytest.fixture(scope="module")
def server(project) -> Iterator[Server]:
    """vLLM, started by our own command, with the reflector from the start."""
    root, _ = project
    port = free_port()
    with serving(root, f"models/reflectors/{DOMAIN}", port):
        settings = ServerSettings(f"http://127.0.0.1:{port}/v1", concurrency=16, timeout_seconds=300, retries=1)
        yield Server(settings, Account(Terms()))


def requests_of(root: Path, temperature: float = 0.0, count: int = 8, **settings) -> list[Request]:
    """Attempts, reflections-to-be and advice: the prompts of a run."""
    domain = get_domain(DOMAIN)
    found = read_jsonl(Places(root, DOMAIN).tasks("eval"), Task) + read_jsonl(Places(root, DOMAIN).tasks("train"), Task)
    prompts = [domain.prompts.actor(task, [], []) for task in found[:count]]
    prompts += [domain.prompts.advise(task.text) for task in found[:count]]
    return [Request(messages=messages, temperature=temperature, max_tokens=40, **settings) for messages in prompts]


def answers(engine: Engine, requests: list[Request]) -> list[tuple[str, str, int, int]]:
    return [told(draws[0]) for draws in engine.complete(requests)]


def told(one: Completion) -> tuple[str, str, int, int]:
    return one.text, one.finish, one.prompt_tokens, one.completion_tokens


@on_both
def test_greedy_completions_are_those_of_the_model_run_here(project, server):
    root, params = project
    model = params.engine.model
    requests = requests_of(root)
    served = open_model(server, model, root / model)
    assert answers(served, requests) == answers(HfEngine.load(root / model, device="cpu"), requests)


@on_both
def test_greedy_completions_of_the_adapter_are_those_of_the_adapter_run_here(project, server):
    root, params = project
    model = params.engine.model
    requests, folder = requests_of(root), Places(root, DOMAIN).reflector
    served = open_adapter(server, model, folder, root / model)
    here = answers(HfEngine.load(root / model, folder, device="cpu"), requests)
    assert answers(served, requests) == here
    assert here != answers(HfEngine.load(root / model, device="cpu"), requests)


@on_both
def test_ten_draws_differ_and_are_those_of_ten_single_requests(project, server):
    root, params = project
    model = params.engine.model
    engine = open_model(server, model, root / model)
    # The pocket model knows few ways to answer its own tasks; where it knows none, draws that are draws all differ.
    request = Request(messages=chat("plan of Anna"), temperature=2.0, max_tokens=30, seed=4, n=10)
    (together,) = engine.complete([request])
    assert len({one.text for one in together}) == 10
    assert engine._together is not None
    assert engine._together.result() is True, "vLLM seeds draw i with seed + i, so n draws go into one request"
    alone = engine.complete([request.model_copy(update={"n": 1, "first_draw": draw}) for draw in range(10)])
    assert [draws[0].text for draws in alone] == [one.text for one in together]


@on_both
def test_a_second_version_loaded_at_run_time_never_serves_the_first(project, server, tmp_path):
    """The folder is the same, and the prompts are in the server's prefix cache under the first version."""
    root, params = project
    model = params.engine.model
    folder = clone(Places(root, DOMAIN).reflector, tmp_path / "adapter")
    requests = requests_of(root)
    first = open_adapter(server, model, folder, root / model)
    old = answers(first, requests)
    clone(Places(root, DOMAIN).control("shuffled"), tmp_path / "other")
    for file in (tmp_path / "other").iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    second = open_adapter(server, model, folder, root / model)
    new = answers(second, requests)
    assert new == answers(HfEngine.load(root / model, folder, device="cpu"), requests)
    assert new != old
    assert answers(first, requests) == old
    cards = {card["id"]: card for card in models_of(server)}
    for engine in (first, second):
        assert cards[engine.model]["parent"] == model


def models_of(server: Server) -> list[dict]:
    with urllib.request.urlopen(f"{server.base_url}/models", timeout=60) as answer:
        return json.load(answer)["data"]


@on_pocket
def test_an_adapter_that_changes_nothing_is_refused_by_the_canary(project, server, tmp_path):
    from safetensors.torch import load_file, save_file

    root, params = project
    model = params.engine.model
    folder = clone(Places(root, DOMAIN).reflector, tmp_path / "empty")
    weights = folder / "adapter_model.safetensors"
    save_file({name: tensor * ("lora_B" not in name) for name, tensor in load_file(weights).items()}, weights)
    card = Adapter.model_validate_json((folder / "adapter.json").read_text())
    card = card.model_copy(update={"digest": adapter_digest(folder)})
    (folder / "adapter.json").write_text(card.line())
    with pytest.raises(AdapterError, match="as for its base"):
        open_adapter(server, model, folder, root / model)
    assert adapter_name(card.domain, card.digest) in {one["id"] for one in models_of(server)}


@on_pocket
def test_the_evaluate_stage_gives_the_same_verdicts_through_vllm_as_here(project, server, monkeypatch):
    root, params = project
    monkeypatch.chdir(root)
    evaluate.run(params, DOMAIN)
    here = read_jsonl(Places(root, DOMAIN).evaluation / "runs.jsonl", Run)
    served = {"kind": "openai", "server": {"base_url": server.base_url, "concurrency": 16}}
    evaluate.run(write_params_of(params, served), DOMAIN)
    there = read_jsonl(Places(root, DOMAIN).evaluation / "runs.jsonl", Run)
    assert [verdict(one) for one in there] == [verdict(one) for one in here]
    assert {one.arm for one in here} >= {"base", "reflexion", "paramagent", "paramagent.shuffled"}
    assert len({one.passed for one in here}) == 2, "some are solved and some are not"
    work = json.loads(Places(root, DOMAIN).work("evaluate").read_text())
    assert work["made"] > 0


def write_params_of(params: Params, engine: dict) -> Params:
    raw = params.model_dump(mode="json", by_alias=True)
    return Params.model_validate({**raw, "engine": {**raw["engine"], **engine}})


def verdict(run: Run) -> tuple:
    return (
        run.arm,
        run.task_id,
        run.passed,
        run.visible_passed,
        run.solved_at,
        run.iterations,
        run.stop,
        run.advice_texts,
    )
