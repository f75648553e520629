"""ParamMem through a real tiny adapter where files matter, and through a scripted engine where they do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from parammem.core import Adapter, Task
from parammem.engines.base import Message, chat
from parammem.engines.digests import adapter_digest, model_digest
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import AdapterError, AdapterMismatchError, AdapterMissingError, DataError, ModelMissingError
from parammem.reflectors.base import SamplingReflector
from parammem.reflectors.parametric import ParamMem, Untrained, find_base
from tests.tiny import make_tiny_adapter, make_tiny_model


class Asks:
    """A domain as far as a reflector needs it."""

    def advise(self, task_text: str) -> tuple[Message, ...]:
        return chat(f"advice for: {task_text}")


def card(domain: str = "code", digest: str = "d" * 64, base_model: str = "base", base: str = "b" * 64) -> Adapter:
    return Adapter(
        domain=domain,
        digest=digest,
        base_model=base_model,
        base_digest=base,
        recipe={},
        data_digest="c" * 64,
        rows=1,
        steps=1,
        held_out_loss=None,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder: models/base, and an adapter of it in models/reflectors/code."""
    folder = tmp_path_factory.mktemp("checkout")
    base = make_tiny_model(folder / "models" / "base")
    out = make_tiny_adapter(base, folder / "models" / "reflectors" / "code")
    record = card(digest=adapter_digest(out), base_model="models/base", base=model_digest(base))
    (out / "adapter.json").write_text(record.line())
    return folder


@pytest.fixture
def copy(checkout: Path, tmp_path: Path) -> Path:
    """An adapter folder to spoil, below a copy of the checkout."""
    shutil.copytree(checkout, tmp_path / "copy")
    return tmp_path / "copy" / "models" / "reflectors" / "code"


def test_front_door_gives_n_pieces_of_advice_with_their_author(checkout: Path) -> None:
    """The base is found above the adapter, though the test runs elsewhere."""
    memory = ParamMem.load(checkout / "models" / "reflectors" / "code", device="cpu", prompts=Asks(), max_tokens=6)
    advice = memory.reflect("Return the sum.", n=5, temperature=1.0, seed=3)
    assert len(advice) == 5
    assert len({piece.text for piece in advice}) > 1
    assert {(piece.source, piece.author, piece.temperature) for piece in advice} == {
        ("parametric", memory.adapter.digest, 1.0)
    }
    assert memory.reflect("Return the sum.", n=2, temperature=1.0, seed=3) == advice[:2]
    assert memory.reflect("Return the sum.", n=5, temperature=1.0, seed=4) != advice


def recorded(folder: Path, **said) -> Path:
    path = folder / "adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    return folder


def test_advice_ends_where_it_did_in_the_run_and_in_its_dtype_unless_told_otherwise(copy: Path) -> None:
    old = ParamMem.load(copy, device="cpu", prompts=Asks())
    assert (old.max_tokens, old.engine.source.dtype) == (128, "float32")  # pyright: ignore
    recorded(copy, max_advice_tokens=7, recipe={"dtype": "bfloat16"})
    memory = ParamMem.load(copy, device="cpu", prompts=Asks())
    assert (memory.max_tokens, memory.engine.source.dtype) == (7, "bfloat16")  # pyright: ignore
    told = ParamMem.load(copy, device="cpu", prompts=Asks(), max_tokens=9, dtype="float32")
    assert (told.max_tokens, told.engine.source.dtype) == (9, "float32")  # pyright: ignore


@pytest.mark.parametrize("dtype", ["float8", "", 3, None])
def test_a_dtype_that_is_none_is_refused_or_not_recorded(copy: Path, dtype) -> None:
    recorded(copy, recipe={"dtype": dtype})
    with pytest.raises(AdapterError, match="dtype"):
        ParamMem.load(copy, device="cpu", prompts=Asks())


def test_the_adapter_changes_what_the_base_says(checkout: Path) -> None:
    from parammem.engines.hf import HfEngine

    memory = ParamMem.load(checkout / "models" / "reflectors" / "code", device="cpu", prompts=Asks(), max_tokens=8)
    bare = Untrained(HfEngine.load(checkout / "models" / "base", device="cpu"), Asks())
    task = Task(task_id="t", domain="code", text="Return the sum.")
    assert memory.messages(task) == bare.messages(task)
    assert memory.engine.digest != bare.engine.digest
    assert bare.author == bare.engine.digest
    untrained = ParamMem(card(), bare.engine, Asks(), max_tokens=8)
    assert memory.reflect(task.text, n=1, temperature=0) != untrained.reflect(task.text, n=1, temperature=0)


def test_prompt_is_the_domains_and_sees_the_task_text_alone() -> None:
    engine = ScriptedEngine(lambda request, draw: f"{request.messages[-1].content} #{draw}")
    memory: SamplingReflector = ParamMem(card(), engine, Asks())
    task = Task(task_id="t", domain="code", text="sum", visible={"calls": ["solve([1])"]})
    assert memory.messages(task) == chat("advice for: sum")
    assert memory.kind == "sampling"


def test_nonsense_questions_are_refused() -> None:
    memory = ParamMem(card(), ScriptedEngine(lambda request, draw: "x"), Asks())
    with pytest.raises(DataError, match="empty"):
        memory.reflect("  \n")
    with pytest.raises(DataError, match="at least 1"):
        memory.reflect("sum", n=0)


def test_missing_adapter_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(AdapterMissingError, match="dvc repro train"):
        ParamMem.load(tmp_path)


def test_unreadable_card_is_named(copy: Path) -> None:
    (copy / "adapter.json").write_text("{")
    with pytest.raises(AdapterError, match=r"adapter\.json"):
        ParamMem.load(copy, prompts=Asks())


def test_changed_weights_are_refused(copy: Path) -> None:
    record = json.loads((copy / "adapter.json").read_text())
    (copy / "adapter.json").write_text(json.dumps(record | {"digest": "e" * 64}))
    with pytest.raises(AdapterMismatchError):
        ParamMem.load(copy, device="cpu", prompts=Asks())


def test_another_base_is_refused(copy: Path, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", seed=9)
    with pytest.raises(AdapterMismatchError):
        ParamMem.load(copy, base_model=other, device="cpu", prompts=Asks())


def test_base_is_looked_for_here_then_above_the_adapter(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkout / "models" / "reflectors" / "code"
    adapter = card(base_model="models/base")
    monkeypatch.chdir(tmp_path)
    assert find_base(folder, adapter) == checkout / "models" / "base"
    (tmp_path / "models" / "base").mkdir(parents=True)
    assert find_base(folder, adapter).resolve() == tmp_path / "models" / "base"


@pytest.mark.parametrize("said", ["engine: {model: PLACE}", "engine: {model: x/y}\nreflector: {base: PLACE}"])
def test_a_base_outside_the_repository_is_where_params_say(tmp_path: Path, said: str) -> None:
    base, folder = tmp_path / "elsewhere" / "my-model", tmp_path / "repository" / "models" / "reflectors" / "code"
    base.mkdir(parents=True)
    folder.mkdir(parents=True)
    params = tmp_path / "repository" / "params.yaml"
    params.write_text(said.replace("PLACE", str(base)))
    assert find_base(folder, card(base_model="my-model")) == base
    for other in (said.replace("PLACE", "/nowhere/my-model"), "engine: 3", "- a", "engine: ["):
        params.write_text(other)
        with pytest.raises(ModelMissingError, match="base_model"):
            find_base(folder, card(base_model="my-model"))


def test_missing_base_says_how_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="base_model"):
        find_base(tmp_path, card(base_model="models/no-such"))


def test_every_domain_has_a_prompt_for_a_reflector() -> None:
    from parammem.domains import get_domain

    for name in ("code", "math", "qa"):
        assert "sum of the plums" in get_domain(name).prompts.advise("Return the sum of the plums.")[-1].content
